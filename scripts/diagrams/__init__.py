"""Renders the pages of docs/ that show state machines, from the machines themselves."""
