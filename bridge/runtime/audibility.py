"""Who hears whom in a call, by what Asterisk reports now rather than by what we remember.

What Asterisk reports: channels, the bridges they are in, and on what a snoop is (its name). What it
does not: whether a channel is muted. ``ast_channel_suppress`` (main/channel.c) publishes nothing,
and neither ARI nor a dialplan function reads it. Each gate therefore carries a variable of ours,
``CALLBRIDGE_GATE``, which is written before a gate opens and after it has shut; a gate without it
counts as open. So a gate that somebody else's ARI client opens, without the variable, is not seen
here: see ``bridge.runtime.audibility_check``, which shuts again what is to be shut.

Nor does Asterisk report the directions of a snoop: ours are known by their keys, one of somebody
else's counts as hearing and being heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Protocol, TypeVar

from bridge.ari import AriConnection, models
from bridge.directory import Directory, LiveCall
from bridge.model.audibility import Cell, Matrix
from bridge.model.errors import CallNotFoundError, RequestFailedError
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.names import Names
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.orders import GATE_VARIABLE
from bridge.runtime.prompter import PROMPTER
from bridge.runtime.supervision import Supervision
from bridge.session.observer import Stage
from bridge.topology.standing import (
    AudibilityReport,
    Cast,
    Found,
    ListedBridge,
    ListedChannel,
    compare,
    find,
    same_differences,
)

__all__ = [
    "AGAIN_SECONDS",
    "GENTLY",
    "AudibilityReport",
    "Look",
    "Scene",
    "look",
    "look_at",
    "look_long_at",
    "together",
]

T = TypeVar("T")

LOOKS: Final = 3
"""How often something has to be found to be a difference, and not a change under way."""
AGAIN_SECONDS: Final = 0.2
GENTLY: Final = 2
"""How many requests of a check are under way at once: Asterisk answers in order, and a change of
mode, which somebody waits to hear, comes behind them."""

_GATED: Final = ("snoop.", "media.")
_NO_GATE: Final = "snoop.cue."
_HEARING: Final = frozenset({Stage.PRESENT, Stage.FINISHING})
_IN_BETWEEN: Final = frozenset({Stage.JOINING, Stage.ENDING})


class Prompting(Protocol):
    """Knows who is prompted."""

    @property
    def prompters(self) -> Mapping[CallId, str]:
        """The channels of those who are spoken to by a prompter, by the prompters' ids."""


class Scene(Protocol):
    """Where calls and observers are: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def names(self) -> Names:
        """Reads the ids of our objects."""

    @property
    def known(self) -> frozenset[CallId]:
        """Under which ids objects in Asterisk are in use."""

    @property
    def directory(self) -> Directory:
        """All live calls. Raises InvalidStateError when they are not watched."""

    @property
    def supervision(self) -> Supervision:
        """The observers."""

    @property
    def transfers(self) -> Prompting:
        """Who speaks to parties for the program's own purposes."""

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call of our own that is going on."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found of one call, and what it was found in."""

    report: AudibilityReport
    found: Found


@dataclass(frozen=True, slots=True)
class _Meant:
    """What is wanted of a call."""

    cast: Cast
    wanted: Matrix
    free: Matrix
    """Cells that need not stand, and may."""
    legs: frozenset[str]
    """Channels that only we may mute: the parties' of a call of our own."""


async def look(scene: Scene, call_id: CallId) -> AudibilityReport:
    """Return who hears whom in a live call; a difference is one that lasts for 0.4 s.

    Two lists, and a request for each gate, these all at once. Raises CallNotFoundError,
    ServerError.
    """
    looks = await look_long_at(scene, [call_id])
    if call_id not in looks:
        raise CallNotFoundError(f"call {call_id} is over: live_calls() lists those there are")
    return looks[call_id].report


async def look_long_at(scene: Scene, call_ids: Iterable[CallId]) -> Mapping[CallId, Look]:
    """Look at several calls; a difference is one that lasts. Raises ServerError.

    Those that are over are left out.
    """
    looks = dict(await look_at(scene, call_ids))
    for _ in range(1, LOOKS):
        differing = [call_id for call_id, seen in looks.items() if not seen.report.ok]
        if not differing:
            break
        await asyncio.sleep(AGAIN_SECONDS)
        again = await look_at(scene, differing)
        for call_id in differing:
            before = looks.pop(call_id)
            if call_id in again:
                now = again[call_id]
                report = same_differences(before.report, now.report)
                looks[call_id] = Look(report, now.found)
    return looks


async def look_at(scene: Scene, call_ids: Iterable[CallId]) -> Mapping[CallId, Look]:
    """Return what stands at this moment, be it on its way to what is wanted; by two lists for all.

    Calls that are over are left out. Raises ServerError.
    """
    before = _meant_of_all(scene, call_ids)
    channels = await scene.ari.channels.list()
    bridges = await scene.ari.bridges.list()
    owners = frozenset(owner for meant in before.values() for owner in meant.cast.owners)
    legs = frozenset(leg for meant in before.values() for leg in meant.legs)
    shut = await _shut(scene, channels, owners, legs)
    listed = [_channel(scene.names, channel, shut) for channel in channels]
    rooms = [_bridge(scene.names, bridge) for bridge in bridges]
    after = _meant_of_all(scene, before)
    looks = {}
    for call_id in after:
        meant = _in_flux(before[call_id], after[call_id])
        found = find(listed, rooms, meant.cast)
        report = compare(call_id, meant.cast, found, meant.wanted, free=meant.free)
        looks[call_id] = Look(report, found)
    return looks


