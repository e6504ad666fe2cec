"""How it is told that legs have ended: by which event, with what cause, and who went first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from bridge.model.participants import Participant
from bridge.model.states import HangupCause
from bridge.runtime.dialling import Dialling
from bridge.runtime.executor import Executor
from bridge.session.inputs import EventsMissed, Input, PartyGone

_MEND_SECONDS = 0.2
_LEFT_SECONDS = 0.5


class LegEnds:
    """Tells a call, by ``post``, of the ends of its channels. Causes are Q.850.

    diallings: the call's own, by their parties.
    """

    def __init__(
        self,
        executor: Executor,
        post: Callable[[Input], None],
        diallings: Mapping[Participant, Dialling],
    ) -> None:
        self._executor = executor
        self._post = post
        self._diallings = diallings
        self._ended: dict[Participant, int] = {}
        """Parties whose legs were told to have ended, in that order, with their causes."""
        self._more = asyncio.Event()
        self._hangups: dict[str, int] = {}
        executor.on_leg_gone = self._missing

    def gone(self, channel_id: str, cause: int, text: str = "") -> None:
        """A channel is gone."""
        party = self._executor.party_of(channel_id)
        stood = self._executor.channel_gone(channel_id)
        if party is not None:
            self._ended[party] = cause
            self._more.set()
            dialling = self._diallings.get(party)
            failure = None if dialling is None else dialling.failed(cause, text)
            self._post(failure or PartyGone(party, cause))
        elif stood:
            # Snoops end with their leg, whose own end is reported a moment later.
            asyncio.get_running_loop().call_later(_MEND_SECONDS, self._post, EventsMissed())

    def requested(self, channel_id: str, cause: int, *, soft: bool) -> None:
        """A channel is about to end. cause: Q.850, except in a ``soft`` request.

        That one is Asterisk's own doing, and its cause a flag (main/channel.c, ast_softhangup).
        """
        if not soft:
            self._hangups[channel_id] = cause
        elif not ((dialling := self._dialling_of(channel_id)) and dialling.ringing):
            self._hangups[channel_id] = HangupCause.NORMAL

    def left(self, channel_id: str) -> None:
        """A channel left the application: it was hung up, or somebody sent it elsewhere.

        Of callers' channels and of snoops Asterisk reports no more than this, and, of callers',
        the request before it.
        """
        if self._executor.party_of(channel_id) is None:
            self.gone(channel_id, HangupCause.NORMAL)
        elif (cause := self._hangups.get(channel_id)) is not None:
            self.gone(channel_id, cause)
        else:
            self._missing(channel_id)

    def forget(self, party: Participant) -> None:
        """He is rung anew."""
        self._ended.pop(party, None)

    async def first_of(self, parties: Collection[Participant]) -> Input:
        """Return who of ``parties`` went first; the last to go may have been released by us."""
        try:
            async with asyncio.timeout(2 * _LEFT_SECONDS):
                while not (gone := [party for party in self._ended if party in parties]):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            missing = next(p for p in sorted(parties) if self._executor.channel_of(p) is None)
            return PartyGone(missing, HangupCause.NORMAL)
        return PartyGone(gone[0], self._ended[gone[0]])

    def _missing(self, channel_id: str) -> None:
        """A leg is not there any more; its event, which knows why, is most likely on its way."""
        loop = asyncio.get_running_loop()
        loop.call_later(_LEFT_SECONDS, self.gone, channel_id, HangupCause.NORMAL)

    def _dialling_of(self, channel_id: str) -> Dialling | None:
        party = self._executor.party_of(channel_id)
        return None if party is None else self._diallings.get(party)
