"""Client and ActiveCall."""
