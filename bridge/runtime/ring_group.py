"""Several phones that are rung together, of which the first to be picked up is the callee's."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Final

from bridge.ari import AriConnection
from bridge.model.headers import Headers
from bridge.model.participants import CALLEE, Participant
from bridge.runtime.dialling import Dialling
from bridge.runtime.executor import Executor
from bridge.runtime.incoming import IncomingCall
from bridge.session.inputs import CalleeFailed, Input, PartyAnswered, PartyFailed

BETWEEN: Final = "&"
"""Between endpoints that ring together, as in Asterisk's Dial(); no endpoint has it in it."""


class RingGroup(Dialling):
    """The callee, as long as he may be one of several; a Dialling of each of them.

    diallings: the call's, where those of the members are entered: so each hears of his channel.
    """

    def __init__(
        self,
        ari: AriConnection,
        executor: Executor,
        post: Callable[[Input], None],
        diallings: MutableMapping[Participant, Dialling],
    ) -> None:
        super().__init__(ari, executor, post)
        self._diallings = diallings
        self._members: dict[Participant, _Member] = {}

    async def dial(
        self, incoming: IncomingCall, endpoint: str, seconds: int, headers: Headers = ()
    ) -> list[Input]:
        """Ring all endpoints; return the failure if none of them can be."""
        self._endpoint = self.endpoint = endpoint
        self._seconds = seconds
        members = [
            _Member(self._ari, self._executor, self._told, Participant(f"{CALLEE}_{number}"), self)
            for number in range(1, endpoint.count(BETWEEN) + 2)
        ]
        self._members = {member.party: member for member in members}
        self._diallings.update(self._members)
        # One after the other: an attempt that fails clears away what is half made.
        for member, one in zip(members, endpoint.split(BETWEEN), strict=True):
            for fact in await member.dial(incoming, one, seconds, headers):
                if (failure := self.not_had(fact)) is not None:
                    return [failure]
            if not self.ringing:
                self._executor.stray_leg(member.party)
                break
        return []

    def stop(self) -> None:
        """Forget the attempt; phones that ring are strays from now on."""
        super().stop()
        for name, member in self._members.items():
            member.stop()
            self._diallings.pop(name, None)
            self._executor.stray_leg(name)
        self._members.clear()

    def not_had(self, fact: Input) -> CalleeFailed | None:
        """One cannot be had; return the callee's failure if he was the last."""
        if not isinstance(fact, PartyFailed) or self._members.pop(fact.party, None) is None:
            return None
        self._diallings.pop(fact.party, None)
        # A leg that rings on beyond its time, or was never rung.
        self._executor.stray_leg(fact.party)
        if self._members or not self.ringing:
            return None
        self.stop()
        return CalleeFailed(fact.code, fact.message, fact.cause)

    def _told(self, fact: Input) -> None:
        if isinstance(fact, PartyAnswered):
            self._won(fact.party)
        elif (failure := self.not_had(fact)) is not None:
            self._post(failure)

    def _won(self, name: Participant) -> None:
        """The first to pick up is the callee; the others are let go."""
        member = self._members.pop(name, None)
        if member is None:
            return
        self._diallings.pop(name, None)
        self._executor.rename_leg(name, CALLEE)
        self.endpoint, self.channel_name = member.endpoint, member.channel_name
        self.answered()


class _Member(Dialling):
    """One of a group: what becomes of him is the group's to tell."""

    def __init__(
        self,
        ari: AriConnection,
        executor: Executor,
        post: Callable[[Input], None],
        party: Participant,
        group: RingGroup,
    ) -> None:
        super().__init__(ari, executor, post, party)
        self.party = party
        self._group = group

    def failed(self, cause: int, text: str = "") -> Input | None:
        """His channel is gone; return what that is for the call."""
        fact = super().failed(cause, text)
        return None if fact is None else self._group.not_had(fact)
