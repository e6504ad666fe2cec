"""Processes of the bench's own: they answer, they end, and forget what they have told."""

from __future__ import annotations

import asyncio
import struct
import sys

import pytest

from bridge.lab.bench import child
from bridge.lab.bench.child import Child
from bridge.lab.bench.flock import Flock
from bridge.model.errors import LabError
from tests.support.pbx import until_true

OBEYS = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
DEAF = "import time\nprint('up', flush=True)\ntime.sleep(60)"


async def run(program: str, answers_s: float) -> Child:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", program, stdin=pipe, stdout=pipe
    )
    return Child(process, "the child", answers_s)


async def test_a_child_answers_and_ends_with_its_input() -> None:
    obeys = await run(OBEYS, 10.0)
    assert await obeys.ask("watch", "this") == "WATCH THIS"
    await obeys.end()
    with pytest.raises(LabError, match="the child did not answer"):
        await obeys.line()


async def test_a_child_that_does_not_end_is_killed_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "_END_S", 0.05)
    deaf = await run(DEAF, 10.0)
    assert await deaf.line() == "up"
    with pytest.raises(LabError, match=r"did not end within .* s, and was killed"):
        await deaf.end()


def frame(text: str) -> bytes:
    return struct.pack("!BB", 0x81, len(text)) + text.encode()


async def test_what_watchers_missed_is_told_once() -> None:
    going_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frame("{}"))
        for seq in (1, 4):
            writer.write(frame(f'{{"type":"event","seq":{seq},"at":1.0,}}'))
        await going_on.wait()
        writer.write(frame('{"type":"event","seq":5,"at":1.0,}'))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    flock = Flock(host, port, 2, "key")
    try:
        await flock.connect()
        told = missed = 0

        async def all_told(count: int) -> bool:
            nonlocal told, missed
            report = await flock.report()
            told += report.told
            missed += report.missed
            return told == count

        await until_true(lambda: all_told(2), "two events")
        assert missed == 2
        going_on.set()
        await until_true(lambda: all_told(3), "one more")
        assert missed == 2
    finally:
        flock.close()
        server.close()
        await server.wait_closed()
