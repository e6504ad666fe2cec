"""Everything that a step can do or expect, by the verb that it is written with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from bridge.lab.acceptance.values import Duration
from bridge.model.modes import AudioMode
from bridge.model.states import CallState

Names = tuple[str, ...]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Base of them. What has ``SHORT`` may be written as the value of that field alone."""

    LASTS: ClassVar = False
    """Whether ``lasts`` may be given."""
    SHORTEST_SECONDS: ClassVar = 0.0
    """How long it has to be at least, for tones to be told apart."""
    PHONES: ClassVar[Names] = ()
    """Fields that name phones."""
    ACTORS: ClassVar[Names] = ()
    """Fields that name those whom callbridge embodies: agents, observers."""
    EITHER: ClassVar[Names] = ()
    """Fields that name phones or actors."""
    MAKES: ClassVar[str] = ""
    """The field that names an actor who comes by this."""
    NEEDED: ClassVar[Names] = ()
    """Fields that name somebody, besides those: phones, or numbers."""

    def named(self, fields: Names) -> Names:
        """Return what these fields name."""
        found: list[str] = []
        for field in fields:
            value = getattr(self, field)
            found += [value] if isinstance(value, str) else list(value or ())
        return tuple(found)

    def __str__(self) -> str:
        """For people: what is not as it is by default."""
        shown = []
        for one in msgspec.structs.fields(self):
            value = getattr(self, one.name)
            if value == one.default:
                continue
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            short = one.name == getattr(self, "SHORT", None)
            shown.append(text if short else f"{one.encode_name} {text}")
        return " ".join(shown)


# --- what people do with phones -----------------------------------------------------------------


class Place(Action, frozen=True, kw_only=True):
    """Dial a number, or somebody's phone."""

    PHONES: ClassVar = ("caller",)
    caller: str = msgspec.field(name="from")
    to: str


class PickUp(Action, frozen=True, kw_only=True):
    """Answer what rings, or is going to."""

    SHORT: ClassVar = "phone"
    PHONES: ClassVar = ("phone",)
    phone: Names


class Decline(Action, frozen=True, kw_only=True):
    """Refuse what rings, or is going to."""

    SHORT: ClassVar = "phone"
    PHONES: ClassVar = ("phone",)
    phone: str
    code: int = 603
    """SIP status."""


class Press(Action, frozen=True, kw_only=True):
    """Press keys."""

    PHONES: ClassVar = ("phone",)
    phone: str
    keys: str
    by: Literal["rfc4733", "info"] = "rfc4733"


class Consult(Action, frozen=True, kw_only=True):
    """Hold the call of a phone and place a second one."""

    PHONES: ClassVar = ("phone",)
    phone: str
    to: str


class HangUp(Action, frozen=True, kw_only=True):
    """A phone hangs up; an agent hangs up everybody."""

    SHORT: ClassVar = "who"
    EITHER: ClassVar = ("who",)
    who: Names


class Hold(Action, frozen=True, kw_only=True):
    """By the button of a phone; or an agent holds a party."""

    SHORT: ClassVar = "by"
    EITHER: ClassVar = ("by",)
    by: str
    party: str = "caller"


class Unhold(Hold, frozen=True, kw_only=True):
    """Undo it."""


class Mute(Action, frozen=True, kw_only=True):
    """By the button of a phone; or an agent mutes a party."""

    SHORT: ClassVar = "by"
    EITHER: ClassVar = ("by",)
    by: str
    party: str = "caller"


class Unmute(Mute, frozen=True, kw_only=True):
    """Undo it."""


class Says(Action, frozen=True, kw_only=True):
    """Say something else from now on: ``tone``, ``silence``, or a sound file."""

    EITHER: ClassVar = ("who",)
    who: str
    what: str = "tone"


# --- transfers ----------------------------------------------------------------------------------


class Transfer(Action, frozen=True, kw_only=True):
    """A phone sends the other side to somebody (REFER); an agent hands the caller over."""

    EITHER: ClassVar = ("by",)
    NEEDED: ClassVar = ("to",)
    by: str
    to: Names
    """One after the other."""
    warm: bool = True
    consult: bool | None = None
    accept: Literal["key", "answer"] | None = None
    brief: Duration | None = None
    """The human is told something of this length first: the voice ``brief``."""
    ring_time: Duration = Duration(20)
    summary: str = ""
    stay: bool = False


