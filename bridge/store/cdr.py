"""Call detail records out of events. Pure: an event in, a record out.

A record says the same in whatever order events come, and however often: it is made of what all of
them say, the earliest for when something began, the newest for how things are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridge.model.participants import CALLEE
from bridge.model.states import CallState
from bridge.protocol.views import CallRecordView, CallView, EventView
from bridge.sdk import events
from bridge.sdk.originating import number_of
from bridge.store.records import FOREIGN, INBOUND, OUTBOUND

CALLS_KEPT: Final = 5_000
"""Calls that are remembered; of more, the one that nothing has happened to for longest is not."""
ENDED_KEPT: Final = 50
"""Of them, calls that are over: something may trail behind."""
_ENDS_KEPT: Final = 100
_ENDS: Final = frozenset({events.CALL_TERMINATED, events.LIVE_CALL_ENDED})
_ANSWERED: Final = frozenset({CallState.ANSWERED, CallState.CONNECTED})
UNKNOWN: Final = "unknown"
"""The end reason of a call that ended while nobody was there to see it."""


@dataclass(frozen=True, slots=True)
class _End:
    """An event by which the call was over."""

    at: float
    reason: str | None


@dataclass(slots=True)
class _Facts:
    """What events have said of one call. ``newest``: of the last by number that shows it."""

    began_at: float
    newest_seq: int = -1
    newest: CallView | None = None
    alive_seq: int = -1
    answered_at: float | None = None
    connected_at: float | None = None
    originated: bool = False
    own: bool = False
    ends: dict[int, _End] = field(default_factory=dict)
    texts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What is not forgotten when a later view is silent about it: by name, since which event."""
    told: CallRecordView | None = None


class CallRecorder:
    """Makes the record of every call that events tell of.

    kept: how many calls it remembers; ended: how many of them when they are over.
    """

    def __init__(self, kept: int = CALLS_KEPT, *, ended: int = ENDED_KEPT) -> None:
        self._kept = kept
        self._ended_kept = ended
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._calls: OrderedDict[str, _Facts] = OrderedDict()

    def take(self, event: EventView) -> CallRecordView | None:
        """Return the record of the event's call, if the event changes it. Epochs are not mixed."""
        if event.call_id is None or (event.call is None and event.type not in _ENDS):
            return None
        facts = self._calls.get(event.call_id)
        if facts is None:
            if event.call is None:
                return None
            if _is_over(event) and event.type not in _ENDS:
                # Something trails behind a call that is forgotten already.
                return None
            facts = self._calls[event.call_id] = _Facts(began_at=event.at)
        self._calls.move_to_end(event.call_id)
        if len(self._calls) > self._kept:
            self._ended.pop(self._calls.popitem(last=False)[0], None)
        _learn(facts, event)
        record = _record(event.call_id, facts)
        self._forget(event.call_id, over=record is not None and record.ended_at is not None)
        if record is None or record == facts.told:
            return None
        facts.told = record
        return record

    def knows(self, call_id: str) -> bool:
        """Tell whether events have told of a call, and it is remembered."""
        return call_id in self._calls

    def _forget(self, call_id: str, *, over: bool) -> None:
        """Forget the call that is over for longest, should there be too many."""
        self._ended.pop(call_id, None)
        if over:
            self._ended[call_id] = None
            if len(self._ended) > self._ended_kept:
                self._calls.pop(self._ended.popitem(last=False)[0])


def end_of_lost(record: CallRecordView, at: float) -> CallRecordView:
    """Return the record of a call that was gone when somebody looked again, at ``at``."""
    return _ended(record, at, UNKNOWN)


def _is_over(event: EventView) -> bool:
    return event.call is None or event.call.state is CallState.DISCONNECTED


def _learn(facts: _Facts, event: EventView) -> None:
    facts.began_at = min(facts.began_at, event.at)
    view = event.call
    if view is not None:
        facts.began_at = min(facts.began_at, view.since)
        if event.seq > facts.newest_seq:
            facts.newest_seq, facts.newest = event.seq, view
        for name, text in (
            ("program", view.program),
            ("caller_number", view.caller_number),
            ("callee_number", view.callee_number or _rung(view)),
        ):
            if text and event.seq >= facts.texts.get(name, (-1, ""))[0]:
                facts.texts[name] = (event.seq, text)
        facts.own |= view.own
        facts.originated |= view.originated
    if _is_over(event):
        reason = event.data.get("reason") or (view.end_reason if view is not None else None)
        facts.ends[event.seq] = _End(event.at, None if reason is None else str(reason))
        if len(facts.ends) > _ENDS_KEPT:
            del facts.ends[max(facts.ends)]
    elif view is not None:
        facts.alive_seq = max(facts.alive_seq, event.seq)
        if view.state in _ANSWERED:
            facts.answered_at = _earlier(facts.answered_at, event.at)
        if view.state is CallState.CONNECTED:
            facts.connected_at = _earlier(facts.connected_at, event.at)


def _rung(view: CallView) -> str:
    """Return whom somebody was put through to who had dialled nobody, but was rung himself."""
    if not view.originated:
        return ""
    rung = (one for one in view.parties if one.name == CALLEE and one.joined)
    return next((number_of(one.endpoint) or one.number for one in rung), "")


def _record(call_id: str, facts: _Facts) -> CallRecordView | None:
    view = facts.newest
    if view is None:
        return None
    answered, connected = facts.answered_at, facts.connected_at
    if not facts.own and connected is not None:
        # Who talks when the PBX is looked at has begun to when Asterisk says.
        answered = connected = facts.began_at
    texts = {name: text for name, (_, text) in facts.texts.items()}
    record = CallRecordView(
        call_id=call_id,
        tenant=view.tenant,
        queue=view.queue,
        caller_number=texts.get("caller_number", ""),
        callee_number=texts.get("callee_number", ""),
        direction=_direction(facts),
        program=texts.get("program", ""),
        began_at=facts.began_at,
        answered_at=answered,
        connected_at=connected,
    )
    ends = [facts.ends[seq] for seq in sorted(facts.ends) if seq > facts.alive_seq]
    if not ends:
        return record
    reason = next((end.reason for end in ends if end.reason is not None), None)
    return _ended(record, min(end.at for end in ends), reason)


def _direction(facts: _Facts) -> str:
    if not facts.own:
        return FOREIGN
    return OUTBOUND if facts.originated else INBOUND


def _ended(record: CallRecordView, at: float, reason: str | None) -> CallRecordView:
    times = (record.began_at, record.answered_at, record.connected_at)
    # Clocks are set back at times: a call does not end before it began.
    at = max(at, *(time for time in times if time is not None))
    talked = 0.0 if record.connected_at is None else at - record.connected_at
    return msgspec.structs.replace(record, ended_at=at, end_reason=reason, talk_seconds=talked)


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
