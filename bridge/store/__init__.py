"""What outlives calls: records of calls and events, notes, contexts, audit, keys, deliveries."""
