"""A command that is sent twice happens once: ``Idempotency-Key`` of POST and DELETE.

The first request with a key is carried out; the same one again, within 24 hours, gets the same
answer, also one that says no. While the first is on its way, the second waits for it. What was not
begun for want of something (503), or was given up with the connection that asked for it, may be
tried again with the same key. Answers are kept in memory: the oldest give way, and a daemon that
was started again knows none. What must not happen twice even then bears its ``Mark``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.api.answers import Answer
from bridge.api.decoding import wrong

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
"""Header of an answer that is given again."""
KEPT_SECONDS: Final = 24 * 3600.0
KEPT: Final = 10_000
"""Answers that are kept, of all who ask."""
KEPT_OF_ONE: Final = 2_000
"""Answers that are kept of one who asks: he displaces nobody else's."""
KEPT_BYTES: Final = 32 << 20

_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_MARK_DIGITS: Final = 32
_USED: Final = "was used for another request: take a new key"
_TRY_AGAIN: Final = frozenset({503})


class Name(NamedTuple):
    """What a key is unique among."""

    principal: str
    key: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What a request with a key is known again by, where it has left something that outlives us."""

    name: str
    fingerprint: str

    @classmethod
    def of(cls, name: Name, print_of_it: bytes) -> Mark:
        """Return the mark of a request. The key cannot be told from it."""
        told = hashlib.sha256("\0".join(name).encode()).hexdigest()
        return cls(told[:_MARK_DIGITS], print_of_it.hex()[:_MARK_DIGITS])

    @property
    def text(self) -> str:
        """What is left."""
        return f"{self.name}-{self.fingerprint}"

    def is_in(self, text: str) -> bool:
        """Tell whether this request has left a text; raise BadArgumentError for another's key."""
        name, _, print_of_it = text.partition("-")
        if name == self.name and print_of_it != self.fingerprint:
            raise wrong(HEADER, _USED)
        return name == self.name


@dataclass(slots=True)
class _Entry:
    fingerprint: bytes
    done: asyncio.Future[Answer | None]
    """None: it was not carried out after all."""
    at: float
    size: int = 0


def checked_key(text: str) -> str:
    """Return a key. Raises BadArgumentError."""
    if not _KEY.fullmatch(text):
        raise wrong(HEADER, "a key has 1 to 200 visible ASCII characters")
    return text


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """Return what two requests have in common only when they ask for the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


class IdempotentAnswers:
    """Answers by key. clock: seconds that only grow."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        kept: int = KEPT,
        kept_of_one: int = KEPT_OF_ONE,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._clock = clock
        self._kept = kept
        self._kept_of_one = kept_of_one
        self._kept_bytes = kept_bytes
        self._entries: OrderedDict[Name, _Entry] = OrderedDict()
        self._of_one: dict[str, OrderedDict[Name, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def once(
        self, name: Name, print_of_it: bytes, carry_out: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Carry out, or return the answer that there was.

        Raises BadArgumentError when the key was used for something else.
        """
        while True:
            entry = self._known(name)
            if entry is None:
                return await self._first(name, print_of_it, carry_out)
            if entry.fingerprint != print_of_it:
                raise wrong(HEADER, _USED)
            # Whoever waits may be cancelled without ending the wait of others.
            if (answer := await asyncio.shield(entry.done)) is not None:
                return Answer(
                    answer.status,
                    answer.body,
                    answer.content_type,
                    {**answer.headers, REPLAYED: "true"},
                )

    async def _first(
        self, name: Name, print_of_it: bytes, carry_out: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        done: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._add(name, _Entry(print_of_it, done, self._clock()))
        answer: Answer | None = None
        try:
            answer = await carry_out()
        finally:
            if answer is None or answer.status in _TRY_AGAIN:
                self._drop(name)
                done.set_result(None)
            else:
                done.set_result(answer)
                self._sized(name, len(answer.body))
        return answer

    def _known(self, name: Name) -> _Entry | None:
        oldest = self._clock() - KEPT_SECONDS
        while self._entries:
            first, entry = next(iter(self._entries.items()))
            if entry.at > oldest or not entry.done.done():
                break
            self._drop(first)
        return self._entries.get(name)

    def _add(self, name: Name, entry: _Entry) -> None:
        self._entries[name] = entry
        own = self._of_one.setdefault(name.principal, OrderedDict())
        own[name] = None
        if len(own) > self._kept_of_one:
            self._drop_oldest(own)
        self._make_room()

    def _sized(self, name: Name, size: int) -> None:
        if (entry := self._entries.get(name)) is not None:
            entry.size = size
            self._bytes += size
            self._make_room()

    def _make_room(self) -> None:
        while len(self._entries) > self._kept or self._bytes > self._kept_bytes:
            if not self._drop_oldest(self._entries):
                return

    def _drop_oldest(self, among: OrderedDict[Name, _Entry] | OrderedDict[Name, None]) -> bool:
        """Let the oldest go that is not under way: those are as many as there are requests."""
        for name in among:
            if self._entries[name].done.done():
                self._drop(name)
                return True
        return False

    def _drop(self, name: Name) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self._bytes -= entry.size
        own = self._of_one[name.principal]
        own.pop(name, None)
        if not own:
            del self._of_one[name.principal]
