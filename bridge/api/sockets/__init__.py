"""The WebSockets: one module each. All of them are loaded by ``bridge.api.app``."""
