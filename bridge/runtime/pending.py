"""Commands whose end somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import count

from bridge.model.errors import CallbridgeError
from bridge.runtime.refusals import error_of
from bridge.session.effects import Refuse, Succeed
from bridge.session.inputs import Token

NOBODY = Token(0)
"""The token of a command that nobody waits for."""


class Pending:
    """Who waits for which command of one engine. Each is answered once."""

    def __init__(self) -> None:
        self._tokens = count(NOBODY + 1)
        self._waiting: dict[Token, asyncio.Future[None]] = {}

    def begin(self) -> tuple[Token, asyncio.Future[None]]:
        """Return a fresh token, and what is done when the command that bears it is."""
        token = Token(next(self._tokens))
        done = self._waiting[token] = asyncio.get_running_loop().create_future()
        return token, done

    def settle(self, token: Token, error: CallbridgeError | None = None) -> None:
        """Answer whoever waits for a command; nothing when nobody does any more."""
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
