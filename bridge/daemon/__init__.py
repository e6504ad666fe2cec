"""The daemon beside an Asterisk: ``callbridge serve``, its configuration, and ``callbridge check``."""
