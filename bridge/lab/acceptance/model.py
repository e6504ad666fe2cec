"""What an acceptance run is: a PBX, phones, and steps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import msgspec

from bridge.lab.acceptance.values import Duration
from bridge.lab.hearing import TONES
from bridge.lab.phones import Behaviour, Codec

APART_HZ: Final = 150.0
"""Voices have to be, to be told apart."""
_LOWEST_HZ: Final = 300.0
_HIGHEST_HZ: Final = 3400.0
MUSIC: Final = "music"
"""Stands, where voices do, for sound that is no voice of the run."""
BRIEF: Final = "brief"
"""The voice of what a human is told before he accepts a transfer."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a document is made of."""


class Server(Part, frozen=True, kw_only=True):
    """A PBX of one's own: where phones sign in and, for what callbridge does, where it is.

    ``sip``: host, or host:port. ``ari``: ``http://pbx:8088/ari``, for a program in this process;
    or ``callbridge``: address of a running ``callbridge serve``, with a ``key``.
    """

    sip: str
    ari: str = ""
    username: str = ""
    password: str = ""
    application: str = "callbridge"
    callbridge: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if self.ari and self.callbridge:
            raise ValueError("ari or callbridge, not both")
        if self.ari and not (self.username and self.password):
            raise ValueError("ari needs username and password")
        if not self.port.isdigit():
            raise ValueError(f"sip: {self.sip} has no port that is a number")

    @property
    def host(self) -> str:
        """Where phones sign in."""
        return self.sip.rpartition(":")[0] or self.sip

    @property
    def port(self) -> str:
        """Its port."""
        host, colon, port = self.sip.rpartition(":")
        return port if host and colon else "5060"


class PhoneSpec(Part, frozen=True, kw_only=True):
    """A phone. In the lab its password is known. ``tone``: Hz of its voice, by default its own."""

    SHORT: ClassVar = "extension"
    extension: str
    password: str = ""
    codec: Codec | None = None
    answer: Behaviour = Behaviour.ANSWER
    answer_after: Duration = Duration(0)
    says: str = "tone"
    """``tone``, ``silence``, ``nothing`` (no RTP at all), or the path of a sound file."""
    tone: float | None = None
    register: bool = True

    def __post_init__(self) -> None:
        if self.tone is not None and not _LOWEST_HZ <= self.tone <= _HIGHEST_HZ:
            raise ValueError(
                f"tone: {_LOWEST_HZ:g} to {_HIGHEST_HZ:g} Hz, which every codec carries"
            )


class Hearing(Part, frozen=True, kw_only=True):
    """What counts as heard, in dB of the level that voices are sent at.

    ``absent_below``: by default 60, or 40 with G.711, whose own noise is heard.
    """

    level: float = -15.0
    """dBFS that every voice is sent at."""
    present_within: float = 3.0
    absent_below: float | None = None
    music_below: float = 30.0
    """Sound that is no voice and louder than this far below one is music."""

    def __post_init__(self) -> None:
        if not self.level <= 0:
            raise ValueError("level: 0 dBFS or less, such as -15")


class Program(Part, frozen=True, kw_only=True):
    """How callbridge is started for the run."""

    supervisors: tuple[str, ...] = ()
    """Phones that may observe by dialling the access code."""
    endpoint: str = "PJSIP/{number}"
    music: str = ""

    def __post_init__(self) -> None:
        rest = self.endpoint.replace("{number}", "")
        if rest == self.endpoint or "{" in rest or "}" in rest:
            raise ValueError("endpoint: must have {number} in it and no other braces")


class Step(Part, frozen=True, kw_only=True):
    """One thing that is done or expected.

    ``within``: how long it may take. ``lasts``: of what is expected, how long it has to hold.
    """

    do: Any
    verb: str
    line: int
    name: str = ""
    within: Duration | None = None
    lasts: Duration | None = None

    @property
    def shown(self) -> str:
        """For people."""
        return self.name or f"{self.verb.replace('_', ' ')} {self.do}".strip()


class Head(Part, frozen=True, kw_only=True):
    """What a run says before its steps. Without a server it is made on an Asterisk of the lab."""

    name: str
    description: str = ""
    server: Server | None = None
    program: Program = Program()
    codec: Codec = Codec.PCMU
    """Of phones that say nothing of it."""
    hearing: Hearing = Hearing()
    phones: dict[str, PhoneSpec]
    timeout: Duration = Duration(120)
    """Of the whole run."""
    leaves_nothing: bool | None = None
    """No channel and no bridge may be left that was not there before: by default, in the lab."""


class Run(Head, frozen=True, kw_only=True):
    """A whole run."""

    steps: tuple[Step, ...]
    path: Path | None = None
    """The file that it was read from; files that it names are beside it."""


Verdict = Literal["passed", "failed", "skipped"]


def free_tones(given: Iterable[float]) -> list[float]:
    """Return tones, in Hz, for those voices that are given none."""
    taken = list(given)
    return [hz for hz in TONES.values() if all(abs(hz - other) >= APART_HZ for other in taken)]
