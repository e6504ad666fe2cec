"""Speech by a command: its WAV, its bounds, its failures."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from pathlib import Path

import pytest

from bridge.api.speech import AT_ONCE, WAITING, Speech
from bridge.media.clips import pcm_of_wav
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError, ConfigurationError, RateLimitedError

RATE = 16000


def wav(samples: int, *, said: int | None = None, rate: int = RATE) -> bytes:
    """Return a WAV file of silence. said: the size that its head tells, as of a pipe."""
    size = 2 * samples if said is None else said
    head = b"RIFF" + struct.pack("<I", (36 + size) & 0xFFFFFFFF) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return head + b"data" + struct.pack("<I", size) + bytes(2 * samples)


def speaking(program: str, **settings: float) -> Speech:
    return Speech([sys.executable, "-c", program], RATE, **settings)  # type: ignore[arg-type] # of floats there is but one


@pytest.mark.parametrize("said", [None, 0x7FFFFFFF, 0xFFFFFFFF])
def test_what_a_pipe_brings_counts_whatever_its_head_says(said: int | None) -> None:
    assert pcm_of_wav(wav(800, said=said), AudioFormat(RATE)) == bytes(1600)
    assert pcm_of_wav(wav(800, said=said)[:-1], AudioFormat(RATE)) == bytes(1598)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"nothing of a WAV file", wav(10)[:40]])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BadArgumentError):
        pcm_of_wav(data, AudioFormat(RATE))


async def test_text_and_voice_reach_the_command() -> None:
    program = (
        "import sys; text = sys.stdin.buffer.read().decode();"
        f"assert (text, sys.argv[1]) == ('grüß Gott', 'de'), (text, sys.argv);"
        f"sys.stdout.buffer.write({wav(800)!r})"
    )
    speech = Speech([sys.executable, "-c", program, "{voice}"], RATE, voice="en")
    assert await speech.spoken("grüß Gott", voice="de") == bytes(1600)
    with pytest.raises(ConfigurationError, match="AssertionError"):
        await speech.spoken("grüß Gott")


async def test_who_would_wait_behind_too_many_is_told_to_come_again() -> None:
    speech = speaking(
        "import sys, time\n"
        "if sys.stdin.read() == 'x': time.sleep(60)\n"
        f"sys.stdout.buffer.write({wav(800)!r})"
    )
    tasks = [asyncio.create_task(speech.spoken("x")) for _ in range(AT_ONCE + WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimitedError) as refused:
        await speech.spoken("x")
    assert refused.value.retry_after
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await speech.spoken("y") == bytes(1600), "nobody waits any more"


async def test_it_is_brought_to_the_rate_of_the_calls() -> None:
    speech = speaking(f"import sys; sys.stdout.buffer.write({wav(800, rate=8000)!r})")
    assert len(await speech.spoken("x")) == 3200


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit(3)", "failed \\(3\\)"),
        ("print('no wav')", "spoken in no way known"),
        ("import sys; sys.exit('no such voice')", "no such voice"),
    ],
)
async def test_a_command_that_fails_is_told(program: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        await speaking(program).spoken("x" * 200_000)


async def test_one_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    command = tmp_path / "speak"
    command.write_bytes(b"no program at all")
    command.chmod(0o700)
    speech = Speech([str(command)], RATE)
    with pytest.raises(ConfigurationError, match=r"cannot be run: .*Exec format error"):
        await speech.spoken("x")
    command.unlink()
    with pytest.raises(ConfigurationError, match=r"cannot be run: .*No such file"):
        await speech.spoken("x")


async def test_one_that_takes_too_long_is_ended() -> None:
    begin = time.monotonic()
    with pytest.raises(ConfigurationError, match=r"within 0\.2 s"):
        await speaking("import time; time.sleep(60)", timeout_seconds=0.2).spoken("x")
    assert time.monotonic() - begin < 5


async def test_one_that_speaks_for_ever_is_ended() -> None:
    endless = "import sys\nwhile True: sys.stdout.buffer.write(bytes(1 << 20))"
    with pytest.raises(ConfigurationError):
        await speaking(endless, timeout_seconds=0.5).spoken("x")


async def test_who_does_not_wait_ends_it() -> None:
    speaks = asyncio.create_task(speaking("import time; time.sleep(60)").spoken("x"))
    await asyncio.sleep(0.05)
    speaks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaks


def test_a_command_that_is_not_there() -> None:
    for command in ((), ("no-such-command-as-this",)):
        with pytest.raises(ConfigurationError):
            Speech(command, RATE)
