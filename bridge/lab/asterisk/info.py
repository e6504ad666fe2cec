"""What a running instance tells the world: where it is reached and who may sign in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AriInfo:
    """Address of ARI, such as ``http://127.0.0.1:12000/ari``, and who signs in there."""

    url: str
    username: str
    password: str


@dataclass(frozen=True)
class SipInfo:
    """Where phones sign in; ``transport`` is ``udp``."""

    host: str
    port: int
    transport: str


@dataclass(frozen=True)
class Account:
    """A phone's account; the number is the username too."""

    number: str
    password: str


@dataclass(frozen=True)
class InstanceInfo:
    """Everything that a program or a softphone needs, and what ``status --json`` prints.

    ``version`` is Asterisk's own, such as ``22.10.1``, without the packager's suffix.
    """

    version: str
    ari: AriInfo
    sip: SipInfo
    accounts: tuple[Account, ...]
