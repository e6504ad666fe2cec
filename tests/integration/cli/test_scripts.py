"""The programs of scripts/examples, as they are: on the lab's Asterisk, with real phones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import soundfile

from bridge.api.speech import Speech
from bridge.lab.hearing import TONES, Pcm, ToneMeter, tone
from bridge.lab.phones import CallState, Phone, Silence
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.support.commands import Shell
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

EXAMPLES = Path(__file__).parents[3] / "scripts/examples"
RATE = 16000
SAID_HZ = 1559.0

# Speaks every text as the same tone of 0.5 s.
SPEAKS = f"""
import math, struct, sys, wave
sys.stdin.read()
with wave.open(sys.stdout.buffer, "wb") as out:
    out.setnchannels(1); out.setsampwidth(2); out.setframerate(16000)
    wave = [5827 * math.sin(2 * math.pi * {SAID_HZ} * n / 16000) for n in range(8000)]
    out.writeframes(struct.pack("<8000h", *map(round, wave)))
"""


@pytest.fixture
async def api(pbx: Pbx, tmp_path: Path) -> AsyncIterator[RunningApi]:
    speech = Speech([sys.executable, "-c", SPEAKS], RATE)
    async with running_api(pbx.instance, tmp_path, speech=speech) as running:
        yield running


@asynccontextmanager
async def example(
    name: str, *arguments: str, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an example; it is ended, should it go on."""
    folder = Path(sys.executable).parent
    process = await asyncio.create_subprocess_exec(
        str(EXAMPLES / name),
        *arguments,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> str:
    """Wait for its end; return what it said."""
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return out.decode()


def seconds_of(path: Path, hz: float) -> float:
    pcm: Pcm = soundfile.read(path, dtype="int16")[0]
    return sum(level > -30 for level in ToneMeter(RATE, hz, 320).track(pcm, 320)) * 0.02


def sound(path: Path) -> Path:
    soundfile.write(path, tone(SAID_HZ, -15.0, 0.5, RATE), RATE, subtype="PCM_16")
    return path


async def heard_by(phones: Mapping[Path, Phone]) -> dict[str, float]:
    """Return for how long each has heard what was said."""
    for phone in phones.values():
        await phone.record_position()
    return {path.stem: round(seconds_of(path, SAID_HZ), 1) for path in phones}


@pytest.mark.quiet
@pytest.mark.parametrize("kind", ["text", "file"])
async def test_everybody_on_every_call_hears_an_announcement(
    pbx: Pbx, shell: Shell, tmp_path: Path, kind: str
) -> None:
    what = "We close." if kind == "text" else str(sound(tmp_path / "closing.wav"))
    async with example("announce", what, environment=shell.environment) as process:
        assert await ended(process) == "no calls\nsaid on 0 of 0 calls\n"
        assert process.returncode == 0
    phones = {}
    for number in ("1001", "1002", "1003", "1004"):
        path = tmp_path / f"{number}.wav"
        source = CALLER_TONE if number in {"1001", "1003"} else CALLEE_TONE
        phones[path] = await pbx.phone(number, source=source, record=path)
    one, two, three, four = phones.values()
    await one.call("91002")
    await three.call("91004")
    for phone in (two, four):
        await phone.wait_state(CallState.CONFIRMED)

    async def both() -> bool:
        return len(await shell.json("calls")) == 2

    await until_true(both, "both calls are listed")
    async with example("announce", what, environment=shell.environment) as process:
        assert await ended(process) == "said on 2 of 2 calls\n"
        assert process.returncode == 0
    found = await heard_by(phones)
    assert all(0.4 <= seconds <= 0.6 for seconds in found.values()), found
    assert all(phone.state is CallState.CONFIRMED for phone in phones.values())


async def test_an_announcement_that_is_not_heard_everywhere_fails(
    api: RunningApi, talking: tuple[Phone, Phone]
) -> None:
    del talking
    observer = Shell(api, "observer")

    async def listed() -> bool:
        return bool(await observer.json("calls"))

    await until_true(listed, "the call is listed")
    async with example("announce", "We close.", environment=observer.environment) as process:
        said = await ended(process)
    assert process.returncode == 1
    assert "FORBIDDEN" in said
    assert "said on 0 of 1 calls" in said


async def test_new_calls_of_an_agent_are_recorded_and_no_others(
    pbx: Pbx, shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "calls"
    agent = await pbx.phone("1002", source=CALLEE_TONE)
    other = await pbx.phone("1004")
    caller = await pbx.phone("1001", source=CALLER_TONE)
    third = await pbx.phone("1003")
    async with example(
        "monitor-agent", "1002", str(folder), environment=shell.environment
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert b"events follow" in await process.stdout.readline()
        await third.call("91004")
        await other.wait_state(CallState.CONFIRMED)
        await caller.call("91002")
        await agent.wait_state(CallState.CONFIRMED)
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        call_id = line.split()[1]
        file = folder / f"{call_id}.wav"
        await until(lambda: file.exists() and file.stat().st_size > 32_000, "a second", within_s=20)
        await caller.hangup()
        async with asyncio.timeout(20):
            while b"s heard" not in (line_of := await process.stdout.readline()):
                assert line_of
    assert [path.name for path in folder.iterdir()] == [file.name]
    assert seconds_of(file, TONES["callee"]) > 0.3
    assert third.state is CallState.CONFIRMED


async def test_a_monitor_that_may_not_listen_fails(shell: Shell, tmp_path: Path) -> None:
    environment = {**shell.environment, "CALLBRIDGE_KEY": "cb_nobody"}
    async with example("monitor-agent", "1002", str(tmp_path), environment=environment) as process:
        said = await ended(process)
    assert process.returncode == 4
    assert "UNAUTHENTICATED" in said


async def test_a_call_that_an_agent_comes_to_is_recorded(
    pbx: Pbx, shell: Shell, tmp_path: Path
) -> None:
    for number in ("1001", "1002", "1003"):
        await pbx.phone(number, source=CALLEE_TONE)
    async with example(
        "monitor-agent", "1002", str(tmp_path), environment=shell.environment
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert b"events follow" in await process.stdout.readline()
        [placed] = await shell.json("originate", "1001", "--connect", "1003")
        await shell.done("add", "1001", "1002")
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        assert line == f"call {placed['call_id']} of 1002\n"
        file = tmp_path / f"{placed['call_id']}.wav"
        await until(lambda: file.exists() and file.stat().st_size > 32_000, "a second", within_s=20)
        await shell.done("hangup", "1001")


async def test_a_supervisors_phone_rings_for_every_new_call_of_an_agent(
    pbx: Pbx, shell: Shell
) -> None:
    boss = await pbx.phone("1003")
    caller, _ = [await pbx.phone(number) for number in ("1001", "1002")]
    arguments = ("1002", "--phone", "1003")
    async with example("monitor-agent", *arguments, environment=shell.environment) as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            await process.stdout.readline()
        await caller.call("91002")
        await boss.wait_state(CallState.CONFIRMED, within_s=20)
        await caller.hangup()
        await boss.wait_state(CallState.DISCONNECTED)


@pytest.mark.parametrize("talks", [True, False])
async def test_the_test_call_of_the_night(pbx: Pbx, tmp_path: Path, *, talks: bool) -> None:
    info = pbx.instance.info
    await pbx.phone("1002", source=CALLEE_TONE if talks else Silence())
    environment = {
        "PBX_SIP": f"{info.sip.host}:{info.sip.port}",
        "PHONE": "1001",
        "PASSWORD": next(a.password for a in info.accounts if a.number == "1001"),
        "NUMBER": "91002",
        "PATIENCE": "1s",
    }
    folder = tmp_path / "night"
    async with example("nightly", str(folder), environment=environment) as process:
        said = await ended(process)
    assert process.returncode == (0 if talks else 1)
    assert (said == "") is talks
    assert talks or "tester heard anything for 0.00 s, not for 1 s" in said
    assert (folder / "nightly" / "tester.wav").exists()
    results = (folder / "nightly.xml").read_text(encoding="utf-8")
    assert f'failures="{0 if talks else 1}"' in results


@pytest.mark.quiet
@pytest.mark.parametrize("at", ["Asterisk", "a daemon"])
async def test_after_hours_callers_leave_messages(pbx: Pbx, tmp_path: Path, at: str) -> None:
    caller = await pbx.phone("1001", source=CALLER_TONE, record=tmp_path / "heard.wav")
    greeting, messages = sound(tmp_path / "closed.wav"), tmp_path / "messages"
    arguments = ("--open", "0-0", "--greeting", str(greeting), "--messages", str(messages))
    async with AsyncExitStack() as stack:
        shell: Shell | None = None
        if at == "Asterisk":
            ari = pbx.instance.info.ari
            environment = {
                "CALLBRIDGE_ARI_URL": ari.url,
                "CALLBRIDGE_ARI_USERNAME": ari.username,
                "CALLBRIDGE_ARI_PASSWORD": ari.password,
            }
        else:
            api = await stack.enter_async_context(running_api(pbx.instance, tmp_path))
            environment, shell = Shell(api, "program").environment, Shell(api)
        taking = example("after_hours.py", *arguments, environment=environment)
        process = await stack.enter_async_context(taking)

        async def takes_calls() -> bool:
            return await (taken(pbx) if shell is None else attached(shell))

        await until_true(takes_calls, "the program takes calls", within_s=40)
        await caller.call("1002")
        await caller.wait_state(CallState.CONFIRMED)
        await until(lambda: is_begun(messages), "a message is on disk", within_s=15)
        await caller.hangup()
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    await caller.stop()
    [message] = messages.glob("*.wav")
    assert line.startswith("1001: ")
    assert str(message) in line
    samples, rate = soundfile.read(message, dtype="int16")
    levels = ToneMeter(rate, TONES["caller"], rate // 50).track(samples, rate // 50)
    assert sum(level > -30 for level in levels) * 0.02 > 0.4
    assert 0.4 <= seconds_of(tmp_path / "heard.wav", SAID_HZ) <= 0.6, "the greeting"


def is_begun(folder: Path) -> bool:
    """Tell whether there are 1.5 s of a message: less than half a second of speech is not kept."""
    return any(file.stat().st_size > 3 * RATE for file in folder.glob("*.wav"))


async def attached(shell: Shell) -> bool:
    """Tell whether a program takes the calls of a daemon."""
    return any(one["connected"] for one in await shell.json("programs"))


async def taken(pbx: Pbx) -> bool:
    """Tell whether a program has the application."""
    try:
        await pbx._observer.applications.get(application_name="callbridge")
    except RequestFailedError:
        return False
    return True
