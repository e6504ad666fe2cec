"""No voice lost, none doubled, and nobody waits for long."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.mixer import WAIT, Mixer

TICK = 0.020
SPEAKERS = ["caller", "callee", "consult"]
LOUD = 5000

steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "push", "quiet", "quiet", "join", "leave"]),
        st.sampled_from(SPEAKERS),
        st.floats(0, 0.03),
    ),
    max_size=200,
)


class Heard:
    """What was pushed and what of it was mixed.

    A speaker's frame has a number in a sample of his own, too low to be a voice, so that a sum can
    be read; a last sample says whether it carries a voice.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, deque[tuple[int, bool]]] = {name: deque() for name in SPEAKERS}
        self.pushed = 0
        self.left_out = 0

    def frame(self, speaker: str, *, voice: bool) -> bytes:
        self.pushed += 1
        number = self.pushed % 150 + 1
        self.waiting[speaker].append((number, voice))
        samples = [number if name == speaker else 0 for name in SPEAKERS]
        return np.array([*samples, LOUD if voice else 0], "<i2").tobytes()

    def take(self, mixed: list[bytes]) -> None:
        for one in mixed:
            *numbers, loud = np.frombuffer(one, "<i2").tolist()
            assert any(numbers)
            for speaker, number in zip(SPEAKERS, numbers, strict=True):
                while number:
                    oldest, voice = self.waiting[speaker].popleft()
                    loud -= LOUD * (voice and oldest == number)
                    if oldest == number:
                        break
                    assert not voice
                    self.left_out += 1
            assert loud == 0


@settings(max_examples=400, deadline=None)
@given(steps)
def test_every_voice_is_in_the_mix_once_and_in_order(todo: list[tuple[str, str, float]]) -> None:
    mixer = Mixer()
    heard = Heard()
    now = 0.0
    for action, speaker, wait in todo:
        now += wait
        if action == "join":
            mixer.join(speaker)
        elif action == "leave":
            heard.take(mixer.leave(speaker))
        else:
            mixer.push(speaker, heard.frame(speaker, voice=action == "push"), now)
            heard.take(mixer.complete())
        heard.take(mixer.due(now))
        assert mixer.due_at is None or now < mixer.due_at <= now + WAIT
    for speaker in SPEAKERS:
        heard.take(mixer.leave(speaker))
    assert mixer.due_at is None
    assert not any(voice for waiting in heard.waiting.values() for _, voice in waiting)
    left = sum(len(waiting) for waiting in heard.waiting.values())
    assert heard.left_out + left == mixer.left_out


@settings(max_examples=200, deadline=None)
@given(
    stalls=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 25)), max_size=8),
    order=st.permutations(SPEAKERS),
)
def test_a_loop_that_stalls_changes_nothing_in_the_mix(
    stalls: list[tuple[int, int]], order: list[str]
) -> None:
    """Every frame of the mix has all voices of one tick, however late they were read."""
    mixer = Mixer(SPEAKERS)
    mixed: list[bytes] = []
    number = dict.fromkeys(SPEAKERS, 0)
    tick = 0
    for steady, stalled in stalls:
        for ticks in [1] * steady + [stalled]:
            tick += ticks
            # What came up to now is read at once, a speaker after the other.
            now = tick * TICK
            for speaker in order:
                for _ in range(ticks):
                    number[speaker] += 1
                    unit = 32 ** SPEAKERS.index(speaker)
                    sample = np.array([number[speaker] % 32 * unit], "<i2")
                    mixer.push(speaker, sample.tobytes(), now)
            mixed += mixer.complete()
            assert mixer.due_at is None
    sums = [int(np.frombuffer(one, "<i2")[0]) for one in mixed]
    assert sums == [one % 32 * (1 + 32 + 1024) for one in range(1, tick + 1)]
    assert mixer.left_out == 0
