"""How observers come to a call: at a program's wish, or by dialling the access code."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from bridge.ari import AriConnection
from bridge.directory import Directory, LiveCall
from bridge.model.errors import CallbridgeError, CallNotFoundError
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits, KeyMap
from bridge.model.participants import Participant, participant
from bridge.runtime.desk import Desk
from bridge.runtime.memory import RememberedObserver
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.pulse import Pulses
from bridge.runtime.seat import Access, AccessPolicy, Present, Rung, Sat, Seat, turn_away
from bridge.runtime.supervision import Supervision, coached
from bridge.session.inputs import Token
from bridge.session.observer import inputs

_NO_NAME = re.compile(r"[^a-z0-9]+")


class Admission:
    """Chooses the call, gets the phone, and lets the observer join.

    watch: opens the directory of live calls, if it is not open, and returns it.
    """

    def __init__(
        self,
        ari: AriConnection,
        supervision: Supervision,
        watch: Callable[[], Awaitable[Directory]],
        *,
        access: AccessPolicy,
        keys: KeyMap,
        pulses: Pulses,
    ) -> None:
        self._ari = ari
        self._supervision = supervision
        self._watch = watch
        self._access = access
        self._keys = keys
        self._pulses = pulses
        self.listeners: list[Callable[[ObserverEngine], None]] = []
        """Told of everybody who has come by the access code; must not block."""
        self.limits_of: Callable[[str], KeyLimits] = KeyLimits.strictest
        """Makes the limits again of somebody whom an earlier program has let in, of their note."""
        self._coming: set[str] = set()
        """Channels whose access code is being looked at."""

    async def observe(
        self,
        target: str,
        name: Participant,
        *,
        phone: Rung | None = None,
        hears_coaching: bool = False,
        limits: KeyLimits | None = None,
    ) -> ObserverEngine:
        """Let an observer join a live call, as a spy; return when he hears it.

        target: as in Directory.find. phone: his own; None for a program. limits: of his keys.
        Raises what choosing the call and joining it raise; nothing is left then.
        """
        call = (await self._watch()).find(target)
        return await self._join(
            call, name, phone, target=target, hears_coaching=hears_coaching, limits=limits
        )

    def seat_again(
        self, call: LiveCall, was: RememberedObserver, phone: Sat, observer_id: CallId
    ) -> ObserverEngine:
        """Make an observer of somebody whose phone an earlier program had; Join has to follow.

        Raises BadArgumentError when somebody has his name.
        """
        desk = self._desk(phone)
        engine = self._supervision.admit(
            call,
            was.name,
            desk=desk,
            hears_coaching=was.hears_coaching,
            observer_id=observer_id,
        )
        engine.coaches = was.coaches
        engine.limits = None if was.note is None else self.limits_of(was.note)
        return engine

    async def let_in(self, access: Access) -> None:
        """Let somebody who dialled the access code observe, if he may and there is a call.

        Nothing happens when his channel is told of twice.
        """
        if access.channel_id in self._coming or self._supervision.is_seat(access.channel_id):
            return
        self._coming.add(access.channel_id)
        try:
            await self._let_in(access)
        finally:
            self._coming.discard(access.channel_id)

    async def _let_in(self, access: Access) -> None:
        if not self._access.allows(access):
            await turn_away(self._ari, access, "nobody has allowed it")
            return
        present = Present(access.channel_id, access.channel_name)
        name = participant(f"supervisor_{_NO_NAME.sub('_', access.endpoint.lower())[-20:]}")
        try:
            directory = await self._watch()
            call = directory.find(access.extension) if access.extension else _newest(directory)
            engine = await self._join(call, name, present, target=access.extension)
        except CallbridgeError as error:
            await turn_away(self._ari, access, str(error))
            return
        for listener in self.listeners:
            listener(engine)

    async def _join(
        self,
        call: LiveCall,
        name: Participant,
        phone: Rung | Present | None,
        *,
        target: str,
        hears_coaching: bool = False,
        limits: KeyLimits | None = None,
    ) -> ObserverEngine:
        desk = None if phone is None else self._desk(phone)
        engine = self._supervision.admit(call, name, desk=desk, hears_coaching=hears_coaching)
        engine.coaches = coached(call, target)
        engine.limits = limits
        joining = asyncio.ensure_future(engine.command(inputs.Join))
        try:
            await asyncio.shield(joining)
        except CallbridgeError:
            # Nothing of him is left when who asked is told, and his name is free.
            await engine.ended.wait()
            raise
        except asyncio.CancelledError:
            # Who asked does not wait any more: nobody would know of the observer.
            engine.post(inputs.Leave(Token(0), cut=True))
            await asyncio.gather(joining, return_exceptions=True)
            await engine.ended.wait()
            raise
        return engine

    def _desk(self, phone: Rung | Present | Sat) -> Desk:
        seat, pulse = Seat(self._ari, phone), self._pulses.new()
        return Desk(seat, self._ari, self._supervision, self._keys, pulse)


def _newest(directory: Directory) -> LiveCall:
    if not directory.calls:
        raise CallNotFoundError("there is no live call")
    return directory.calls[-1]
