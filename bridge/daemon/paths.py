"""Where the daemon keeps things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from bridge.daemon.config import Configuration

STATE_VARIABLE: Final = "CALLBRIDGE_STATE_DIR"
_SYSTEMD: Final = "STATE_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one daemon. None is made here."""

    state: Path

    @classmethod
    def of(cls, configuration: Configuration) -> Paths:
        """Return them: as configured, else systemd's StateDirectory, else the user's own."""
        if (given := configuration.server.state_folder) is not None:
            return cls(given.absolute())
        if systemd := os.environ.get(_SYSTEMD):
            return cls(Path(systemd.split(":")[0]))
        root = os.environ.get(STATE_VARIABLE) or platformdirs.user_state_dir("callbridge")
        return cls(Path(root).absolute() / "daemon")

    @property
    def spool(self) -> Path:
        """What the database has not got yet."""
        return self.state / "spool"

    def store_url(self, configuration: Configuration) -> str:
        """Return the database's URL, which may hold a password."""
        if (given := configuration.store.url) is not None:
            return given.get_secret_value()
        return f"sqlite:///{self.state / 'callbridge.db'}"

    def recordings(self, configuration: Configuration) -> Path:
        """Return where recordings go."""
        return (configuration.recordings.folder or self.state / "recordings").absolute()