class Complete(Action, frozen=True, kw_only=True):
    """Connect the others with each other."""

    SHORT: ClassVar = "by"
    EITHER: ClassVar = ("by",)
    by: str


class Cancel(Action, frozen=True, kw_only=True):
    """Take the customer back."""

    SHORT: ClassVar = "by"
    ACTORS: ClassVar = ("by",)
    by: str


class Toggle(Cancel, frozen=True, kw_only=True):
    """Talk to the customer, or to the human again."""


class Conference(Cancel, frozen=True, kw_only=True):
    """Talk all together."""


class Transferred(Action, frozen=True, kw_only=True):
    """Expect that a transfer is over."""

    SHORT: ClassVar = "by"
    EITHER: ClassVar = ("by",)
    by: str
    outcome: str = "completed"


# --- what callbridge does -----------------------------------------------------------------------


class Answer(Action, frozen=True, kw_only=True):
    """An agent takes the call of a phone, and talks with the caller."""

    PHONES: ClassVar = ("call",)
    MAKES: ClassVar = "by"
    SHORT: ClassVar = "call"
    call: str
    by: str = msgspec.field(name="as", default="ai")


class Connect(Action, frozen=True, kw_only=True):
    """An agent rings the callee. With ``call``, of a phone, without answering it before."""

    PHONES: ClassVar = ("call",)
    MAKES: ClassVar = "by"
    by: str = msgspec.field(name="as", default="ai")
    call: str | None = None
    to: Names = ()
    """By default whom the caller dialled."""
    ring_time: Duration = Duration(60)
    fails: str = ""
    """Expect that it does, with this code, such as CALL_BUSY."""


class Originate(Action, frozen=True, kw_only=True):
    """An agent rings somebody, and talks with him."""

    MAKES: ClassVar = "by"
    SHORT: ClassVar = "to"
    to: str
    by: str = msgspec.field(name="as", default="ai")
    caller_id: str = ""


class Observe(Action, frozen=True, kw_only=True):
    """Join the call of a phone: a program, or a person whose ``phone`` is rung."""

    PHONES: ClassVar = ("call", "phone")
    MAKES: ClassVar = "by"
    call: str
    by: str = msgspec.field(name="as", default="observer")
    phone: str | None = None
    hear_coaching: bool = False


class Spy(Action, frozen=True, kw_only=True):
    """Be heard by nobody."""

    SHORT: ClassVar = "by"
    ACTORS: ClassVar = ("by",)
    by: str
    cut: bool = True


class Barge(Spy, frozen=True, kw_only=True):
    """Be heard by everybody."""


class Whisper(Spy, frozen=True, kw_only=True):
    """Be heard by some alone: phones, or names of parties."""

    to: Names = ()


class TakeOver(Action, frozen=True, kw_only=True):
    """An observer speaks in the place of somebody."""

    SHORT: ClassVar = "by"
    ACTORS: ClassVar = ("by",)
    by: str
    replaced: str | None = None
    keep: bool = True


class GiveBack(Cancel, frozen=True, kw_only=True):
    """Undo it."""


class Leave(Cancel, frozen=True, kw_only=True):
    """An agent or an observer leaves; the parties talk on."""


class Add(Action, frozen=True, kw_only=True):
    """An agent rings somebody and puts him to the others."""

    ACTORS: ClassVar = ("by",)
    by: str = "ai"
    to: str
    name: str | None = None


class Remove(Action, frozen=True, kw_only=True):
    """An agent hangs up one party."""

    ACTORS: ClassVar = ("by",)
    by: str = "ai"
    party: str


class Park(Action, frozen=True, kw_only=True):
    """An agent lets a party wait in a slot."""

    ACTORS: ClassVar = ("by",)
    by: str = "ai"
    party: str = "caller"
    slot: str | None = None


class Unpark(Cancel, frozen=True, kw_only=True):
    """Take him back."""


class Announce(Action, frozen=True, kw_only=True):
    """Say something to one party alone."""

    ACTORS: ClassVar = ("by",)
    by: str = "ai"
    sound: str
    to: str = "caller"


