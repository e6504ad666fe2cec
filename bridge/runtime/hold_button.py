"""The hold button of a phone: who is left alone by it hears music until the other is back.

A phone that is put on hold says so (a re-INVITE with ``sendonly`` or ``inactive``); Asterisk hears
and plays nothing there meanwhile, and in a bridge of our kind does nothing else about it
(bridge_softmix.c): the others would hear silence. Where two or more are left they talk on; with the
AI alone there is nobody to hold.

Where events were lost, as with a program that has died, Asterisk is asked: CHANNEL(rtp,hold), of
PJSIP's channels alone (channels/pjsip/dialplan_functions.c).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from bridge.ari import AriConnection, events
from bridge.model.errors import CallbridgeError, ServerError
from bridge.model.participants import CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.runtime.notes import Notes
from bridge.session import inputs
from bridge.session.effects import Announce, Notice

_log = logging.getLogger(__name__)

_AWAY: Final = "away"
_WAITING: Final = "waiting"
_TECHNOLOGY: Final = "PJSIP/"
_VARIABLE: Final = "CHANNEL(rtp,hold)"


def away(notes: Notes) -> frozenset[Participant]:
    """Return whose phones are on hold, by the notes of their call."""
    return _read(notes, _AWAY)


def held_by_command(notes: Notes, party: Participant) -> None:
    """Note that a party is on hold for another reason, too: no button brings him back."""
    _write(notes, _WAITING, _read(notes, _WAITING) - {party})


class HoldButton:
    """Watches the phones of one call, and holds who would be alone.

    What it knows is in the call's notes: whose phones are on hold (``away``), and who waits for
    them (``waiting``). spawn: owns a task.
    """

    def __init__(
        self,
        call: CallEngine,
        ari: AriConnection,
        spawn: Callable[[Coroutine[None, None, None], str], Callable[[], None]],
    ) -> None:
        self._call = call
        self._ari = ari
        self._spawn = spawn
        self._brought_back: frozenset[Participant] = frozenset()
        """Whom somebody brought back before the other was: he is left alone then."""
        self._settling = asyncio.Lock()
        call.handset_listeners.append(self._pressed)
        call.on_change.append(self._changed)
        call.on_events_missed.append(self._look_later)

    def _pressed(self, party: Participant, event: HandsetEvent) -> None:
        before = away(self._call.notes)
        match event:
            case events.ChannelHold():
                now = before | {party}
                self._brought_back = frozenset()
            case events.ChannelUnhold():
                now = before - {party}
            case _:
                return
        self._note(now)

    def _note(self, now: frozenset[Participant]) -> None:
        """Note whose phones are on hold, and tell of those that were not, or are not any more."""
        before = away(self._call.notes)
        _write(self._call.notes, _AWAY, now)
        for party in sorted(now ^ before):
            _log.info("call %s: %s is %s", self._id, party, "away" if party in now else "back")
            for listener in list(self._call.listeners):
                listener(Announce(Notice.PARTY_CHANGED, party=party))
        if now != before:
            self._settle_later()

    def _look_later(self) -> None:
        self._spawn(self._look(), f"hold button {self._id}: look")

    async def _look(self) -> None:
        """Ask Asterisk whose phones are on hold: it may not have been told to us."""
        found = {party: await self._is_away(party) for party in self._call.session.parties}
        self._note(frozenset(party for party, is_away in found.items() if is_away))

    async def _is_away(self, party: Participant) -> bool:
        """Tell whether a party's phone is on hold; as far as is known, if it cannot be asked."""
        known = party in away(self._call.notes)
        channel_id = self._call.executor.channel_of(party)
        caller = party == CALLER
        name = self._call.incoming.channel_name if caller else self._call.endpoint_of(party)
        if channel_id is None or not name.startswith(_TECHNOLOGY):
            return known
        try:
            answer = await self._ari.channels.get_channel_var(
                channel_id=channel_id, variable=_VARIABLE
            )
        except ServerError as error:
            _log.debug("call %s: is %s away? %s", self._id, party, error)
            return known
        return answer.value == "1"

    def _changed(self) -> None:
        notes, session = self._call.notes, self._call.session
        if not (notes.get(_AWAY) or notes.get(_WAITING)) or session.phase.is_over:
            return
        _write(notes, _AWAY, away(notes) & session.parties)
        if session.kept:
            # A transfer, or a parking, sees to everybody now.
            _write(notes, _WAITING, frozenset())
            return
        gone = _read(notes, _WAITING) - session.standing.held
        if gone and not self._settling.locked():
            _write(notes, _WAITING, _read(notes, _WAITING) - gone)
            if session.agent_present:
                self._brought_back |= gone
        if self._wanted() != _read(notes, _WAITING):
            self._settle_later()

    def _wanted(self) -> frozenset[Participant]:
        """Return who would be alone, were he not on hold."""
        session, notes = self._call.session, self._call.notes
        if session.kept or session.phase.is_over:
            return _read(notes, _WAITING)
        others_hold = session.standing.held - _read(notes, _WAITING)
        talking = session.parties - session.standing.apart - others_hold
        there = talking - away(notes)
        alone = len(there) == 1 and there < talking
        return there - self._brought_back if alone else frozenset()

    def _settle_later(self) -> None:
        if not self._settling.locked():
            self._spawn(self._settle(), f"hold button {self._id}")

    async def _settle(self) -> None:
        """Hold, and bring back, until it is as wanted; a refusal waits for the next change."""
        notes = self._call.notes
        async with self._settling:
            while (wanted := self._wanted()) != (waiting := _read(notes, _WAITING)):
                _write(notes, _WAITING, wanted)
                try:
                    await self._arrange(waiting - wanted, wanted)
                except CallbridgeError as error:
                    _write(notes, _WAITING, waiting & self._call.session.standing.held)
                    _log.warning("call %s: hold button: %s", self._id, error.error_message)
                    return

    async def _arrange(self, back: frozenset[Participant], waiting: frozenset[Participant]) -> None:
        standing = self._call.session.standing
        held = standing.held - back | waiting
        await self._call.command(
            lambda token: inputs.Arrange(token, held, standing.apart, unless_kept=True)
        )

    @property
    def _id(self) -> str:
        return self._call.incoming.call_id


def _read(notes: Notes, key: str) -> frozenset[Participant]:
    return frozenset(map(Participant, filter(None, notes.get(key, "").split(","))))


def _write(notes: Notes, key: str, parties: frozenset[Participant]) -> None:
    if parties:
        notes[key] = ",".join(sorted(parties))
    else:
        notes.pop(key, None)
