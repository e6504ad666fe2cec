"""The life of a call as a state machine. Pure."""
