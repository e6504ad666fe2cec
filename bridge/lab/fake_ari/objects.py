"""What stands in the fake server: channels, bridges, phones, playbacks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

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
    RTP = "UnicastRTP"
    SNOOP = "Snoop"
    LOCAL = "Local"


class Answer(StrEnum):
    """What a phone does when it is dialled."""

    ANSWER = "ANSWER"
    RING = "RING"
    """Rings until the test lets it answer or refuse, or for ever."""
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


OUTGOING: Final = ("AppDial2", "(Outgoing Line)")
"""The application that a channel shows which Asterisk dialled for an originate."""


def now_text() -> str:
    """Return the time as ARI writes it."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    return f"{moment[:-6]}+0000"


@dataclass(eq=False)
class FakePlayback:
    """A list of media that plays, or waits to play, to a channel or a bridge."""

    id: str
    target_uri: str
    media: deque[str]
    state: str = "queued"
    current: str = ""

    def json(self) -> Json:
        """Return the snapshot that answers and events carry."""
        told: Json = {"id": self.id, "media_uri": self.current}
        if self.media:
            told["next_media_uri"] = self.media[0]
        return {**told, "target_uri": self.target_uri, "language": "en", "state": self.state}


@dataclass(eq=False)
class FakeChannel:
    """One channel."""

    id: str
    kind: Kind
    name: str
    state: str = "Down"
    caller: str = ""
    caller_name: str = ""
    connected: str = ""
    connected_name: str = ""
    context: str = "default"
    exten: str = "s"
    priority: int = 1
    app_name: str = ""
    """The dialplan application that it is in, as snapshots tell."""
    app_data: str = ""
    rests_in: tuple[str, str] = ("", "")
    """Application and data that it shows when it has left Stasis."""
    application: str = ""
    """The ARI application that it is in, or was in last."""
    args: list[str] = field(default_factory=list)
    in_stasis: bool = False
    has_dialplan: bool = False
    """It runs in the dialplan, and came to Stasis from there."""
    bridge: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    handlers: list[str] = field(default_factory=list)
    """What CHANNEL(hangup_handler_push) was set to, the last one runs first."""
    groups: dict[str, str] = field(default_factory=dict)
    """By category, as GROUP() was set."""
    ends_at: float | None = None
    """When TIMEOUT(absolute) ends it, by the event loop's time."""
    on_hold: bool = False
    """The far side of its bridge holds, or ARI does."""
    muted: set[str] = field(default_factory=set)
    """``in`` and ``out``, as muted by ARI."""
    target: str | None = None
    """Snoop: the channel it sits on."""
    spy: str = "none"
    whisper: str = "none"
    endpoint: str = ""
    """What was dialled to get it, without the technology."""
    other: str | None = None
    """Local: the id of the other half."""
    dialler: str | None = None
    """The channel whose Dial() made it."""
    repeats_dialstring: bool = False
    """Its Dial events all name what was dialled, not only the first."""
    going: bool = False
    """Hung up; its end is on the way."""
    sounds: set[str] = field(default_factory=set)
    """What plays to it: ``ring``, ``moh``, ``silence``, ``hold``."""
    playbacks: deque[FakePlayback] = field(default_factory=deque)
    digits: str = ""
    """DTMF that ARI sent to it."""
    media: FakeMedia | None = None
    silent: bool = False
    """A phone that sends no RTP."""
    language: str = "en"
    accountcode: str = ""
    linked: str = ""
    created: str = field(default_factory=now_text)
    began: float = 0.0
    """When it was made, by the event loop's time."""
    received: int = 0
    """Packets of RTP that its phone had sent when they were last counted."""

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
            "caller": {"name": self.caller_name, "number": self.caller},
            "connected": {"name": self.connected_name, "number": self.connected},
            "accountcode": self.accountcode,
            "dialplan": {
                "context": self.context,
                "exten": self.exten,
                "priority": self.priority,
                "app_name": self.app_name,
                "app_data": self.app_data,
            },
            "creationtime": self.created,
            "language": self.language,
        }
        return channel

    def answer_json(self) -> Json:
        """Return the snapshot with what only the answer to its making carries."""
        shown = {
            name: value
            for name, value in self.variables.items()
            if name.startswith(("MEDIA_WEBSOCKET", "UNICASTRTP"))
        }
        return {**self.json(), "channelvars": shown} if shown else self.json()


@dataclass(eq=False)
class FakeBridge:
    """One bridge."""

    id: str
    kind: str = "mixing"
    """The attributes it was asked for, such as ``mixing,video_sfu``."""
    name: str = ""
    channels: list[str] = field(default_factory=list)
    music: bool = False
    playback: FakePlayback | None = None
    bridge_class: str = "stasis"
    """``stasis``: made by ARI; ``basic`` by Dial(), ``parking``: ARI does not touch them."""
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
        video = "sfu" if "video_sfu" in self.kind else "talker"
        return {
            "id": self.id,
            "technology": self.technology,
            "bridge_type": "holding" if "holding" in self.kind else "mixing",
            "bridge_class": self.bridge_class,
            "creator": {"stasis": "Stasis", "parking": "Parking"}.get(self.bridge_class, ""),
            "name": self.name,
            "channels": list(self.channels),
            "creationtime": self.created,
            "video_mode": video if self.bridge_class == "stasis" else "none",
        }
