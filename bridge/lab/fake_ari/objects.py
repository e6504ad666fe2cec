"""What stands in the fake server: channels, bridges, phones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.lab.fake_ari.media import FakeMedia

Json = dict[str, object]


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """The server says no: an HTTP status and its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Kind(StrEnum):
    """What a channel is."""

    PHONE = "PJSIP"
    MEDIA = "WebSocket"
    SNOOP = "Snoop"


class Answer(StrEnum):
    """What a phone does when it is dialled."""

    ANSWER = "ANSWER"
    RING = "RING"
    """Rings for ever."""
    BUSY = "BUSY"
    DECLINE = "DECLINE"
    UNREGISTERED = "UNREGISTERED"


@dataclass
class Phone:
    """A phone account and its behaviour."""

    number: str
    answer: Answer = Answer.ANSWER
    after_s: float = 0.0
    """How long it rings before it does what it does."""


def now_text() -> str:
    """Return the time as ARI writes it."""
    moment = datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


@dataclass
class FakeChannel:
    """One channel."""

    id: str
    kind: Kind
    name: str
    state: str = "Down"
    caller: str = ""
    connected: str = ""
    exten: str = "s"
    application: str | None = None
    """The application that the channel will enter, or is in."""
    args: list[str] = field(default_factory=list)
    in_stasis: bool = False
    subscribed: bool = False
    """Made by the application: it hears of the channel before Stasis and after."""
    bridge: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    muted: set[str] = field(default_factory=set)
    """``in`` and ``out``, as muted by ARI."""
    target: str | None = None
    """Snoop: the channel it sits on."""
    spy: str = "none"
    whisper: str = "none"
    endpoint: str = ""
    going: bool = False
    """Hung up; its end is on the way."""
    sounds: set[str] = field(default_factory=set)
    """What plays to it: ``ring``, ``moh``, ``silence``, ``hold``."""
    media: FakeMedia | None = None
    silent: bool = False
    """A phone that sends no RTP."""
    created: str = field(default_factory=now_text)

    def speaks(self) -> bool:
        """Tell whether the far side sends audio at this time."""
        return self.media.is_playing() if self.media is not None else not self.silent

    def json(self) -> Json:
        """Return the snapshot that answers and events carry."""
        channel: Json = {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "protocol_id": "",
            "caller": {"name": "", "number": self.caller},
            "connected": {"name": "", "number": self.connected},
            "accountcode": "",
            "dialplan": {
                "context": "phones" if self.exten != "s" else "default",
                "exten": self.exten,
                "priority": 1,
                "app_name": "Stasis" if self.in_stasis else "",
                "app_data": self.application or "" if self.in_stasis else "",
            },
            "creationtime": self.created,
            "language": "en",
        }
        shown = {k: v for k, v in self.variables.items() if k.startswith("MEDIA_WEBSOCKET")}
        if shown:
            channel["channelvars"] = shown
        return channel


@dataclass
class FakeBridge:
    """One bridge."""

    id: str
    kind: str = "mixing"
    """The attributes it was asked for, such as ``mixing,video_sfu``."""
    name: str = ""
    channels: list[str] = field(default_factory=list)
    music: bool = False
    subscriptions: int = 0
    """How often the application is subscribed to it."""
    created: str = field(default_factory=now_text)

    @property
    def technology(self) -> str:
        """The technology that Asterisk would pick for as many channels."""
        if "holding" in self.kind:
            return "holding_bridge"
        many = len(self.channels) > 2  # noqa: PLR2004 - a pair is what bridge_simple serves
        return "softmix" if "video_sfu" in self.kind or many else "simple_bridge"

    def json(self) -> Json:
        """Return the snapshot that answers and events carry."""
        return {
            "id": self.id,
            "technology": self.technology,
            "bridge_type": "holding" if "holding" in self.kind else "mixing",
            "bridge_class": "stasis",
            "creator": "Stasis",
            "name": self.name,
            "channels": list(self.channels),
            "creationtime": self.created,
            "video_mode": "sfu" if "video_sfu" in self.kind else "talker",
        }
