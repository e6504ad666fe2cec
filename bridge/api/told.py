"""What an event of the SDK says, as the API tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from bridge.api.shown import recording_of
from bridge.directory import LiveCall
from bridge.runtime.audit import AuditRecord
from bridge.sdk import ActiveCall, Observer, events
from bridge.sdk.events import CallEvent, ClientEvent, ObserverNews
from bridge.sdk.recording import Recording
from bridge.sdk.transfer import Transfer
from bridge.topology.standing import AudibilityReport

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    ClientEvent.SERVER_LOST: ("reason",),
    CallEvent.DTMF_RECEIVED: ("party", "key"),
    CallEvent.PARKING_TIMED_OUT: ("slot",),
}
"""What the texts mean that come with an event; with any other it is the name of a party."""
_PARTY: Final = ("party",)


@dataclass(slots=True)
class Told:
    """What an event is about. data: all that the view of the call does not say."""

    call_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def told_of(event: str, arguments: tuple[object, ...]) -> Told:
    """Return what an event says that came with ``arguments``: see ``Client.tap``."""
    told = Told()
    words = [one for one in arguments if isinstance(one, str)]
    told.data.update(zip(_WORDS.get(event, _PARTY), words, strict=False))
    for one in arguments:
        for kind, take in _TAKES.items():
            if isinstance(one, kind):
                take(told, one)
    if event == events.CALL_TERMINATED:
        told.data["reason"] = next(
            (one.end_reason for one in arguments if isinstance(one, ActiveCall)), None
        )
    return told


def _own(told: Told, call: ActiveCall) -> None:
    told.call_id = call.call_id


def _live(told: Told, call: LiveCall) -> None:
    told.call_id = call.call_id


def _observer(told: Told, observer: Observer) -> None:
    told.call_id = observer.call_id
    told.data["observer"] = observer.name


def _news(told: Told, news: ObserverNews) -> None:
    told.call_id = news.call_id
    told.data |= {
        "observer": news.name,
        "mode": news.mode,
        "whispers_to": sorted(news.whispers_to),
    }
    if news.left is not None:
        told.data["reason"] = news.left


def _record(told: Told, record: AuditRecord) -> None:
    told.call_id = record.call_id
    told.data |= {
        "who": record.who,
        "what": record.what,
        "by": record.by,
        "result": record.result,
    }


def _report(told: Told, report: AudibilityReport) -> None:
    told.call_id = report.call_id
    told.data |= {
        name: sorted([listener, speaker] for listener, speaker in pairs)
        for name, pairs in (
            ("unwanted", report.unwanted),
            ("missing", report.missing),
            ("doubled", report.doubled),
        )
    }


def _transfer(told: Told, transfer: Transfer) -> None:
    told.data |= {
        "stage": transfer.stage,
        "outcome": transfer.outcome,
        "human": transfer.human,
        "error_code": transfer.error_code,
        "error_message": transfer.error_message,
    }


def _recording(told: Told, recording: Recording) -> None:
    if told.call_id is None:
        # Of a call that no agent is on: its recording's id begins with the call's.
        told.call_id = recording.recording_id.rpartition("-")[0]
    # The whole of it: a call's view has those alone that go on.
    told.data |= msgspec.to_builtins(recording_of(recording, told.call_id))


_TAKES: Final[Mapping[type, Callable[[Told, Any], None]]] = {
    ActiveCall: _own,
    LiveCall: _live,
    Observer: _observer,
    ObserverNews: _news,
    AuditRecord: _record,
    AudibilityReport: _report,
    Transfer: _transfer,
    Recording: _recording,
}
