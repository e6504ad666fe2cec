"""The programs of README's first page, run as a reader runs them, between real phones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import soundfile

from bridge.lab.hearing import Pcm, ToneMeter
from bridge.lab.phones import CallState, Codec, Silence, Tone
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from bridge.runtime.orders import GATE_VARIABLE
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]

EXAMPLES = Path(__file__).parents[3] / "examples"
RATE = 16000
FRAME = 320
CALLER_HZ, CALLEE_HZ = 1196.0, 1729.0
CODEC = Codec.L16_16000
"""Of no memory: G.722, where a frame is missing, may go on with a burst, which is in every tone."""


def seconds_heard(pcm: Pcm, hz: float) -> float:
    levels = ToneMeter(RATE, hz, FRAME).track(pcm, FRAME)
    return sum(level > -30 for level in levels) * FRAME / RATE


@asynccontextmanager
async def running(pbx: Pbx, name: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an example; leave it by Ctrl-C. Its output is in ``folder``/output."""
    environment = {**os.environ, **await pbx.environment()}
    with (folder / "output").open("wb") as output:
        # A run in the background ignores Ctrl-C, and would have the example ignore it, too.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            program = await asyncio.create_subprocess_exec(
                sys.executable, str(EXAMPLES / name), env=environment, cwd=folder, stderr=output
            )
        finally:
            signal.signal(signal.SIGINT, before)

        async def is_up() -> bool:
            try:
                await pbx._observer.applications.get(application_name="callbridge")
            except RequestFailedError:
                return False
            return True

        try:
            await until_true(is_up, "the example takes calls", within_s=40)
            yield program
        finally:
            if program.returncode is None:
                program.send_signal(signal.SIGINT)
            await program.wait()


def heard(folder: Path) -> dict[str, Pcm]:
    return {
        who: soundfile.read(folder / f"{who}.wav", dtype="int16")[0] for who in ("caller", "callee")
    }


async def test_the_callee_alone_hears_the_whisper_and_the_two_talk_on(
    pbx: Pbx, tmp_path: Path
) -> None:
    async with running(pbx, "whisper.py", tmp_path):
        caller = await pbx.phone(
            "1001", source=Silence(), record=tmp_path / "caller.wav", codec=CODEC
        )
        callee = await pbx.phone(
            "1002", source=Tone(CALLEE_HZ), record=tmp_path / "callee.wav", codec=CODEC
        )
        await caller.call("1002")
        await callee.wait_state(CallState.CONFIRMED, within_s=10)
        await caller.play(Tone(CALLER_HZ, -12.0))
        await until_left(pbx)
        assert caller.state is CallState.CONFIRMED, "the two talk on"
        assert callee.state is CallState.CONFIRMED
        await caller.hangup()
        await until(lambda: callee.state is CallState.DISCONNECTED, "the callee is released")
    for phone in (caller, callee):
        await phone.stop()
    ears = heard(tmp_path)
    assert 0.4 <= seconds_heard(ears["caller"], 440) <= 0.6, "the greeting"
    assert seconds_heard(ears["callee"], 440) == 0
    assert 0.9 <= seconds_heard(ears["callee"], 880) <= 1.1, "the whisper"
    assert seconds_heard(ears["caller"], 880) == 0


@pytest.mark.parametrize("ends", ["the call", "the program"])
async def test_1002_alone_is_coached_on_a_call_that_no_program_placed(
    pbx: Pbx, tmp_path: Path, ends: str
) -> None:
    caller = await pbx.phone(
        "1001", source=Tone(CALLER_HZ), record=tmp_path / "caller.wav", codec=CODEC
    )
    callee = await pbx.phone(
        "1002", source=Tone(CALLEE_HZ), record=tmp_path / "callee.wav", codec=CODEC
    )
    async with running(pbx, "supervise.py", tmp_path) as program:
        await caller.call("91002")
        await callee.wait_state(CallState.CONFIRMED, within_s=10)
        await until_observed(pbx)
        await until_whispered(pbx)
        if ends == "the program":
            program.send_signal(signal.SIGINT)
            await program.wait()
            assert callee.state is CallState.CONFIRMED, "the two talk on"
            await until_left(pbx)
        await caller.hangup()
        await until(lambda: callee.state is CallState.DISCONNECTED, "the callee is released")
        await pbx.empty()
    for phone in (caller, callee):
        await phone.stop()
    ears = heard(tmp_path)
    # The two have only begun to talk: a whisper is heard from when audio flows (ADR 0003).
    assert 0.8 <= seconds_heard(ears["callee"], 880) <= 1.1, "the whisper"
    assert seconds_heard(ears["caller"], 880) == 0
    assert seconds_heard(ears["caller"], CALLEE_HZ) > 0.8, "the two talk"
    assert seconds_heard(ears["callee"], CALLER_HZ) > 0.8
    said = (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    assert [line for line in said if "(caller " in line] == [], "nothing was refused"


async def until_observed(pbx: Pbx) -> None:
    """Wait until the coach has a line to each party."""

    async def two_lines() -> bool:
        return sum("snoop.coach" in i for i in await pbx.channels()) == 2

    await until_true(two_lines, "the coach has his lines", within_s=10)


async def until_whispered(pbx: Pbx) -> None:
    """Wait until the coach has whispered and nobody hears him any more."""
    client = pbx._observer.channels

    async def gates() -> list[str]:
        try:
            return [
                (await client.get_channel_var(channel_id=i, variable=GATE_VARIABLE)).value
                for i in await pbx.channels()
                if "snoop.coach" in i
            ]
        except RequestFailedError:
            return []

    async def is_open() -> bool:
        return "open" in await gates()

    async def is_shut() -> bool:
        return await gates() == ["closed", "closed"]

    await until_true(is_open, "the coach whispers", within_s=10)
    await until_true(is_shut, "the coach has whispered", within_s=10)


async def until_left(pbx: Pbx) -> None:
    """Wait until the agent, or the coach, has no line left; the parties' legs stay."""

    async def no_line() -> bool:
        return not any("snoop" in i or "media" in i for i in await pbx.channels())

    await until_true(no_line, "the agent has left", within_s=10)
