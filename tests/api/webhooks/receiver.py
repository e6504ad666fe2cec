"""A receiver of webhooks that does what it is told: takes, refuses, stalls, drops."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from bridge.webhooks import HEADER, verify
from bridge.webhooks.sender import ATTEMPT_HEADER, DELIVERY_HEADER, EVENT_HEADER

SECRET = "sixteen or more characters"


@dataclass(frozen=True)
class Got:
    """One request that came."""

    path: str
    delivery: str
    kind: str
    attempt: int
    signed: bool
    event: dict[str, Any]
    status: int
    """What it was answered with."""

    @property
    def call_id(self) -> str | None:
        """The call that the event is about."""
        found: str | None = self.event["call_id"]
        return found

    @property
    def seq(self) -> int:
        """The event's number."""
        return int(self.event["seq"])


Behaviour = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


async def takes(_request: web.Request, _attempt: int) -> web.StreamResponse:
    """Take an event."""
    return web.Response(status=204)


def answers(
    status: int, *, until_attempt: int = 1000, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with a status until the attempt of that number, which is taken."""

    async def behave(_request: web.Request, attempt: int) -> web.StreamResponse:
        if attempt >= until_attempt:
            return web.Response(status=200)
        return web.Response(status=status, headers=headers)

    return behave


async def drops(request: web.Request, attempt: int) -> web.StreamResponse:
    """Cut the first connection without an answer; take the event the second time."""
    if attempt == 1:
        assert request.transport is not None
        request.transport.abort()
    return web.Response(status=200)


@dataclass
class Receiver:
    """What came, by path: each path behaves as ``behaviours`` says, and takes by default."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def stalls(self, _request: web.Request, _attempt: int) -> web.StreamResponse:
        """Answer when it is released."""
        await self.released.wait()
        return web.Response(status=200)

    def of(self, path: str) -> list[Got]:
        """What came to a path."""
        return [got for got in self.got if got.path == path]

    def taken(self, path: str) -> list[Got]:
        """What came to a path and was taken, in order."""
        return [got for got in self.of(path) if got.status < 300]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Take note of a request, and behave."""
        path = request.path
        body = await request.read()
        attempt = int(request.headers[ATTEMPT_HEADER])
        self.at_once[path] += 1
        self.most_at_once[path] = max(self.most_at_once[path], self.at_once[path])
        status = 0
        try:
            answer = await self.behaviours.get(path, takes)(request, attempt)
            status = answer.status
        finally:
            self.at_once[path] -= 1
            self.got.append(
                Got(
                    path,
                    request.headers[DELIVERY_HEADER],
                    request.headers[EVENT_HEADER],
                    attempt,
                    verify(request.headers[HEADER], body, SECRET, now=time.time()),
                    msgspec.json.decode(body),
                    status,
                )
            )
        return answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver on a local port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()
