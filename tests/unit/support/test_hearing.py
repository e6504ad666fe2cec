"""How it is judged who hears whom: lateness is borne, a leak is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.support import hearing
from tests.support.hearing import UnclearError, settles

Looks = list[set[str] | UnclearError]
COMES = UnclearError("it comes", unclear={"caller"})
LEAKS = UnclearError("a leak", there={"caller"}, unclear={"boss"})


def measured(looks: Looks) -> Callable[[], Awaitable[set[str]]]:
    """Return what finds one after the other, and the last of them from then on."""
    left = list(looks)

    async def measure() -> set[str]:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, UnclearError):
            raise found
        return found

    return measure


@pytest.mark.parametrize(
    "looks",
    [
        [{"caller"}],
        [set(), set(), {"caller"}],
        [COMES, COMES, COMES, COMES, {"caller"}],
        [{"caller", "music"}, {"caller"}],
        [UnclearError("it fades", there={"caller"}, unclear={"music"})] * 4 + [{"caller"}],
        [LEAKS, LEAKS, {"caller"}],
        [LEAKS, LEAKS, set(), LEAKS, LEAKS, {"caller"}],
    ],
)
async def test_what_is_late_or_smeared_is_waited_for(looks: Looks) -> None:
    await settles(measured(looks), {"caller"}, may_last={"music"})


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([{"caller", "boss"}, {"caller"}], "too much: {'boss'}"),
        ([{"boss"}, {"caller"}], "missing: {'caller'}"),
        (
            [UnclearError("it comes", there={"boss"}, unclear={"caller"}), {"caller"}],
            "too much: {'boss'}",
        ),
        ([LEAKS, LEAKS, LEAKS, {"caller"}], "a leak"),
    ],
)
async def test_a_voice_in_the_wrong_ear_is_borne_by_nothing(looks: Looks, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        await settles(measured(looks), {"caller"}, may_last={"music"})


@pytest.mark.parametrize("look", [set[str](), {"caller", "music"}, COMES])
async def test_what_never_comes_and_what_never_ends_fails(
    monkeypatch: pytest.MonkeyPatch, look: set[str] | UnclearError
) -> None:
    monkeypatch.setattr(hearing, "_LATE_S", 0.01)
    with pytest.raises(AssertionError):
        await settles(measured([look]), {"caller"}, may_last={"music"})
