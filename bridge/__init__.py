"""Call control for Asterisk: answer, connect, spy, whisper, barge, hand over."""
