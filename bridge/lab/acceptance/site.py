"""Where a run is made: an Asterisk of the lab, or a PBX of one's own."""

from __future__ import annotations

from typing import Protocol

from bridge.ari import AriConnection, AriSettings
from bridge.lab.acceptance.ears import RATE
from bridge.lab.acceptance.model import PhoneSpec, Run, Server
from bridge.lab.asterisk import InstanceInfo
from bridge.model.errors import ConfigurationError
from bridge.sdk import Client


class Site(Protocol):
    """A PBX."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def empty_afterwards(self) -> bool:
        """Whether nobody else uses it, so that what is left is left by the run."""

    def account(self, spec: PhoneSpec) -> tuple[str, int, str]:
        """Return host, port and password for a phone. Raises ConfigurationError."""

    def client(self, run: Run) -> Client:
        """Return a program that is not connected yet. Raises ConfigurationError."""

    def look(self) -> AriConnection | None:
        """Return what looks at channels and bridges; None where there is no ARI."""


class LabSite:
    """A running instance of the lab."""

    def __init__(self, info: InstanceInfo, application: str = "callbridge") -> None:
        self._info = info
        self._application = application

    @property
    def name(self) -> str:
        """See Site."""
        return f"Asterisk {self._info.version} of the lab"

    @property
    def empty_afterwards(self) -> bool:
        """See Site."""
        return True

    def account(self, spec: PhoneSpec) -> tuple[str, int, str]:
        """See Site."""
        sip = self._info.sip
        known = {account.number: account.password for account in self._info.accounts}
        if spec.password:
            return sip.host, sip.port, spec.password
        if spec.extension not in known:
            raise ConfigurationError(
                f"the lab has no phone {spec.extension}: it has {', '.join(sorted(known))}"
            )
        return sip.host, sip.port, known[spec.extension]

    def client(self, run: Run) -> Client:
        """See Site."""
        ari = self._info.ari
        return _program(run, ari.url, ari.username, ari.password, self._application)

    def look(self) -> AriConnection | None:
        """See Site."""
        ari = self._info.ari
        return _look(ari.url, ari.username, ari.password)


class OwnSite:
    """A PBX of one's own, as the run's file names it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def name(self) -> str:
        """See Site."""
        return self._server.sip

    @property
    def empty_afterwards(self) -> bool:
        """See Site."""
        return False

    def account(self, spec: PhoneSpec) -> tuple[str, int, str]:
        """See Site."""
        return self._server.host, int(self._server.port), spec.password

    def client(self, run: Run) -> Client:
        """See Site."""
        server = self._server
        if server.callbridge:
            return Client(url=server.callbridge, key=server.key or None)
        if not server.ari:
            raise ConfigurationError(
                "the run has agents or observers: its server needs ari, with username and "
                "password, or callbridge, the address of a running `callbridge serve`"
            )
        return _program(run, server.ari, server.username, server.password, server.application)

    def look(self) -> AriConnection | None:
        """See Site."""
        server = self._server
        return _look(server.ari, server.username, server.password) if server.ari else None


def _program(run: Run, url: str, username: str, password: str, application: str) -> Client:
    program = run.program
    phones = run.phones
    supervisors = [phones[s].extension if s in phones else s for s in program.supervisors]
    return Client(
        url,
        username,
        password,
        application=application,
        sample_rate=RATE,
        endpoint=program.endpoint,
        supervisors=supervisors,
        music=program.music,
        probe=False,
    )


def _look(url: str, username: str, password: str) -> AriConnection:
    settings = AriSettings(url, username, password, "callbridge-acceptance")
    return AriConnection(settings, on_event=lambda _event: None)