async def together(work: Iterable[Awaitable[T]], *, at_once: int | None = None) -> list[T]:
    """Await all, to the end of the last; return results in order, or raise the first error.

    at_once: how many at the same time; by default all. Unlike gather(), it leaves nothing running
    when one fails.
    """
    turns = nullcontext() if at_once is None else asyncio.Semaphore(at_once)

    async def one(awaitable: Awaitable[T]) -> T:
        async with turns:
            return await awaitable

    outcomes = await asyncio.gather(*map(one, work), return_exceptions=True)
    results = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


# --- what stands ----------------------------------------------------------------------------------


async def _shut(
    scene: Scene,
    channels: Sequence[models.Channel],
    owners: frozenset[CallId],
    legs: frozenset[str],
) -> frozenset[str]:
    """Return the ids of channels that say of themselves that they are muted."""
    asked = [c.id for c in channels if c.id in legs or _has_gate(scene.names, c.id, owners)]
    work = (_says_shut(scene.ari, channel_id) for channel_id in asked)
    answers = await together(work, at_once=GENTLY)
    return frozenset(i for i, shut in zip(asked, answers, strict=True) if shut)


def _has_gate(names: Names, channel_id: str, owners: frozenset[CallId]) -> bool:
    name = names.read(channel_id)
    if name is None or name.call not in owners or name.key.startswith(_NO_GATE):
        return False
    return name.key.startswith(_GATED)


async def _says_shut(ari: AriConnection, channel_id: str) -> bool:
    try:
        answer = await ari.channels.get_channel_var(channel_id=channel_id, variable=GATE_VARIABLE)
    except RequestFailedError as error:
        if not error.is_not_found:
            raise
        return False
    return bool(answer.value == "closed")


def _channel(names: Names, channel: models.Channel, shut: frozenset[str]) -> ListedChannel:
    name = names.read(channel.id)
    owner, key = (None, None) if name is None else (name.call, name.key)
    return ListedChannel(channel.id, channel.name, owner, key, channel.id in shut)


def _bridge(names: Names, bridge: models.Bridge) -> ListedBridge:
    name = names.read(bridge.id)
    return ListedBridge(
        bridge.id,
        frozenset(bridge.channels),
        holding=bridge.bridge_type == "holding",
        key=None if name is None else name.key,
    )


# --- what is wanted -------------------------------------------------------------------------------


def _meant_of_all(scene: Scene, call_ids: Iterable[CallId]) -> dict[CallId, _Meant]:
    meant = ((call_id, _meant(scene, call_id)) for call_id in call_ids)
    return {call_id: found for call_id, found in meant if found is not None}


def _in_flux(before: _Meant, after: _Meant) -> _Meant:
    """Return what is wanted now; what became wanted or unwanted meanwhile may be either way."""
    turned = before.wanted ^ after.wanted
    people = {**before.cast.people, **after.cast.people}
    cast = Cast(people, after.cast.parties, before.cast.owners | after.cast.owners)
    return _Meant(cast, after.wanted - turned, before.free | after.free | turned, after.legs)


def _meant(scene: Scene, call_id: CallId) -> _Meant | None:
    """Return what is wanted of a call, None when it is over."""
    call, own = scene.directory.get(call_id), scene.engine(call_id)
    if call is None and own is None:
        return None
    observers = scene.supervision.observers_of(call_id)
    people = _people(call, own, observers)
    seats = {engine.name for engine in observers}
    parties = frozenset(people.values()) - seats
    wanted: set[Cell] = set()
    free: set[Cell] = set()
    silent: frozenset[Participant] = frozenset()
    ours: frozenset[Participant] = frozenset()
    if own is not None:
        audience = own.session.audience
        wanted |= audience.matrix
        silent, ours = audience.muted | audience.held, audience.parties
    # How parties whom we did not bring together hear each other is not for us to say.
    free |= {cell for cell in permutations(parties, 2) if not set(cell) <= ours}
    for engine in observers:
        if engine.state.stage in _HEARING:
            wanted |= {(a, b) for a, b in engine.state.wanted.matrix if b not in silent}
        elif engine.state.stage in _IN_BETWEEN:
            free |= {(engine.name, party) for party in parties}
    gallery = scene.supervision.gallery(call_id)
    if gallery is not None:
        wanted |= gallery.wanted.matrix
    owners = {call_id, *(engine.observer_id for engine in observers)}
    owners |= set() if gallery is None else {gallery.gallery_id}
    for prompter_id, channel_id in scene.transfers.prompters.items():
        if (person := people.get(channel_id)) is not None:
            owners.add(prompter_id)
            free |= {(person, PROMPTER), (PROMPTER, person)}
    cast = Cast(people, parties, frozenset(owners))
    legs = frozenset() if own is None else frozenset(_own_legs(own))
    return _Meant(cast, frozenset(wanted), frozenset(free), legs)


def _people(
    call: LiveCall | None, own: CallEngine | None, observers: Iterable[ObserverEngine]
) -> dict[str, Participant]:
    """Return whose a channel is, by its id."""
    people: dict[str, Participant] = {}
    if call is not None:
        people |= {channel_id: role for role, channel_id in call.channels.items()}
    if own is not None:
        people |= _own_legs(own)
    for engine in observers:
        if (seat := engine.seat_channel) is not None:
            people[seat] = engine.name
    return people


def _own_legs(own: CallEngine) -> dict[str, Participant]:
    legs = {own.executor.channel_of(person): person for person in own.executor.stands.legs.values()}
    return {channel_id: person for channel_id, person in legs.items() if channel_id is not None}
