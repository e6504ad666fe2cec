"""Call detail records: one a call, with times that agree, in whatever order events come."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.states import CallState, EndReason
from bridge.protocol.views import CallRecordView, CallView, EventView, PartyView
from bridge.sdk import events
from bridge.store.cdr import CallRecorder, end_of_lost
from tests.support.records import call_record, event

STATES = st.sampled_from(CallState)
TYPES = st.sampled_from(
    [
        events.INCOMING_CALL,
        events.CALL_ANSWERED,
        events.CALL_CONNECTED,
        events.CALL_TERMINATED,
        events.CALL_RESUMED,
        events.LIVE_CALL_BEGAN,
        events.LIVE_CALL_ENDED,
        events.PARTY_LEFT,
        events.AUDIT,
    ]
)


def view(state: CallState, **fields: Any) -> CallView:
    known: dict[str, Any] = {"call_id": "c1", "tenant": "acme", "own": True, "since": 100.0}
    return CallView(state=state, **(known | fields))


def told(seq: int, kind: str, state: CallState | None, **fields: Any) -> EventView:
    """Return an event at 100 and its number, with the call in a state."""
    data = fields.pop("data", {})
    call = None if state is None else view(state, **fields)
    return event(seq, type=kind, at=100.0 + seq, call_id="c1", call=call, data=data)


def last(happened: list[EventView]) -> CallRecordView | None:
    """Return the record that stands in the end."""
    recorder = CallRecorder()
    records = [record for one in happened if (record := recorder.take(one)) is not None]
    return records[-1] if records else None


OWN = [
    told(1, events.INCOMING_CALL, CallState.PENDING, caller_number="100", callee_number="200"),
    told(2, events.CALL_ANSWERED, CallState.ANSWERED, program="bot"),
    told(5, events.CALL_CONNECTED, CallState.CONNECTED, program="bot", caller_number="100"),
    told(
        9,
        events.CALL_TERMINATED,
        CallState.DISCONNECTED,
        data={"reason": EndReason.CALLER_HUNG_UP},
    ),
    told(10, events.LIVE_CALL_ENDED, CallState.DISCONNECTED),
    told(11, events.OBSERVER_LEFT, CallState.DISCONNECTED),
]


def test_a_call_of_our_own() -> None:
    recorder = CallRecorder()
    records = [recorder.take(one) for one in OWN]
    began = call_record(began_at=100.0, caller_number="100", callee_number="200")
    assert records[0] == began
    assert last(OWN) == call_record(
        began_at=100.0,
        answered_at=102.0,
        connected_at=105.0,
        ended_at=109.0,
        end_reason="caller_hung_up",
        talk_seconds=4.0,
        caller_number="100",
        callee_number="200",
        program="bot",
    )
    # What trails behind changes nothing, and is not written again.
    assert records[4:] == [None, None]


def test_a_call_that_we_do_not_have() -> None:
    happened = [
        told(1, events.LIVE_CALL_BEGAN, CallState.CONNECTED, own=False, since=60.0),
        told(7, events.LIVE_CALL_ENDED, CallState.DISCONNECTED, own=False, since=60.0),
    ]
    assert last(happened) == call_record(
        direction="foreign",
        began_at=60.0,
        answered_at=60.0,
        connected_at=60.0,
        ended_at=107.0,
        talk_seconds=47.0,
    )


def test_a_call_that_we_placed() -> None:
    ringing = told(1, "LIVE_CALL_CHANGED", CallState.PENDING, originated=True)
    record = last([ringing, told(2, events.CALL_ANSWERED, CallState.ANSWERED, originated=True)])
    assert record is not None
    assert (record.direction, record.answered_at) == ("outbound", 102.0)


def test_whom_a_call_that_we_placed_was_put_through_to() -> None:
    caller = PartyView(name="caller", endpoint="PJSIP/1001", number="1001")
    callee = PartyView(name="callee", endpoint="PJSIP/+4930123@trunk", number="anonymous")
    rings = told(
        1,
        "LIVE_CALL_CHANGED",
        CallState.ANSWERED,
        originated=True,
        parties=(caller, msgspec.structs.replace(callee, endpoint="PJSIP/1003", joined=False)),
    )
    record = last([rings])
    assert record is not None
    assert record.callee_number == ""
    talks = told(
        2, events.CALL_CONNECTED, CallState.CONNECTED, originated=True, parties=(caller, callee)
    )
    over = told(3, events.CALL_TERMINATED, CallState.DISCONNECTED, originated=True)
    for order in ([rings, talks, over], [talks, rings, over]):
        record = last(order)
        assert record is not None
        assert record.callee_number == "+4930123"


def test_a_call_that_came_is_none_that_we_placed_whatever_is_told_first() -> None:
    record = last([told(1, events.LIVE_CALL_BEGAN, CallState.ANSWERED), *OWN[1:]])
    assert record is not None
    assert record.direction == "inbound"


def test_a_call_that_goes_on_without_the_agent_has_no_end_yet() -> None:
    left = [*OWN[:3], told(7, events.CALL_TERMINATED, CallState.CONNECTED, own=False)]
    record = last(left)
    assert record is not None
    assert (record.ended_at, record.direction) == (None, "inbound")
    over = told(20, events.LIVE_CALL_ENDED, CallState.DISCONNECTED, own=False)
    record = last([*left, over])
    assert record is not None
    assert (record.ended_at, record.talk_seconds) == (120.0, 15.0)


def test_a_call_that_is_found_again_has_no_end() -> None:
    lost = told(
        9, events.CALL_TERMINATED, CallState.DISCONNECTED, data={"reason": EndReason.SERVER_LOST}
    )
    record = last([*OWN[:3], lost])
    assert record is not None
    assert (record.ended_at, record.end_reason) == (109.0, "server_lost")
    record = last([*OWN[:3], lost, told(15, events.CALL_RESUMED, CallState.CONNECTED)])
    assert record is not None
    assert (record.ended_at, record.end_reason) == (None, None)


def test_what_trails_behind_a_forgotten_call_makes_no_record() -> None:
    assert last([told(1, events.OBSERVER_LEFT, CallState.DISCONNECTED)]) is None
    assert last([told(1, events.AUDIT, None)]) is None
    assert last([told(1, events.LIVE_CALL_ENDED, None)]) is None
    assert last([event(1, call_id=None, type=events.SERVER_LOST)]) is None
    assert last([told(1, events.CALL_TERMINATED, CallState.DISCONNECTED)]) is not None


def test_the_memory_is_bounded() -> None:
    recorder = CallRecorder(kept=10)
    for seq in range(1, 101):
        call = view(CallState.PENDING, call_id=f"c{seq}")
        recorder.take(event(seq, call_id=f"c{seq}", call=call))
    assert len(recorder._calls) == 10
    for seq in range(200, 1200):
        recorder.take(told(seq, events.LIVE_CALL_ENDED, CallState.DISCONNECTED))
    assert len(recorder._calls["c1"].ends) <= 101
    for number in range(100):
        over = view(CallState.DISCONNECTED, call_id=f"d{number}")
        ended = event(2000 + number, type=events.CALL_TERMINATED, call_id=f"d{number}", call=over)
        assert recorder.take(ended) is not None
    assert len(recorder._calls) == len(recorder._ended) == 10


def test_calls_that_are_over_are_forgotten_first() -> None:
    recorder = CallRecorder(kept=100, ended=2)
    recorder.take(told(1, events.INCOMING_CALL, CallState.PENDING))
    for number in range(10):
        over = view(CallState.DISCONNECTED, call_id=f"d{number}")
        recorder.take(event(number, type=events.CALL_TERMINATED, call_id=f"d{number}", call=over))
    assert set(recorder._calls) == {"c1", "d8", "d9"}
    again = event(20, type=events.CALL_RESUMED, call_id="d9", call=view(CallState.CONNECTED))
    recorder.take(again)
    assert set(recorder._ended) == {"d8"}


def test_a_lost_call_ends_when_it_is_looked_for() -> None:
    record = call_record(began_at=100.0, answered_at=101.0, connected_at=102.0)
    ended = end_of_lost(record, 150.0)
    assert (ended.ended_at, ended.end_reason, ended.talk_seconds) == (150.0, "unknown", 48.0)
    assert end_of_lost(record, 50.0).ended_at == 102.0


@given(
    st.lists(
        st.tuples(TYPES, st.none() | STATES, st.floats(50, 200), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_the_order_and_repetition_of_events_do_not_matter(
    drawn: list[tuple[str, CallState | None, float, bool]], data: st.DataObject
) -> None:
    happened = [
        event(
            seq,
            type=kind,
            at=at,
            call_id="c1",
            call=None if state is None else view(state, since=at - 5, own=own, program=f"p{seq}"),
        )
        for seq, (kind, state, at, own) in enumerate(drawn, 1)
    ]
    # The first has to be one that a record can begin with.
    first = event(
        0,
        type=events.LIVE_CALL_BEGAN,
        at=150.0,
        call_id="c1",
        call=view(CallState.CONNECTED),
    )
    mixed = data.draw(st.permutations(happened + happened))
    record, again = last([first, *happened]), last([first, *mixed])
    assert record == again
    assert record is not None
    times = (record.began_at, record.answered_at, record.connected_at, record.ended_at)
    known = [time for time in times if time is not None]
    assert known == sorted(known)
    assert (record.talk_seconds > 0) <= (record.ended_at is not None)
    assert record.talk_seconds >= 0
