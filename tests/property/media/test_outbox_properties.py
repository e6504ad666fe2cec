"""No byte out of order, lost, doubled, or in a route that it was not sent in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.outbox import Barrier, Frame, Outbox, Route
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BufferFullError

FORMAT = AudioFormat(8000)
ROUTES = [frozenset(keys) for keys in ((), ("caller",), ("callee",), ("caller", "callee"))]

routes = st.sampled_from(ROUTES)
steps = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 500), routes),
    st.tuples(st.just("barrier"), routes, st.booleans()),
    st.tuples(st.just("next"), st.integers(1, 5), st.floats(0, 0.1)),
    st.tuples(st.just("clear")),
)


@dataclass
class Model:
    """Every sample has a number of its own, never 0, so that it is known again wherever it is."""

    box: Outbox = field(default_factory=lambda: Outbox(FORMAT, seconds=0.25))
    now: float = 0.0
    samples: int = 0
    sent: dict[int, Route] = field(default_factory=dict)
    """Route of each sample that was offered, refused ones included."""
    epoch: dict[int, int] = field(default_factory=dict)
    """Barriers that stood before each sample."""
    barriers: list[tuple[Route, bool]] = field(default_factory=list)
    reached: int = 0
    allowed: Route = frozenset()
    heard: list[int] = field(default_factory=list)
    full: int = 0

    def send(self, count: int, route: Route) -> None:
        numbers = np.arange(self.samples + 1, self.samples + 1 + count)
        before = self.box.size_bytes
        try:
            self.box.send(numbers.astype("<i2").tobytes(), route)
        except BufferFullError:
            assert self.box.size_bytes == before
            assert before + 2 * count > FORMAT.bytes_per_second // 4
            self.full += count
            return
        self.samples += count
        for number in numbers.tolist():
            self.sent[number] = route
            self.epoch[number] = len(self.barriers)

    def barrier(self, route: Route, *, works: bool) -> None:
        self.barriers.append((route, works))
        self.box.barrier(len(self.barriers))

    def take(self) -> bool:
        item = self.box.next(self.now)
        if isinstance(item, Barrier):
            self.reached += 1
            assert item.token == self.reached
            assert self.box.next(self.now + 60) is None
            route, works = self.barriers[item.token - 1]
            self.allowed = route if works else frozenset()
            self.box.release(item.token, self.allowed)
        elif isinstance(item, Frame):
            self.check(item)
        return item is not None

    def check(self, frame: Frame) -> None:
        samples = np.frombuffer(frame.pcm, "<i2").tolist()
        assert len(samples) == FORMAT.frame_samples
        real = len(samples) - frame.padding // 2
        assert not any(samples[real:])
        assert all(samples[:real])
        assert frame.route
        assert frame.route <= self.allowed
        for number in samples[:real]:
            assert self.sent[number] == frame.route
            assert self.epoch[number] == self.reached
        self.heard += samples[:real]


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=60))
def test_any_interleaving(todo: list[tuple[object, ...]]) -> None:
    model = Model()
    for step in todo:
        match step:
            case ("send", int(count), frozenset() as route):
                if model.samples + count < 32000:
                    model.send(count, route)
            case ("barrier", frozenset() as route, bool(works)):
                model.barrier(route, works=works)
            case ("next", int(times), float(wait)):
                model.now += wait
                for _ in range(times):
                    model.take()
            case ("clear",):
                model.box.clear()
        waiting = model.box.size_bytes
        assert waiting <= FORMAT.bytes_per_second // 4
        assert 2 * len(model.heard) + waiting + model.box.dropped.total == 2 * model.samples
    while model.take() or model.box.size_bytes:
        model.now += 0.1
    assert model.reached == len(model.barriers)
    assert 2 * len(model.heard) + model.box.dropped.total == 2 * model.samples
    assert all(one < other for one, other in pairwise(model.heard))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
    st.floats(0, 1000),
    st.floats(0, 0.1),
)
def test_ready_at_says_when_next_gives(sizes: list[int], now: float, wait: float) -> None:
    box = Outbox(FORMAT)
    box.barrier(1)
    assert box.next(now) == Barrier(1)
    box.release(1, ROUTES[1])
    for size in sizes:
        box.send(bytes(2 * size), ROUTES[1])
        ready = box.ready_at(now)
        assert ready is not None
        assert (box.next(now) is not None) == (ready <= now)
        now += wait
