"""The program is killed, or leaves, while observers speak: nobody hears them any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, ToneMeter, pcm_from_bytes
from bridge.lab.phones import CallState
from bridge.lab.waiting import until
from bridge.runtime import pulse
from bridge.runtime.names import key_of
from tests.audio.machine import measured, whole
from tests.integration.supervision.floor import (
    BOSS_TONE,
    BOTH_HEAR,
    PARTIES,
    RATE,
    Floor,
    Talk,
    opened,
    plain_call,
    rung,
    will_hear,
)
from tests.support.child import Child, child
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, until_true

pytestmark = pytest.mark.asterisk

PROGRAM = "tests.integration.supervision.program"
SILENT_WITHIN_S = 1.0
HEARERS = {"spy": frozenset[str](), "whisper": frozenset({"callee"}), "barge": PARTIES}


@dataclass
class Scene:
    """Two parties, whom a program and somebody on a phone observe."""

    child: Child
    talk: Talk
    boss: DirectParty


async def own_call(pbx: Pbx) -> Talk:
    """Let two talk, whom the program of the child connects."""
    ari = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
    leg = await rung(pbx, lambda i: "leg.callee" in i)
    callee = await pbx.keep(DirectParty.answer(ari, leg, tone=CALLEE_TONE))
    return Talk(pbx, "", caller, callee)


@asynccontextmanager
async def scene(pbx: Pbx, whose: str, mode: str) -> AsyncIterator[Scene]:
    talk = await plain_call(pbx) if whose == "foreign" else None
    async with child(pbx, PROGRAM, whose, mode, CALLEE_ENDPOINT) as program:
        if talk is None:
            talk = await own_call(pbx)
        leg = await rung(pbx, lambda i: "leg.boss" in i)
        boss = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=BOSS_TONE))
        await program.says("ready")
        yield Scene(program, talk, boss)


async def observed(talk: Talk, mode: str) -> None:
    """Wait until those hear both observers who are to, and forget what was heard."""
    voices = {"supervisor", "observer"}
    expected = {
        who: whom | (voices if who in HEARERS[mode] else set()) for who, whom in BOTH_HEAR.items()
    }
    await will_hear(talk.parties, expected)
    for party in talk.parties.values():
        party.clear()
        await party.wait_frames(10)


def last_heard(listener: DirectParty, voice: str) -> float:
    """Return when a voice was heard last, 0 for never; seconds of the monotonic clock."""
    meter = ToneMeter(RATE, TONES[voice], RATE // 50)
    times = [at for at, frame in listener.frames if meter.dbfs(pcm_from_bytes(frame)) > -40]
    return times[-1] if times else 0.0


async def keys_left(pbx: Pbx) -> list[str]:
    """Return the keys of all objects of ours that stand."""
    ids = [*await pbx.channels(), *await pbx.bridges()]
    return sorted(key for key in map(key_of, ids) if key is not None)


async def stand(pbx: Pbx, keys: Collection[str]) -> None:
    """Wait until exactly these objects of ours stand."""
    found: list[str] = []

    async def exactly() -> bool:
        found[:] = await keys_left(pbx)
        return found == sorted(keys)

    try:
        await until_true(exactly, "what is to stand")
    except TimeoutError:
        assert found == sorted(keys)


@pytest.mark.quiet
@pytest.mark.parametrize("mode", list(HEARERS))
@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_it_is_killed(pbx: Pbx, whose: str, mode: str) -> None:
    await measured(pbx, partial(killed, whose=whose, mode=mode))


async def killed(pbx: Pbx, whose: str, mode: str) -> None:
    async with scene(pbx, whose, mode) as there:
        talk = there.talk
        await observed(talk, mode)
        killed_at = await there.child.die()
        await will_hear(talk.parties, BOTH_HEAR)
        for who, party in talk.parties.items():
            for voice in ("supervisor", "observer"):
                until_s = last_heard(party, voice) - killed_at
                assert (until_s > -0.1) is (who in HEARERS[mode])
                assert until_s < SILENT_WITHIN_S
        lost = await talk.lost()
        whole(not any(lost.values()), lost)
        # He is told by silence; his phone is still there.
        await will_hear({"boss": there.boss}, {"boss": set()})
        assert not there.boss.closed
        # Nobody controls anything any more: whoever hangs up leaves nothing that costs anything.
        await there.boss.hangup()
        await talk.over()
        await no_channel(pbx)
        assert {key.partition(".")[0] for key in await keys_left(pbx)} == {"bridge"}
    async with opened(pbx):
        await stand(pbx, [])


async def no_channel(pbx: Pbx) -> None:
    async def none() -> bool:
        return not await pbx.channels()

    await until_true(none, "no channel is left")


@pytest.mark.quiet
@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_he_listens_on_when_the_next_program_runs(pbx: Pbx, whose: str) -> None:
    async with scene(pbx, whose, "barge") as there:
        await observed(there.talk, "barge")
        await there.child.die()
    async with opened(pbx) as floor:
        await will_hear(
            {**there.talk.parties, "boss": there.boss},
            {**BOTH_HEAR, "boss": {"caller", "callee"}},
        )
        await there.boss.hangup()
        parties = ["anchor.one", "anchor.two", "bridge.call", "leg.callee"]
        await stand(pbx, parties if whose == "own" else [])
        await will_hear(there.talk.parties, BOTH_HEAR)
        await there.talk.nothing_lost()
        await observed_anew(floor, there.talk)
    # Of a call that nobody looked after at its end, an empty bridge is left.
    async with opened(pbx):
        await stand(pbx, [])


async def test_whom_it_had_muted_for_a_takeover_is_heard_by_the_next_program(pbx: Pbx) -> None:
    async with scene(pbx, "own", "takeover") as there:
        taken_over = {"caller": {"supervisor"}, "callee": {"caller", "supervisor"}}
        await will_hear(there.talk.parties, taken_over)
        await there.child.die()
        await will_hear(there.talk.parties, {"caller": set(), "callee": {"caller"}})
    async with opened(pbx):
        await will_hear(
            {**there.talk.parties, "boss": there.boss},
            {**BOTH_HEAR, "boss": {"caller", "callee"}},
        )
        await there.talk.over()
        await there.boss.wait_closed()
        await pbx.empty()


async def observed_anew(floor: Floor, talk: Talk) -> None:
    """The same may observe again, and speak, as if nothing had been."""
    (call,) = await floor.client.live_calls()
    talk.call_id = call.call_id
    boss, ear = await floor.boss(talk)
    await boss.barge()
    expected = {who: whom | {"supervisor"} for who, whom in BOTH_HEAR.items()}
    await will_hear({**talk.parties, "boss": ear}, {**expected, "boss": {"caller", "callee"}})
    await boss.leave()
    await will_hear(talk.parties, BOTH_HEAR)
    await talk.over()


@pytest.mark.phones
async def test_who_dialled_in_stays_until_the_call_is_over(pbx: Pbx) -> None:
    phone = await pbx.phone("1005")
    async with child(pbx, PROGRAM, "own", "access") as program:
        talk = await own_call(pbx)
        await program.says("ready")
        await phone.call("*55")
        await program.says("joined")
        await program.die()
    async with opened(pbx) as floor:
        supervision = floor.client._connected().supervision

        def there() -> list[str]:
            (call,) = floor.client._connected().directory.calls
            return [engine.name for engine in supervision.observers_of(call.call_id)]

        await until(lambda: there() == ["supervisor_pjsip_1005"], "he observes again")
        assert floor.program.calls.empty()
        await will_hear(talk.parties, BOTH_HEAR)
        assert phone.state is CallState.CONFIRMED
        await talk.over()
        await phone.wait_state(CallState.DISCONNECTED)
        await pbx.empty()


@pytest.mark.quiet
@pytest.mark.parametrize("mode", list(HEARERS))
@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_it_leaves_in_order(pbx: Pbx, whose: str, mode: str) -> None:
    async with scene(pbx, whose, mode) as there:
        await observed(there.talk, mode)
        await there.child.terminate()
        await there.boss.wait_closed()
        await will_hear(there.talk.parties, BOTH_HEAR)
        await there.talk.nothing_lost()
        parties = ["anchor.one", "anchor.two", "bridge.call", "leg.callee"]
        await stand(pbx, parties if whose == "own" else [])
        await there.talk.over()
    async with opened(pbx):
        await stand(pbx, [])


@pytest.mark.quiet
async def test_another_program_takes_its_name(pbx: Pbx) -> None:
    async with scene(pbx, "foreign", "barge") as there:
        await observed(there.talk, "barge")
        async with opened(pbx):
            await will_hear(
                {**there.talk.parties, "boss": there.boss},
                {**BOTH_HEAR, "boss": {"caller", "callee"}},
            )
            await there.boss.hangup()
            await stand(pbx, [])
            await there.talk.nothing_lost()
            await there.talk.over()


async def test_nobody_answers_for_a_phone_in_time(
    pbx: Pbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the network is gone without a word: the phone's time runs out."""
    monkeypatch.setattr(pulse, "LIMIT_SECONDS", 2)
    async with opened(pbx) as floor:
        talk = await floor.foreign_call()
        boss, ear = await floor.boss(talk)
        await boss.barge()
        await ear.wait_closed()
        assert await boss.wait_left() == "hung_up"
        await will_hear(talk.parties, BOTH_HEAR)


async def test_it_is_put_off_as_long_as_somebody_answers(
    pbx: Pbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "LIMIT_SECONDS", 2)
    monkeypatch.setattr(pulse, "RENEWAL_SECONDS", 0.3)
    async with opened(pbx) as floor:
        talk = await floor.foreign_call()
        boss, ear = await floor.boss(talk)
        await ear.wait_frames(len(ear.frames) + 150)
        assert (boss.left, ear.closed) == (None, False)
        await boss.leave()
