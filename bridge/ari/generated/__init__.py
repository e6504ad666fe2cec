"""What Asterisk's API description says, as Python. Written by scripts/generate-ari."""
