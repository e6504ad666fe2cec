"""Which observers hear one another."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from bridge.model.modes import BARGE, SPY, ObserverMode, whisper
from bridge.model.participants import CALLEE, CALLER, participant
from bridge.runtime.gallery import Member, wanted_of

MODES = st.sampled_from([SPY, BARGE, whisper(CALLEE), whisper(CALLER)])


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        modes = tuple(draw(st.lists(MODES, min_size=1, max_size=2)))
        seat = draw(st.sampled_from([None, f"channel-{number}"]))
        coaching = draw(st.booleans())
        name = participant(f"observer{number}")
        found.append(Member(name, modes, seat, hears_coaching=coaching))
    return found


def is_barging(modes: tuple[ObserverMode, ...]) -> bool:
    return BARGE in modes


@given(members())
def test_whoever_barges_is_heard_by_all_and_a_whisper_by_those_who_asked(
    there: list[Member],
) -> None:
    wanted = wanted_of(there)
    for one, other in permutations(there, 2):
        whispers = any(mode.targets for mode in other.modes)
        hears = is_barging(other.modes) or (whispers and one.hears_coaching)
        assert ((one.name, other.name) in wanted.matrix) == hears
    assert all(one != other for one, other in wanted.matrix)


@given(members())
def test_people_and_programs_are_told_apart(there: list[Member]) -> None:
    wanted = wanted_of(there)
    if len(there) > 1:
        assert wanted.seated == {member.name for member in there if member.channel_id}
        assert wanted.programs == {member.name for member in there if not member.channel_id}


def test_one_alone_needs_no_gallery() -> None:
    assert wanted_of([Member(participant("one"), (BARGE,))]) == wanted_of([])
