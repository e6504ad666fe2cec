"""All live calls of the PBX, and who observes them: the part of ``Client`` for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.directory import LiveCall
from bridge.model.errors import BadArgumentError
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits
from bridge.model.participants import participant
from bridge.runtime import Controller
from bridge.runtime.audibility import AudibilityReport
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.seat import Rung
from bridge.sdk.handlers import Handlers
from bridge.sdk.labels import Labels
from bridge.sdk.observer import Observer
from bridge.sdk.routing import endpoint_for
from bridge.session.observer.effects import ObserverNotice, Tell

if TYPE_CHECKING:
    from bridge.sdk.call import ActiveCall


class Onlookers:
    """What a program has in hand for every observer: one object each, as long as he is there."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._observers: dict[CallId, Observer] = {}

    def of(self, engine: ObserverEngine, controller: Controller) -> Observer:
        """Return what the program has in hand for him."""
        if (known := self._observers.get(engine.observer_id)) is not None:
            return known
        observer = Observer(engine, controller, self._handlers)
        if observer.left is None:
            self._observers[engine.observer_id] = observer
            engine.listeners.append(self._told)
        return observer

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        if tell.notice is ObserverNotice.LEFT:
            self._observers.pop(engine.observer_id, None)


class Observing:
    """Observes calls. Mixed into ``Client``, which has all that is named here."""

    _endpoint: str
    _onlookers: Onlookers

    def _connected(self) -> Controller:
        raise NotImplementedError

    async def live_calls(self) -> tuple[LiveCall, ...]:
        """Return all live calls of the PBX, whoever placed them, the eldest first.

        Raises ServerError. From the first time on, the PBX is watched.
        """
        return (await self._connected().watch(settled=True)).calls

    @property
    def known_calls(self) -> tuple[LiveCall, ...]:
        """The same, as far as the PBX is watched, without asking. Raises InvalidStateError."""
        return self._connected().directory.calls

    def live_call(self, call_id: str) -> LiveCall | None:
        """Return a live call as it is known, None when it is none. Raises as ``known_calls``."""
        return self._connected().directory.get(CallId(call_id))

    def looks_after(self, call_id: str) -> bool:
        """Tell whether a call of ours goes on, the agent still on it or not."""
        engine = self._connected().engine(CallId(call_id))
        return engine is not None and not engine.session.phase.is_over

    def labels(self, call_id: str) -> Labels | None:
        """Return the labels of a call of ours, the agent still on it or not; None of any other."""
        engine = self._connected().engine(CallId(call_id))
        return None if engine is None else Labels(engine.notes)

    def observers(self, target: str | LiveCall | ActiveCall) -> tuple[Observer, ...]:
        """Return who observes a call, whoever placed them, by name. target: a call, or its id."""
        call_id = target if isinstance(target, str) else target.call_id
        controller = self._connected()
        return tuple(
            self._onlookers.of(engine, controller)
            for engine in controller.supervision.observers_of(CallId(call_id))
            if not engine.internal
        )

    async def observe(
        self,
        target: str | LiveCall | ActiveCall,
        name: str | None = None,
        *,
        phone: str | None = None,
        ring_time_seconds: int = 30,
        hear_coaching: bool = False,
    ) -> Observer:
        """Join any live call of the PBX as a spy: this program itself or, by ``phone``, a person.

        target: a call, its id, somebody's extension or number on it, or a channel. name: his on
        the call, a-z, 0-9 and _; by default one that no other observer has. phone: a number or an
        endpoint that is rung. hear_coaching: hear what other observers whisper, too. Returns when
        he hears the call.

        Raises CallNotFoundError, AmbiguousCallError, BadArgumentError, ConnectFailedError when the
        phone is not answered, CapabilityError, ServerError.
        """
        return await self.observe_limited(
            target,
            None,
            name,
            phone=phone,
            ring_time_seconds=ring_time_seconds,
            hear_coaching=hear_coaching,
        )

    async def observe_limited(
        self,
        target: str | LiveCall | ActiveCall,
        limits: KeyLimits | None,
        name: str | None = None,
        *,
        phone: str | None = None,
        ring_time_seconds: int = 30,
        hear_coaching: bool = False,
    ) -> Observer:
        """Do what ``observe`` does. limits: what the keys of his phone may not do.

        What makes them again for a program that takes him up is ``limits_of``.
        """
        controller = self._connected()
        selector = target if isinstance(target, str) else target.call_id
        rung = None
        if phone is not None:
            endpoint = endpoint_for(phone, self._endpoint, dialled="")
            application = controller.settings.ari.application
            rung = Rung(endpoint, ring_time_seconds, number=application)
        try:
            who = controller.supervision.free_name() if name is None else participant(name)
        except ValueError as error:
            raise BadArgumentError(str(error)) from None
        engine = await controller.admission.observe(
            selector, who, phone=rung, hears_coaching=hear_coaching, limits=limits
        )
        return self._onlookers.of(engine, controller)

    async def audibility(self, target: str | LiveCall | ActiveCall) -> AudibilityReport:
        """Return who is to hear whom on a live call, and who does by what Asterisk has.

        target: as in ``observe``. While a call is observed it is looked at every five seconds; what
        differs is told (``AUDIBILITY_DIFFERS``) and repaired. Raises CallNotFoundError,
        AmbiguousCallError, ServerError.
        """
        selector = target if isinstance(target, str) else target.call_id
        return await self._connected().audibility(selector)
