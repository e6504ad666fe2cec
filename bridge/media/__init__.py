"""PCM in and out of Asterisk."""
