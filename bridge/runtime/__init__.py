"""The imperative heart: a mailbox per call, the executor, the registry, reconciliation."""
