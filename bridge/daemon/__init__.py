"""The daemon beside an Asterisk: ``callbridge serve``, its configuration, ``callbridge check``."""