class Record(Action, frozen=True, kw_only=True):
    """An agent records the call."""

    SHORT: ClassVar = "by"
    ACTORS: ClassVar = ("by",)
    by: str
    coaching: bool = False


class StopRecording(Cancel, frozen=True, kw_only=True):
    """End the recording."""


# --- what is expected ---------------------------------------------------------------------------


class Expect(Action, frozen=True, kw_only=True):
    """What phones do."""

    PHONES: ClassVar = ("phone",)
    phone: Names
    state: Literal["idle", "calling", "ringing", "talking", "ended"]
    code: int | None = None
    """SIP status that the call ended with."""


class Digits(Action, frozen=True, kw_only=True):
    """What keys a phone has received, or an agent those of a party."""

    EITHER: ClassVar = ("at",)
    at: str
    keys: str
    party: str = "caller"


class Call(Action, frozen=True, kw_only=True):
    """How a call is, or was last, for an agent or an observer."""

    ACTORS: ClassVar = ("by",)
    by: str
    state: CallState | None = None
    mode: AudioMode | None = None
    parties: Names | None = None
    """All of them, by their names: ``caller``, ``callee``, …"""
    parked_in: str | None = None
    ended_by: str | None = None
    """Why it ended for him: ``caller_hung_up``, …"""


class Hears(Action, frozen=True, kw_only=True):
    """Who hears whom: for every listener exactly these voices, and none of the others.

    ``music``: sound that is no voice.
    """

    LASTS: ClassVar = True
    SHORTEST_SECONDS: ClassVar = 0.2
    SHORT: ClassVar = "who"
    EITHER: ClassVar = ("listeners",)
    who: dict[str, Names]

    @property
    def listeners(self) -> Names:
        """Whose ears are measured."""
        return tuple(self.who)

    @property
    def voices(self) -> Names:
        """Whose voices are to be heard."""
        return tuple(dict.fromkeys(name for names in self.who.values() for name in names))

    def __str__(self) -> str:
        heard = (f"{who}: {', '.join(names) or 'nobody'}" for who, names in self.who.items())
        return "; ".join(heard)


class Tone(Action, frozen=True, kw_only=True):
    """A tone is heard, by its frequency: 150 Hz or more from others that are heard with it."""

    LASTS: ClassVar = True
    EITHER: ClassVar = ("at",)
    at: str
    hz: float
    above: float = -45.0
    """dBFS."""


class NoTone(Tone, frozen=True, kw_only=True):
    """A tone is not heard, all the time. Voices that begin are heard at -55 dBFS there."""

    SHORTEST_SECONDS: ClassVar = 0.2
    above: float = -50.0


class Sound(Action, frozen=True, kw_only=True):
    """Something is heard, whatever it is: an announcement, ringback."""

    LASTS: ClassVar = True
    SHORT: ClassVar = "at"
    EITHER: ClassVar = ("at",)
    at: str
    above: float = -40.0
    """dBFS of the peak of 20 ms. What is louder is counted together: words, without pauses."""


class Silence(Action, frozen=True, kw_only=True):
    """Nothing is heard."""

    LASTS: ClassVar = True
    SHORTEST_SECONDS: ClassVar = 0.2
    SHORT: ClassVar = "at"
    EITHER: ClassVar = ("at",)
    at: str
    below: float = -60.0


class Recorded(Action, frozen=True, kw_only=True):
    """Whose voices are in a recording that has ended, and no others."""

    ACTORS: ClassVar = ("by",)
    by: str = "ai"
    caller: Names
    """In the left channel."""
    others: Names
    """In the right one."""


class Event(Action, frozen=True, kw_only=True):
    """An event of callbridge's, once for every step that expects it."""

    SHORT: ClassVar = "type"
    type: str


class NoEvent(Event, frozen=True, kw_only=True):
    """An event does not come."""

    LASTS: ClassVar = True


class Pause(Action, frozen=True, kw_only=True):
    """Let time pass."""

    SHORT: ClassVar = "length"
    length: Duration


class Together(Action, frozen=True, kw_only=True):
    """Several at once: steps, or sequences of them. It is over when all are."""

    branches: tuple[tuple[Any, ...], ...]
    """Of Step."""

    def __str__(self) -> str:
        shown = (", then ".join(step.shown for step in branch) for branch in self.branches)
        return " | ".join(shown)
