"""Looks, every few seconds, whether observed calls are heard as they should be, and repairs them.

What may break them from outside, all of it by another client of ARI, and what is done:

=================================  ===============================================================
a snoop or media channel removed   reported by an event: its engine makes a new one at once
a line's or seat's bridge removed  found here: its engine makes a new one
a channel moved to another bridge  found here: its engine moves it back
a channel put into our bridge      found here: taken out; if it cannot be, a line's bridge is remade
a snoop of its own on an observer  found here and told; it is not ours to remove
a gate opened, with our variable   found here: its engine shuts it
a gate opened without it           not reported by Asterisk: all gates that are to be shut are shut
                                   again with every check (muting twice is muting once)
=================================  ===============================================================

A check costs two lists, one request for each gate, and one more for each gate that is to be shut.
Nothing is sent as long as nobody observes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bridge.model.audibility import Matrix
from bridge.model.errors import RequestFailedError, ServerError
from bridge.model.ids import CallId
from bridge.model.participants import AGENT
from bridge.runtime.audibility import (
    AGAIN_SECONDS,
    GENTLY,
    AudibilityReport,
    Look,
    Scene,
    look_at,
    look_long_at,
    together,
)
from bridge.runtime.audit import Audit
from bridge.runtime.executor import Executor
from bridge.runtime.listeners import tell
from bridge.session.inputs import AudienceFailed, EventsMissed
from bridge.topology.objects import CALL_BRIDGE, Key
from bridge.topology.standing import Found, Stranger

_log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 5.0
REPAIR_SECONDS: Final = 1.0
"""How long a repair may take before whoever is heard against what is wanted is silenced."""
_WHO: Final = "audibility"
_BY: Final = "callbridge"
_CHANGED: Final = 409


class AudibilityCheck:
    """The periodic check; ``run()`` is the owner's task.

    Each of ``listeners`` is told of a difference once, before it is repaired; must not block.
    """

    def __init__(
        self,
        scene: Scene,
        audit: Audit,
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._scene = scene
        self._audit = audit
        self.listeners: list[Callable[[AudibilityReport], None]] = []
        self.every_seconds = every_seconds
        self._told: dict[CallId, AudibilityReport] = {}
        """What was found of calls that differ."""

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(self.every_seconds)
            try:
                await self.check()
            except ServerError as error:
                # Without a link its next UP compares everything; a slow server is asked again.
                _log.warning("not known whether all are heard as they should be: %s", error)
            except Exception:  # noqa: BLE001 - a fault of ours with one call must not end the check
                _log.exception("not known whether all are heard as they should be")

    async def check(self) -> None:
        """Look at all observed calls once, and repair them. Raises ServerError."""
        observed = self._observed()
        self._told = {i: told for i, told in self._told.items() if i in observed}
        if not observed or not self._scene.ari.state.is_up:
            return
        await self._shut_again(observed)
        looks = await look_long_at(self._scene, observed)
        for call_id, seen in looks.items():
            if seen.report.ok:
                self._told.pop(call_id, None)
        differing = [(i, seen) for i, seen in looks.items() if not seen.report.ok]
        await together(self._repair(call_id, seen) for call_id, seen in differing)

    def _observed(self) -> frozenset[CallId]:
        supervision = self._scene.supervision
        engines = (supervision.observer(object_id) for object_id in supervision.ids)
        calls = (supervision.call_of(engine) for engine in engines if engine is not None)
        return frozenset(call_id for call_id in calls if call_id is not None)

    # --- what no report shows -------------------------------------------------------------------

    async def _shut_again(self, observed: frozenset[CallId]) -> None:
        """Mute once more what is to be muted."""
        for call_id in observed:
            for owner in tuple(self._owners(call_id)):
                await self._shut_gates(owner)

    async def _shut_gates(self, owner: _Owner) -> None:
        stands = owner.executor.stands
        ends = {*stands.snoops, *stands.media} - stands.open_gates
        work = (
            *(self._shut_gate(owner.executor, end) for end in ends),
            *(self._mute_leg(owner.executor, leg) for leg in stands.muted),
        )
        if any(await together(work, at_once=GENTLY)):
            # One was opened while we shut it, in whichever order: its owner opens it again.
            owner.doubt()

    async def _shut_gate(self, executor: Executor, end: Key) -> bool:
        """Shut a gate that is to be shut still; tell whether it was opened meanwhile."""
        if end in executor.stands.open_gates:
            return False
        await self._mute(executor.id_of(end), "out")
        return end in executor.stands.open_gates

    async def _mute_leg(self, executor: Executor, leg: Key) -> bool:
        """Mute a leg that is to be muted still; tell whether it was unmuted meanwhile."""
        if leg not in executor.stands.muted:
            return False
        await self._mute(executor.id_of(leg), "in")
        return leg not in executor.stands.muted

    async def _mute(self, channel_id: str | None, direction: Literal["in", "out"]) -> None:
        if channel_id is not None:
            channels = self._scene.ari.channels
            await _unless_gone(channels.mute(channel_id=channel_id, direction=direction))

    # --- repair ---------------------------------------------------------------------------------

    async def _repair(self, call_id: CallId, seen: Look) -> None:
        """Tell of a difference, unless it is known already, and have it put right."""
        report, told = seen.report, self._told.get(call_id)
        is_new = told is None or told.differences != report.differences
        self._told[call_id] = report
        if is_new:
            self._tell(report)
        if _can_be_repaired(report):
            left = await self._repaired(call_id, seen)
        else:
            left = seen
        if is_new or left is None:
            result = "repaired" if left is None else f"not repaired: {_described(left.report)}"
            self._audit.note(call_id, _WHO, _described(report), by=_BY, result=result)
        if left is None:
            del self._told[call_id]

    async def _repaired(self, call_id: CallId, seen: Look) -> Look | None:
        """Have a call put right. Return what still differs, None when nothing does."""
        await self._clear(call_id, seen)
        for owner in self._owners(call_id):
            owner.doubt()
        left = await self._left_after_repair(call_id)
        if left is not None:
            cells = _without_strangers(left.report)
            self._silence(call_id, cells)
            await self._cut(left.found, cells)
        return left

    def _tell(self, report: AudibilityReport) -> None:
        _log.warning("%s", report)
        tell(self.listeners, _log, "a listener of the check for differences", report)

    async def _clear(self, call_id: CallId, seen: Look) -> None:
        """Remove what no engine knows of: strangers from our bridges, and what was left over."""
        scene = self._scene
        owners = {i: name.call for i in seen.found.objects if (name := scene.names.read(i))}
        left = [i for i, owner in owners.items() if owner not in scene.known]
        out = [self._turn_out(call_id, s) for s in seen.report.strangers if s.intrudes]
        await together(
            [*out, *(_unless_gone(scene.ari.channels.hangup(channel_id=i)) for i in left)]
        )

    async def _left_after_repair(self, call_id: CallId) -> Look | None:
        """Wait until nothing differs; return what still does, None when all is well."""
        loop = asyncio.get_running_loop()
        end = loop.time() + REPAIR_SECONDS
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            seen = (await look_at(self._scene, [call_id])).get(call_id)
            if seen is None or seen.report.ok:
                return None
            if loop.time() >= end:
                return seen

    async def _turn_out(self, call_id: CallId, stranger: Stranger) -> None:
        """Take a stranger out of a bridge of ours; if he stays, give the bridge up."""
        if stranger.snoops:
            return
        ari = self._scene.ari
        try:
            await ari.bridges.remove_channel(bridge_id=stranger.place, channel=stranger.channel_id)
        except ServerError as error:
            _log.warning("call %s: %s stays: %s", call_id, stranger.name, error)
            name = self._scene.names.read(stranger.place)
            if name is not None and name.key != CALL_BRIDGE:
                await _unless_gone(ari.bridges.destroy(bridge_id=stranger.place))

    def _silence(self, call_id: CallId, cells: Matrix) -> None:
        """Whoever is heard against what is wanted is to be heard by nobody."""
        own = self._scene.engine(call_id)
        for listener, speaker in sorted(cells):
            failed = AudienceFailed(f"{listener} hears {speaker}, against what is wanted")
            if speaker == AGENT and own is not None:
                own.post(failed)
            for engine in self._scene.supervision.observers_of(call_id):
                if engine.name == speaker:
                    engine.post(failed)

    async def _cut(self, found: Found, cells: Matrix) -> None:
        """Remove the very channels by which somebody is heard against what is wanted."""
        ends = {end for cell in cells for end in found.ends(*cell)}
        channels = self._scene.ari.channels
        await together(_unless_gone(channels.hangup(channel_id=end)) for end in ends)

    def _owners(self, call_id: CallId) -> Iterator[_Owner]:
        """Return who has objects on a call."""
        scene = self._scene
        for engine in scene.supervision.observers_of(call_id):
            yield _Owner(engine.executor, engine.post)
        if (gallery := scene.supervision.gallery(call_id)) is not None:
            yield _Owner(gallery.executor, lambda _missed: gallery.look())
        if (own := scene.engine(call_id)) is not None:
            yield _Owner(own.executor, own.post)


@dataclass(frozen=True, slots=True)
class _Owner:
    """Somebody who has objects on a call."""

    executor: Executor
    post: Callable[[EventsMissed], None]

    def doubt(self) -> None:
        """Let him look at what stands, and make it what is wanted."""
        self.executor.doubt()
        self.post(EventsMissed())


def _can_be_repaired(report: AudibilityReport) -> bool:
    """Tell whether anything differs besides what strangers' snoops hear, which are not ours."""
    turned_out = any(s.intrudes and not s.snoops for s in report.strangers)
    return bool(turned_out or _without_strangers(report) or report.missing or report.doubled)


def _without_strangers(report: AudibilityReport) -> Matrix:
    """Return the unwanted cells that have to do with participants alone."""
    strangers = {s.name for s in report.strangers}
    return frozenset(cell for cell in report.unwanted if not strangers & set(cell))


async def _unless_gone(request: Awaitable[None]) -> None:
    """Await a request about something that may end meanwhile. Raises ServerError."""
    try:
        await request
    except RequestFailedError as error:
        if not (error.is_not_found or error.status == _CHANGED):
            raise


def _described(report: AudibilityReport) -> str:
    parts = [
        *(f"{a} hears {b}, unwanted" for a, b in sorted(report.unwanted)),
        *(f"{a} does not hear {b}" for a, b in sorted(report.missing)),
        *(f"{a} hears {b} twice" for a, b in sorted(report.doubled)),
        *(f"stranger {s.name}" for s in report.strangers if s.intrudes),
    ]
    return "; ".join(parts)
