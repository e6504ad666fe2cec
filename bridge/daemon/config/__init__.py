"""The daemon's configuration: a TOML file, and the environment above it."""

from bridge.daemon.config.example import example_config
from bridge.daemon.config.load import ConfigurationFaultsError, Fault, Loaded, load, parse
from bridge.daemon.config.sections import Configuration

__all__ = [
    "Configuration",
    "ConfigurationFaultsError",
    "Fault",
    "Loaded",
    "example_config",
    "load",
    "parse",
]
