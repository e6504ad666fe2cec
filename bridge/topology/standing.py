"""From what Asterisk lists to who hears whom in one call, and how that differs from what is wanted.

Asterisk's own ids are the keys of the topology here: a call is made of objects of several owners
(the call, each observer, the gallery, a stranger), whose keys of ours may be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.model.audibility import Cell, Matrix
from bridge.model.ids import CallId
from bridge.model.participants import CALLER, Participant
from bridge.topology.audibility import audibility
from bridge.topology.objects import Direction, Key, Media, Snoop, Topology

_LEG: Final = "leg."
_SNOOP: Final = "snoop."
_CUE: Final = "snoop.cue."
_MEDIA: Final = "media."
_ANCHOR: Final = "anchor."
_SNOOP_NAME: Final = "Snoop/"
_LOCAL_NAME: Final = "Local/"


@dataclass(frozen=True, slots=True)
class ListedChannel:
    """A channel as Asterisk lists it."""

    id: str
    name: str
    """Asterisk's: that of a snoop carries the id of its target (res_stasis_snoop.c)."""
    owner: CallId | None = None
    """The call, observer or gallery that its id names; None when the id is not of our making."""
    key: Key | None = None
    """What it is, when its id is of our making."""
    shut: bool = False
    """Known to be muted: a gate in direction ``out``, a leg in direction ``in``."""


@dataclass(frozen=True, slots=True)
class ListedBridge:
    """A bridge as Asterisk lists it."""

    id: str
    members: frozenset[str]
    """Ids of channels."""
    holding: bool = False
    """Its members do not hear one another."""
    key: Key | None = None
    """What it is, when its id is of our making."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part in a call: what Asterisk does not know."""

    people: Mapping[str, Participant]
    """Parties and seated observers, by the ids of their channels."""
    parties: frozenset[Participant]
    owners: frozenset[CallId]
    """The ids under which the call, its observers and its gallery have their objects."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A channel that is none of the call's, and is where it hears, or is heard."""

    name: str
    """Asterisk's, such as ``PJSIP/1005-00000007``."""
    channel_id: str
    place: str
    """The id of the bridge that it is in, or of the channel that it snoops on."""
    snoops: bool
    intrudes: bool
    """It is where nobody but callbridge has to do: in a bridge of ours, at an observer's channel.
    Others may have reasons to be with the parties, such as a recording."""


@dataclass(frozen=True, slots=True)
class Found:
    """One call as it stands."""

    topology: Topology
    """Keys are Asterisk's ids. Strangers in a bridge are legs, named as their channels."""
    strangers: tuple[Stranger, ...] = ()
    objects: Mapping[str, Key] = field(default_factory=dict)
    """Our keys of those of the channels that we made, by id."""
    overheard: Matrix = frozenset()
    """What strangers who snoop may hear, and who may hear them: which of it, is not listed."""

    def ends(self, listener: Participant, speaker: Participant) -> frozenset[str]:
        """Return the ids of our channels by which ``listener`` would hear ``speaker``."""
        keys = {f"{_SNOOP}{speaker}.{listener}", f"{_MEDIA}{listener}.{speaker}"}
        return frozenset(i for i, key in self.objects.items() if key in keys)


