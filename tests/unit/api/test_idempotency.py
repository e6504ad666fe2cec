"""A command that is sent twice happens once."""

from __future__ import annotations

import asyncio

import pytest

from bridge.api.answers import Answer
from bridge.api.idempotency import (
    KEPT_SECONDS,
    REPLAYED,
    IdempotentAnswers,
    Mark,
    Name,
    checked_key,
    fingerprint,
)
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError

ANN = Name("ann", "k1")
SAME = fingerprint("POST", "/calls", b"{}")


class Work:
    """Counts how often it is done."""

    def __init__(self, status: int = 201, body: bytes = b"x") -> None:
        self.done = 0
        self.status = status
        self.body = body
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> Answer:
        self.done += 1
        await self.may_end.wait()
        return Answer(self.status, self.body)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_same_again_is_answered_and_not_done() -> None:
    answers, work = IdempotentAnswers(), Work()
    first = await answers.once(ANN, SAME, work)
    again = await answers.once(ANN, SAME, work)
    assert work.done == 1
    assert (again.status, again.body) == (first.status, first.body)
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("status", [200, 403, 404, 409, 422, 502, 504])
async def test_a_no_is_kept_too(status: int) -> None:
    answers, work = IdempotentAnswers(), Work(status)
    await answers.once(ANN, SAME, work)
    assert (await answers.once(ANN, SAME, work)).status == status
    assert work.done == 1


async def test_what_was_not_begun_may_be_tried_again() -> None:
    answers, work = IdempotentAnswers(), Work(503)
    await answers.once(ANN, SAME, work)
    work.status = 201
    assert (await answers.once(ANN, SAME, work)).status == 201
    assert work.done == 2


async def test_a_key_is_good_for_one_request() -> None:
    answers, work = IdempotentAnswers(), Work()
    await answers.once(ANN, SAME, work)
    for other in (
        fingerprint("POST", "/calls", b'{"to":"1"}'),
        fingerprint("POST", "/keys", b"{}"),
    ):
        with pytest.raises(BadArgumentError, match="another request"):
            await answers.once(ANN, other, work)
    assert work.done == 1


async def test_everybody_has_his_own_keys() -> None:
    answers, work = IdempotentAnswers(), Work()
    await answers.once(ANN, SAME, work)
    await answers.once(Name("bob", "k1"), SAME, work)
    await answers.once(Name("ann", "k2"), SAME, work)
    assert work.done == 3


async def test_who_comes_meanwhile_waits() -> None:
    answers, work = IdempotentAnswers(), Work()
    work.may_end.clear()
    both = [asyncio.create_task(answers.once(ANN, SAME, work)) for _ in range(5)]
    await until(lambda: work.done, "the first is under way")
    work.may_end.set()
    found = await asyncio.gather(*both)
    assert work.done == 1
    assert {answer.status for answer in found} == {201}
    assert sum(REPLAYED in answer.headers for answer in found) == 4


async def test_who_waits_takes_the_place_of_one_who_is_cancelled() -> None:
    answers, work = IdempotentAnswers(), Work()
    work.may_end.clear()
    first = asyncio.create_task(answers.once(ANN, SAME, work))
    await until(lambda: work.done, "the first is under way")
    second = asyncio.create_task(answers.once(ANN, SAME, work))
    third = asyncio.create_task(answers.once(ANN, SAME, work))
    await asyncio.sleep(0)
    first.cancel()
    await until(lambda: work.done == 2, "another does it")
    second.cancel()
    work.may_end.set()
    assert (await third).status == 201
    assert work.done in {2, 3}
    await asyncio.gather(first, second, return_exceptions=True)


async def test_who_waits_may_leave_without_harm() -> None:
    answers, work = IdempotentAnswers(), Work()
    work.may_end.clear()
    first = asyncio.create_task(answers.once(ANN, SAME, work))
    await until(lambda: work.done, "the first is under way")
    second = asyncio.create_task(answers.once(ANN, SAME, work))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    work.may_end.set()
    assert (await first).status == 201
    assert work.done == 1


async def test_what_fails_is_not_kept() -> None:
    answers = IdempotentAnswers()

    async def fail() -> Answer:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await answers.once(ANN, SAME, fail)
    assert len(answers) == 0


async def test_it_is_forgotten_after_a_day() -> None:
    clock = Clock()
    answers, work = IdempotentAnswers(clock=clock), Work()
    await answers.once(ANN, SAME, work)
    clock.now = KEPT_SECONDS - 1
    await answers.once(ANN, SAME, work)
    assert work.done == 1
    clock.now = KEPT_SECONDS + 1
    await answers.once(ANN, SAME, work)
    assert work.done == 2


async def test_the_oldest_give_way() -> None:
    answers, work = IdempotentAnswers(kept=3), Work()
    for number in range(5):
        await answers.once(Name("ann", f"k{number}"), SAME, work)
    assert len(answers) == 3
    await answers.once(Name("ann", "k4"), SAME, work)
    assert work.done == 5
    await answers.once(Name("ann", "k0"), SAME, work)
    assert work.done == 6


async def test_one_who_asks_much_displaces_nobody_else() -> None:
    answers, work = IdempotentAnswers(kept=100, kept_of_one=3), Work()
    await answers.once(Name("bob", "k"), SAME, work)
    for number in range(50):
        await answers.once(Name("ann", f"k{number}"), SAME, work)
    assert len(answers) == 4
    before = work.done
    await answers.once(Name("bob", "k"), SAME, work)
    assert work.done == before


async def test_many_bytes_are_not_kept() -> None:
    answers, work = IdempotentAnswers(kept_bytes=100), Work(body=b"x" * 40)
    for number in range(5):
        await answers.once(Name("ann", f"k{number}"), SAME, work)
    assert len(answers) == 2
    await answers.once(Name("ann", "big"), SAME, Work(body=b"x" * 1000))
    assert len(answers) == 0


async def test_what_is_under_way_is_never_given_up() -> None:
    answers, work, slow = IdempotentAnswers(kept=2), Work(), Work()
    slow.may_end.clear()
    first = asyncio.create_task(answers.once(ANN, SAME, slow))
    await until(lambda: slow.done, "it is under way")
    for number in range(5):
        await answers.once(Name("bob", f"k{number}"), SAME, work)
    second = asyncio.create_task(answers.once(ANN, SAME, slow))
    slow.may_end.set()
    assert [(await first).status, (await second).status] == [201, 201]
    assert slow.done == 1


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 201, "é", "a\n"])
def test_a_key_is_short_and_visible(text: str) -> None:
    with pytest.raises(BadArgumentError, match="Idempotency-Key"):
        checked_key(text)


def test_a_mark_is_of_one_request_of_one_who_asks() -> None:
    name, same = Name("anna", "order-1"), fingerprint("POST", "/calls", b"{}")
    mark = Mark.of(name, same)
    assert mark.is_in(Mark.of(name, same).text)
    assert "order" not in mark.text
    for other in (Name("boss", "order-1"), Name("anna", "order-2")):
        assert not mark.is_in(Mark.of(other, same).text)
    assert not mark.is_in("")
    with pytest.raises(BadArgumentError, match="another request"):
        mark.is_in(Mark.of(name, fingerprint("POST", "/calls", b"[]")).text)
