"""Many watchers of the socket of events, in a process of its own; one of them does not read.

Started with host, port and number of watchers as arguments and a key in the environment. Says
``up`` when all have subscribed. What else it does it is told by lines on its standard input, each
of which it answers with one line: ``report`` and ``wake``. It ends with its input.

Sockets are read as raw as possible: it is the server that is measured, and a WebSocket library for
a thousand of them would take the core that the measurement needs.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
import numpy as np

from bridge.lab.waiting import until
from bridge.protocol.frames import EVENTS_SOCKET, Subscribe
from bridge.protocol.operations import BASE

KEY_VARIABLE: Final = "CALLBRIDGE_KEY"
AT_ONCE: Final = 50
"""Watchers that connect at the same time."""
_UP_S: Final = 30.0
_WAKE_S: Final = 20.0
_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_SHORT: Final = 125
_MEDIUM: Final = 126
_EVENT: Final = b'{"type":"event"'
_CUT_OFF: Final = b'{"type":"cut_off"'
_AT: Final = b'"at":'
_SEQ: Final = b'"seq":'
_STUCK_BYTES: Final = 8192
"""Of the kernel's buffer, for who does not read."""


class Report(msgspec.Struct, frozen=True):
    """What those who read were told. Latencies in ms: from the event to the watcher."""

    watchers: int
    told: int
    """Events, at all of them together."""
    fewest: int
    """At one of them."""
    missed: int
    """Events between others that one did not get, at all of them together."""
    median_ms: float
    p99_ms: float
    max_ms: float


class Fate(msgspec.Struct, frozen=True):
    """What became of who did not read, when he reads at last."""

    told: int
    cut_off: str
    """The message that said so; empty for none."""
    close_code: int


class Watcher(asyncio.Protocol):
    """One WebSocket. latencies: of all watchers together, in seconds."""

    def __init__(self, key: str, latencies: list[float], *, stuck: bool) -> None:
        self._key = key
        self._latencies = latencies
        self._stuck = stuck
        self._held = b""
        self._upgraded = False
        self._last = 0
        self.transport: asyncio.Transport | None = None
        self.subscribed = False
        self.told = 0
        self.missed = 0
        self.cut_off = ""
        self.close_code = 0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade, and subscribe."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP connection
        self.transport = transport
        subscribe = msgspec.json.encode(Subscribe())
        transport.write(
            f"GET {BASE}{EVENTS_SOCKET} HTTP/1.1\r\nHost: callbridge\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {self._key}\r\n\r\n".encode()
            # Masked with nothing but zeros, which is as good as any other mask.
            + struct.pack("!BBI", _TEXT, 0x80 | len(subscribe), 0)
            + subscribe
        )

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        now = time.time()
        content = self._held + data if self._held else data
        if not self._upgraded:
            head, end, content = content.partition(b"\r\n\r\n")
            if not end:
                self._held = head
                return
            self._upgraded = True
        at = 0
        while (frame := _frame(content, at)) is not None:
            opcode, start, at = frame
            self._take(opcode, content[start:at], now)
        self._held = content[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        del exc
        self.ended = True

    def _take(self, opcode: int, text: bytes, now: float) -> None:
        if opcode == _CLOSE:
            self.close_code = int.from_bytes(text[:2], "big")
        elif text.startswith(_EVENT):
            self._event(text, now)
        elif text.startswith(_CUT_OFF):
            self.cut_off = str(msgspec.json.decode(text)["message"])
        elif not self.subscribed:
            self.subscribed = True
            if self._stuck and self.transport is not None:
                self.transport.pause_reading()

    def _event(self, text: bytes, now: float) -> None:
        seq = int(_number(text, _SEQ))
        if self._last:
            self.missed += seq - self._last - 1
        self._last = seq
        self.told += 1
        if not self._stuck:
            self._latencies.append(now - float(_number(text, _AT)))


def _are_up(watchers: Sequence[Watcher]) -> bool:
    return all(watcher.subscribed for watcher in watchers)


def _frame(content: bytes, at: int) -> tuple[int, int, int] | None:
    """Return opcode, beginning and end of what is in the frame at ``at``; None for part of one."""
    if len(content) < at + 2:
        return None
    opcode, size, start = content[at], content[at + 1], at + 2
    if size > _SHORT:
        length = 2 if size == _MEDIUM else 8
        if len(content) < start + length:
            return None
        size = int.from_bytes(content[start : start + length], "big")
        start += length
    return None if len(content) < start + size else (opcode, start, start + size)


def _number(text: bytes, name: bytes) -> bytes:
    start = text.index(name) + len(name)
    return text[start : text.index(b",", start)]


class Flock:
    """All of them; the first does not read."""

    def __init__(self, host: str, port: int, count: int, key: str) -> None:
        self._address = (host, port)
        self._latencies: list[float] = []
        self._watchers = [
            Watcher(key, self._latencies, stuck=number == 0) for number in range(count)
        ]

    async def connect(self) -> None:
        """Subscribe all."""
        for start in range(0, len(self._watchers), AT_ONCE):
            some = self._watchers[start : start + AT_ONCE]
            await asyncio.gather(*map(self._connect, some))
            await until(partial(_are_up, some), "all have subscribed", within_s=_UP_S)

    async def _connect(self, watcher: Watcher) -> None:
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        if watcher is self._watchers[0]:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STUCK_BYTES)
        raw.setblocking(False)  # noqa: FBT003 - the interface of socket
        await loop.sock_connect(raw, self._address)
        await loop.create_connection(lambda: watcher, sock=raw)

    async def report(self) -> Report:
        """Say what those who read were told by now, and forget it."""
        reading = self._watchers[1:]
        latencies = np.array(self._latencies or [0.0]) * 1000
        report = Report(
            watchers=len(reading),
            told=sum(watcher.told for watcher in reading),
            fewest=min(watcher.told for watcher in reading),
            missed=sum(watcher.missed for watcher in reading),
            median_ms=round(float(np.median(latencies)), 2),
            p99_ms=round(float(np.percentile(latencies, 99)), 2),
            max_ms=round(float(latencies.max()), 2),
        )
        self._latencies.clear()
        for watcher in reading:
            watcher.told = watcher.missed = 0
        return report

    async def wake(self) -> Fate:
        """Let the first read at last, to the end."""
        stuck = self._watchers[0]
        assert stuck.transport is not None  # noqa: S101 - it was connected
        stuck.transport.resume_reading()
        await until(lambda: stuck.ended or stuck.close_code, "its end", within_s=_WAKE_S)
        stuck.transport.close()
        return Fate(stuck.told, stuck.cut_off, stuck.close_code)

    def close(self) -> None:
        """Leave."""
        for watcher in self._watchers:
            if watcher.transport is not None:
                watcher.transport.abort()


def allow_sockets() -> None:
    """Let this process have as many sockets as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def main(host: str, port: int, count: int) -> None:
    """Watch until standard input ends."""
    allow_sockets()
    flock = Flock(host, port, count, os.environ[KEY_VARIABLE])
    await flock.connect()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(b"up")
    while line := (await reader.readline()).strip():
        answer = await (flock.report() if line == b"report" else flock.wake())
        _say(msgspec.json.encode(answer))
    flock.close()


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
