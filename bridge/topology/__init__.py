"""Which Asterisk objects make who hear whom: planner, audibility, diff. Pure."""
