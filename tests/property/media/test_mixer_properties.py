"""No frame lost, none doubled, and nobody waits for long."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.ears import MAX_WAIT, Mixer

SPEAKERS = ["caller", "callee", "consult"]

steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "join", "leave"]), st.sampled_from(SPEAKERS)
    ),
    max_size=120,
)


@settings(max_examples=400, deadline=None)
@given(steps)
def test_every_frame_is_in_the_mix_once_and_in_order(todo: list[tuple[str, str]]) -> None:
    """Each speaker's frame counts in a digit of its own, base 32, so that a sum can be read."""
    mixer = Mixer()
    live: set[str] = set()
    pushed: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    mixed: list[bytes] = []
    for action, speaker in todo:
        if action == "join":
            mixer.join(speaker)
            live.add(speaker)
        elif action == "leave":
            mixed += mixer.leave(speaker)
            live.discard(speaker)
        else:
            pushed[speaker] += 1
            # Frame n of a speaker says n + 1 modulo 31 in his digit; 0 is for silent.
            number = (pushed[speaker] - 1) % 31 + 1
            sample = number * 32 ** SPEAKERS.index(speaker)
            mixed += mixer.push(speaker, np.array([sample], "<i2").tobytes())
        _count(mixed, heard)
        mixed.clear()
        assert all(0 <= pushed[speaker] - heard[speaker] <= MAX_WAIT for speaker in SPEAKERS)
    for speaker in SPEAKERS:
        mixed += mixer.leave(speaker)
    _count(mixed, heard)
    assert heard == pushed


def _count(mixed: list[bytes], heard: Counter[str]) -> None:
    for frame in mixed:
        rest = int(np.frombuffer(frame, "<i2")[0])
        assert rest > 0
        for speaker in SPEAKERS:
            rest, digit = divmod(rest, 32)
            if digit:
                assert digit == heard[speaker] % 31 + 1
                heard[speaker] += 1
