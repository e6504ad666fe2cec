"""Ids, parties, modes, states, errors. Pure."""