@dataclass(frozen=True, slots=True)
class AudibilityReport:
    """Who is to hear whom in a call, and who does, by what Asterisk lists.

    Cells are (listener, speaker). A gate whose state is not known counts as open.
    """

    call_id: CallId
    participants: tuple[Participant, ...]
    """Those whom the rest is about, and strangers by the names of their channels."""
    wanted: Matrix
    standing: Matrix
    unwanted: Matrix
    """Heard, and should not be."""
    missing: Matrix
    """Should be heard, and is not."""
    doubled: Matrix
    """Heard by more than one way: too loud, or as an echo."""
    strangers: tuple[Stranger, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether what stands is what is wanted. A stranger with the parties does not count."""
        intruders = any(stranger.intrudes for stranger in self.strangers)
        return not (self.unwanted or self.missing or self.doubled or intruders)

    @property
    def differences(self) -> tuple[Matrix, Matrix, Matrix, frozenset[str]]:
        """What ``ok`` depends on: to tell whether two reports find the same."""
        intruders = frozenset(s.channel_id for s in self.strangers if s.intrudes)
        return self.unwanted, self.missing, self.doubled, intruders

    def as_dict(self) -> dict[str, object]:
        """Return what ``json.dumps`` takes."""
        return {
            "call_id": self.call_id,
            "ok": self.ok,
            "participants": list(self.participants),
            "wanted": _pairs(self.wanted),
            "standing": _pairs(self.standing),
            "unwanted": _pairs(self.unwanted),
            "missing": _pairs(self.missing),
            "doubled": _pairs(self.doubled),
            "strangers": [
                {
                    "name": s.name,
                    "channel_id": s.channel_id,
                    "place": s.place,
                    "snoops": s.snoops,
                    "intrudes": s.intrudes,
                }
                for s in self.strangers
            ],
        }

    def __str__(self) -> str:
        """For people: a line for each listener, a column for each speaker."""
        head = ["hears", *self.participants]
        rows = [
            [listener, *(self._shown((listener, speaker)) for speaker in self.participants)]
            for listener in self.participants
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ]
        verdict = "as wanted" if self.ok else "NOT as wanted"
        seen = [f"stranger {s.name} {'on' if s.snoops else 'in'} {s.place}" for s in self.strangers]
        return "\n".join([f"call {self.call_id}: {verdict}", *lines, *seen])

    def _shown(self, cell: Cell) -> str:
        if cell[0] == cell[1] and cell not in self.standing:
            return ""
        if cell in self.unwanted:
            return "UNWANTED"
        if cell in self.missing:
            return "MISSING"
        if cell in self.doubled:
            return "TWICE"
        return "yes" if cell in self.standing else "-"


def find(channels: Iterable[ListedChannel], bridges: Iterable[ListedBridge], cast: Cast) -> Found:
    """Return what of all that Asterisk lists is one call: whatever its people and objects touch.

    Bridges joined by a Local channel are one. A holding bridge joins nobody. Objects of ours that
    touch the call count, whoever's they were: what was left over is heard as well.
    """
    return _Search({c.id: c for c in channels}, list(bridges), cast).found()


def compare(
    call_id: CallId, cast: Cast, found: Found, wanted: Matrix, *, free: Matrix = frozenset()
) -> AudibilityReport:
    """Return the report. free: cells that nobody has to want, and that may stand all the same."""
    deaf = _deaf(found.topology, cast)
    heard = audibility(found.topology).items()
    ways = {cell: count for cell, count in heard if cell[0] not in deaf}
    standing = frozenset(ways) | found.overheard
    visitors = {s.name for s in found.strangers if not s.intrudes}
    judged = {cell for cell in standing if not visitors & set(cell)}
    names = {name for cell in standing | wanted for name in cell} | set(cast.people.values())
    return AudibilityReport(
        call_id,
        tuple(sorted(names, key=lambda name: _order(name, cast))),
        wanted,
        standing,
        unwanted=frozenset(judged - wanted - free),
        missing=wanted - standing,
        doubled=frozenset(cell for cell, count in ways.items() if count > 1 and cell in judged),
        strangers=found.strangers,
    )


def same_differences(one: AudibilityReport, other: AudibilityReport) -> AudibilityReport:
    """Return ``other`` with only those differences that ``one`` has too.

    What differs in one look and not in the next was a change under way.
    """
    before = {s.channel_id for s in one.strangers}
    return AudibilityReport(
        other.call_id,
        other.participants,
        other.wanted,
        other.standing,
        one.unwanted & other.unwanted,
        one.missing & other.missing,
        one.doubled & other.doubled,
        tuple(s for s in other.strangers if not s.intrudes or s.channel_id in before),
    )


class _Search:
    """Grows from what is known to belong to the call to all that touches it; used once."""

    def __init__(
        self, channels: Mapping[str, ListedChannel], bridges: list[ListedBridge], cast: Cast
    ) -> None:
        self._channels = channels
        self._bridges = [bridge for bridge in bridges if not bridge.holding]
        self._cast = cast
        self._halves = {c.name: c.id for c in channels.values() if _is_local(c)}
        self._snoops_on: dict[str, list[ListedChannel]] = {}
        for channel in channels.values():
            if (target := _target(channel)) is not None:
                self._snoops_on.setdefault(target, []).append(channel)
        self._inside: set[str] = set()
        self._strangers: dict[str, Stranger] = {}
        self._overheard: set[Cell] = set()

    def found(self) -> Found:
        """Return what belongs to the call."""
        listed = self._channels.values()
        start = {i for i in self._cast.people if i in self._channels}
        start |= {c.id for c in listed if c.owner in self._cast.owners and c.key is not None}
        self._grow(start)
        topology = self._topology()
        for snoop_id, stranger in self._strangers.items():
            if stranger.snoops:
                self._overhear(snoop_id, stranger, topology)
        objects = {i: key for i in self._inside if (key := self._channels[i].key) is not None}
        strangers = tuple(sorted(self._strangers.values(), key=lambda s: (s.name, s.place)))
        return Found(topology, strangers, objects, frozenset(self._overheard))

    def _grow(self, start: set[str]) -> None:
        """Take in all that touches; from a stranger no further: his other company is his own."""
        fresh = start
        while fresh:
            self._inside |= fresh
            known = self._inside - self._strangers.keys()
            reached: set[str] = set()
            for bridge in self._bridges:
                if bridge.members & known:
                    reached |= self._members(bridge)
            for channel_id in known:
                reached |= self._touching(self._channels[channel_id])
            fresh = reached - self._inside

    def _members(self, bridge: ListedBridge) -> set[str]:
        there = {i for i in bridge.members if i in self._channels}
        for channel_id in there - self._inside:
            channel = self._channels[channel_id]
            if not self._is_known(channel) and not _is_local(channel):
                intrudes = bridge.key is not None
                self._strangers[channel_id] = Stranger(
                    channel.name, channel_id, bridge.id, snoops=False, intrudes=intrudes
                )
        return there

    def _touching(self, channel: ListedChannel) -> set[str]:
        """Return snoops of ours on a channel, and the other half of a Local one."""
        reached: set[str] = set()
        if (other := self._other_half(channel)) is not None:
            reached.add(other)
        for snoop in self._snoops_on.get(channel.id, ()):
            if snoop.key is not None:
                reached.add(snoop.id)
            elif snoop.id not in self._inside:
                is_party = self._cast.people.get(channel.id) in self._cast.parties
                self._strangers[snoop.id] = Stranger(
                    snoop.name, snoop.id, channel.id, snoops=True, intrudes=not is_party
                )
        return reached

    def _overhear(self, snoop_id: str, stranger: Stranger, topology: Topology) -> None:
        """Note whom a stranger's snoop may hear and speak to: its directions are not listed."""
        name = Participant(self._channels[snoop_id].name)
        place = Key(stranger.place)
        if place in topology.snoops:
            place = topology.snoops[place].target
        person = topology.legs.get(place)
        if person is None and place in topology.media:
            person = topology.media[place].owner
        if person is not None:
            self._overheard |= {(name, person), (person, name)}

    def _is_known(self, channel: ListedChannel) -> bool:
        return channel.id in self._cast.people or channel.key is not None

    def _other_half(self, channel: ListedChannel) -> str | None:
        if not _is_local(channel):
            return None
        base, _, half = channel.name.rpartition(";")
        return self._halves.get(f"{base};{'2' if half == '1' else '1'}")

    # --- the topology ---------------------------------------------------------------------------

    def _topology(self) -> Topology:
        people = self._cast.people
        legs = {Key(i): people[i] for i in self._inside if i in people}
        snoops: dict[Key, Snoop] = {}
        media: dict[Key, Media] = {}
        anchors: set[Key] = set()
        for channel_id in self._inside:
            channel, here = self._channels[channel_id], Key(channel_id)
            if channel_id in people:
                continue
            if channel_id in self._strangers:
                legs[here] = Participant(channel.name)
            elif channel.key is None:
                continue
            elif channel.key.startswith(_LEG):
                legs[here] = Participant(channel.key.removeprefix(_LEG))
            elif channel.key.startswith(_SNOOP):
                snoops[here] = self._snoop(channel, channel.key)
            elif channel.key.startswith(_MEDIA):
                media[here] = Media(Participant(channel.key.split(".")[1]), not channel.shut)
            elif channel.key.startswith(_ANCHOR):
                anchors.add(here)
        muted = {key for key in legs if self._channels[key].shut}
        return Topology(legs, self._joined(), snoops, media, frozenset(anchors), frozenset(muted))

    def _snoop(self, channel: ListedChannel, key: Key) -> Snoop:
        target = Key(_target(channel) or "")
        spy = Direction.NONE if key.startswith(_CUE) else Direction.IN
        return Snoop(target, spy, Direction.OUT, gate_open=not channel.shut)

    def _joined(self) -> dict[Key, frozenset[Key]]:
        """Return the bridges, those that a Local channel joins as one."""
        rooms = [
            {i for i in bridge.members if i in self._inside}
            for bridge in self._bridges
            if bridge.members & self._inside
        ]
        names = [bridge.id for bridge in self._bridges if bridge.members & self._inside]
        joined: dict[Key, frozenset[Key]] = {}
        while rooms:
            room, name = rooms.pop(), names.pop()
            while (index := self._next_door(room, rooms)) is not None:
                room |= rooms.pop(index)
                names.pop(index)
            people = {i for i in room if i in self._cast.people or not self._is_half(i)}
            joined[Key(name)] = frozenset(Key(i) for i in people)
        return joined

    def _next_door(self, room: set[str], rooms: list[set[str]]) -> int | None:
        others = {self._other_half(self._channels[i]) for i in room} - {None}
        return next((n for n, other in enumerate(rooms) if other & others), None)

    def _is_half(self, channel_id: str) -> bool:
        return _is_local(self._channels[channel_id])


def _is_local(channel: ListedChannel) -> bool:
    return channel.name.startswith(_LOCAL_NAME) and channel.name[-2:] in {";1", ";2"}


def _target(channel: ListedChannel) -> str | None:
    """Return the id of the channel that a snoop is on; None for other channels."""
    if not channel.name.startswith(_SNOOP_NAME):
        return None
    return channel.name.removeprefix(_SNOOP_NAME).rpartition("-")[0]


def _deaf(topology: Topology, cast: Cast) -> frozenset[Participant]:
    """Return seated observers who are in no bridge: no frames flow that could be whispered upon."""
    seats = ((leg, person) for leg, person in topology.legs.items() if leg in cast.people)
    return frozenset(
        person
        for leg, person in seats
        if person not in cast.parties and topology.bridge_of(leg) is None
    )


def _order(name: Participant, cast: Cast) -> tuple[bool, bool, bool, str]:
    """Parties first, the caller first of them; strangers last."""
    return "/" in name, name not in cast.parties, name != CALLER, name


def _pairs(matrix: Matrix) -> list[list[str]]:
    return [list(cell) for cell in sorted(matrix)]
