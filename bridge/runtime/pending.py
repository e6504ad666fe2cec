"""Commands whose end somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Final

from bridge.model.errors import CallbridgeError
from bridge.runtime.refusals import error_of
from bridge.session.effects import Refuse, Succeed
from bridge.session.inputs import Token

NOBODY = Token(0)
"""The token of a command that nobody waits for."""

_TELL_PLACED: Final[ContextVar[Callable[[], None] | None]] = ContextVar("placed", default=None)


@contextmanager
def telling_placed(tell: Callable[[], None]) -> Iterator[None]:
    """Have ``tell`` called once the command of the block, in this task, has its place in a voice.

    What its participant sends from then on is heard as the command wants it. ``tell`` must not
    block; it may be called more than once, and never for what has no such place or fails.
    """
    before = _TELL_PLACED.set(tell)
    try:
        yield
    finally:
        _TELL_PLACED.reset(before)


def placed_already() -> None:
    """Tell that the command of this task finds the voice as it wants it."""
    if (tell := _TELL_PLACED.get()) is not None:
        tell()


class Pending:
    """Who waits for which command of one engine. Each is answered once."""

    def __init__(self) -> None:
        self._tokens = count(NOBODY + 1)
        self._waiting: dict[Token, asyncio.Future[None]] = {}
        self._tell_placed: dict[Token, Callable[[], None]] = {}

    def begin(self) -> tuple[Token, asyncio.Future[None]]:
        """Return a fresh token, and what is done when the command that bears it is."""
        token = Token(next(self._tokens))
        done = self._waiting[token] = asyncio.get_running_loop().create_future()
        if (tell := _TELL_PLACED.get()) is not None:
            self._tell_placed[token] = tell
        return token, done

    def placed(self, token: Token) -> None:
        """Tell whoever gave a command that it has its place in the voice: see telling_placed."""
        if (tell := self._tell_placed.pop(token, None)) is not None:
            tell()

    def settle(self, token: Token, error: CallbridgeError | None = None) -> None:
        """Answer whoever waits for a command; nothing when nobody does any more."""
        self._tell_placed.pop(token, None)
        done = self._waiting.pop(token, None)
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def answer(self, effects: Iterable[object]) -> None:
        """Answer as far as effects do that are not carried out any more."""
        for effect in effects:
            match effect:
                case Succeed(token):
                    self.settle(token)
                case Refuse(token):
                    self.settle(token, error_of(effect))
                case _:
                    pass

    def refuse_all(self, error: CallbridgeError) -> None:
        """Answer everybody who still waits."""
        for token in list(self._waiting):
            self.settle(token, error)


def raise_refusal(effects: Iterable[object]) -> None:
    """Raise the error of the first refusal among effects, if there is one."""
    for effect in effects:
        if isinstance(effect, Refuse):
            raise error_of(effect)
