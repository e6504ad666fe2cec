"""Whatever happens: a watcher is told all that he wants, once, in order, or he is cut off."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.api.broadcast import BUFFER_BYTES, Limits, Progress, Watcher
from bridge.api.hub import EventHub
from bridge.protocol.frames import Event, Position
from bridge.protocol.views import EventView
from tests.support.no_calls import NoCalls


class Pipe:
    """A transport whose other end reads when it is told to."""

    def __init__(self) -> None:
        self.held = b""
        self.read = b""
        self.most = 0

    def write(self, data: bytes) -> None:
        self.held += data
        self.most = max(self.most, len(self.held))

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def is_closing(self) -> bool:
        return False

    def drain(self, size: int) -> None:
        self.read += self.held[:size]
        self.held = self.held[size:]

    def seqs(self) -> list[int]:
        """Of all events that were written, whole ones only."""
        return [event.seq for event in events_in(self.read + self.held)]


def events_in(content: bytes) -> list[EventView]:
    """Decode server frames; what is no whole frame at the end fails."""
    found, at = [], 0
    while at < len(content):
        assert content[at] == 0x81, "a text frame"
        size, head = content[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(content[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(content[at + 2 : at + 10], "big"), 10
        text = content[at + head : at + head + size]
        assert len(text) == size
        found.append(msgspec.json.decode(text, type=Event).event)
        at += head + size
    return found


Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 40)),
        st.tuples(st.just("read"), st.integers(0, 100_000)),
        st.tuples(st.just("look"), st.integers(0, 4)),
    ),
    max_size=60,
)
LIMITS = Limits(behind_events=60, behind_bytes=1 << 18, patience_seconds=0.0, stalled_seconds=10.0)


def wants(event: EventView) -> bool:
    return event.type != "UNWANTED"


def tell(hub: EventHub, size: int, number: int) -> None:
    kind = "UNWANTED" if number % 3 == 0 else "WANTED"
    hub.publish(kind, data={"text": "x" * (size * 500)})


@settings(deadline=None)
@given(steps, st.integers(0, 50), st.integers(0, 50))
def test_all_that_is_wanted_once_and_in_order_or_cut_off(
    script: list[Step], before: int, seen: int
) -> None:
    hub, pipe, now = EventHub(NoCalls(), kept=100), Pipe(), 0.0
    for number in range(before):
        tell(hub, 1, number)
    after = min(seen, before)
    watcher = Watcher(hub, pipe, wants=wants, after=after, now=now, limits=LIMITS)
    slow = False
    for what, size in script:
        match what:
            case "tell":
                tell(hub, size, hub.seq + 1)
            case "read":
                pipe.drain(size)
            case _:
                now += size
                slow = watcher.advance(now) is Progress.SLOW
        if slow:
            break
    expected = [event.seq for event in hub.since(after) if wants(event)]
    got = pipe.seqs()
    assert got == expected[: len(got)], "no gap, nothing twice, nothing unwanted"
    assert pipe.most <= BUFFER_BYTES + 2 * 20_500, "what is held for him is bounded"
    if not slow:
        # Who reads is told everything in the end.
        while watcher.advance(now) is Progress.BLOCKED:
            pipe.drain(BUFFER_BYTES)
        assert pipe.seqs() == expected


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 200))
def test_who_reads_at_once_is_never_cut_off(burst: int, bursts: int) -> None:
    hub, pipe = EventHub(NoCalls(), kept=100), Pipe()
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=LIMITS)
    for turn in range(bursts):
        for _ in range(burst):
            tell(hub, 1, hub.seq + 1)
        assert watcher.advance(float(turn * 100)) is Progress.DONE
        pipe.drain(1 << 20)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(10, 40))
def test_who_reads_nothing_is_cut_off_within_the_limits(burst: int, size: int) -> None:
    hub, pipe = EventHub(NoCalls(), kept=1000), Pipe()
    watcher = Watcher(hub, pipe, wants=lambda _: True, after=0, now=0.0, limits=LIMITS)
    for turn in range(1000):
        for _ in range(burst):
            tell(hub, size, 1)
        if watcher.advance(turn * 0.01) is Progress.SLOW:
            break
    else:
        raise AssertionError("he was told for ever")
    assert hub.total <= BUFFER_BYTES + LIMITS.behind_bytes + (burst + 4) * 20_500


def test_what_happened_before_he_came_is_not_held_against_him() -> None:
    hub, pipe = EventHub(NoCalls(), kept=5000), Pipe()
    for number in range(1, 3001):
        tell(hub, 1, 3 * number + 1)
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=LIMITS)
    rounds = 0
    while watcher.advance(rounds * 0.02) is Progress.BLOCKED:
        pipe.drain(BUFFER_BYTES)
        rounds += 1
    assert rounds > 20
    assert pipe.seqs() == list(range(1, 3001))


def test_a_burst_that_is_read_is_no_reason_to_cut_somebody_off() -> None:
    hub, pipe = EventHub(NoCalls()), Pipe()
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=Limits())
    for number in range(1, 5001):
        tell(hub, 1, 3 * number + 1)
    now = 0.0
    while watcher.advance(now) is Progress.BLOCKED:
        pipe.drain(BUFFER_BYTES)
        now += 0.02
    assert now > 0.5
    assert pipe.seqs() == list(range(1, 5001))


def test_a_burst_that_is_not_read_is() -> None:
    hub, pipe = EventHub(NoCalls()), Pipe()
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=Limits())
    for number in range(1, 5001):
        tell(hub, 1, 3 * number + 1)
    assert watcher.advance(1.0) is Progress.BLOCKED
    assert watcher.advance(1.9) is Progress.BLOCKED
    assert watcher.advance(2.1) is Progress.SLOW


def test_who_has_little_to_be_sent_and_does_not_read_it_is_cut_off_after_a_while() -> None:
    hub, pipe = EventHub(NoCalls()), Pipe()
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=LIMITS)
    tell(hub, 1, 1)
    assert watcher.advance(1.0) is Progress.DONE
    assert watcher.advance(10.9) is Progress.DONE
    assert watcher.advance(11.1) is Progress.SLOW


def test_who_has_nothing_to_be_sent_is_not_cut_off() -> None:
    hub, pipe = EventHub(NoCalls()), Pipe()
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=LIMITS)
    assert watcher.advance(1000.0) is Progress.DONE
    tell(hub, 1, 1)
    assert watcher.advance(2000.0) is Progress.DONE
    assert watcher.advance(2009.0) is Progress.DONE
    pipe.drain(1 << 20)
    assert watcher.advance(2011.0) is Progress.DONE


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(-5, 310))
def test_resuming_is_promised_only_where_nothing_is_missing(told: int, after: int) -> None:
    hub = EventHub(NoCalls(), kept=100, epoch="this")
    for number in range(told):
        tell(hub, 1, number)
    able = hub.can_resume(Position(epoch="this", seq=after))
    assert able == (max(0, told - 100) <= after <= told)
    if able:
        assert [event.seq for event in hub.since(after)] == list(range(after + 1, told + 1))
    assert not hub.can_resume(Position(epoch="other", seq=after))


def test_a_long_snapshot_on_a_slow_line_is_no_reason_to_cut_somebody_off() -> None:
    hub, pipe = EventHub(NoCalls()), Pipe()
    pipe.held = bytes(1 << 20)
    watcher = Watcher(hub, pipe, wants=wants, after=0, now=0.0, limits=LIMITS)
    for second in range(60):
        assert watcher.advance(float(second)) is Progress.DONE
        pipe.drain(10_000)
    assert watcher.advance(60.0) is Progress.DONE
    assert watcher.advance(69.9) is Progress.DONE
    assert watcher.advance(70.5) is Progress.SLOW, "from here on nothing moves"
