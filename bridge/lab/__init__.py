"""The laboratory: embedded Asterisk, softphones, measurement."""
