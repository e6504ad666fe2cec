"""Requests that Asterisk refuses, does not answer, or does without saying so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.ari import AriConnection
from bridge.model.errors import (
    CommandTimeoutError,
    RequestFailedError,
    ServerError,
    ServerUnreachableError,
)

Failure = Callable[[str, str], ServerError]


def status(number: int) -> Failure:
    def make(method: str, resource: str) -> ServerError:
        return RequestFailedError(status=number, method=method, resource=resource, reason="no")

    return make


def timed_out(method: str, resource: str) -> ServerError:
    return CommandTimeoutError(f"{method} {resource}: no answer in time")


def dropped(method: str, resource: str) -> ServerError:
    return ServerUnreachableError(f"{method} {resource}: the connection broke")


HOW: dict[str, tuple[Failure, bool]] = {
    "404": (status(404), False),
    "409": (status(409), False),
    "422": (status(422), False),
    "500": (status(500), False),
    "timed out, done": (timed_out, True),
    "dropped, done": (dropped, True),
}
"""What the answer is, and whether Asterisk does what was asked all the same."""


@dataclass
class Rule:
    """Which requests fail, how, how often, and whether Asterisk does them all the same.

    held: when to.
    """

    method: str
    resource: str
    failure: Failure
    times: int
    carried_out: bool
    held: asyncio.Event | None
    hits: int = 0


@dataclass
class Refusals:
    """Stands between a controller and its connection."""

    ari: AriConnection
    rules: list[Rule] = field(default_factory=list)

    def add(
        self,
        request: str,
        how: str = "500",
        *,
        times: int = 1000,
        held: asyncio.Event | None = None,
    ) -> Rule:
        """Let requests fail, such as ``POST channels/.*/answer``, from now on."""
        method, resource = request.split(" ", 1)
        failure, carried_out = HOW[how]
        self.rules.append(Rule(method, resource, failure, times, carried_out, held))
        return self.rules[-1]

    def stop(self) -> None:
        """Let every request through."""
        self.rules.clear()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin to stand there."""
        send = self.ari.request

        async def request(method: str, resource: str, **arguments: Any) -> object:
            for rule in self.rules:
                fits = rule.method == method and re.fullmatch(rule.resource, resource)
                if not fits or rule.hits >= rule.times:
                    continue
                rule.hits += 1
                if rule.carried_out:
                    await send(method, resource, **arguments)
                if rule.held is not None:
                    await rule.held.wait()
                raise rule.failure(method, resource)
            return await send(method, resource, **arguments)

        monkeypatch.setattr(self.ari, "request", request)
