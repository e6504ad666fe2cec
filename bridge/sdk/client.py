"""The door: takes calls from one Asterisk and hands them to the program."""

from __future__ import annotations

import importlib
import logging
import ssl
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload

from bridge.ari import Capabilities
from bridge.directory import CallBegan, CallEnded, Change, PartiesChanged
from bridge.model.errors import BadArgumentError, InvalidStateError, ServerError
from bridge.model.features import FeatureKeys
from bridge.model.keys import KeyLimits, KeyMap
from bridge.model.states import CallState
from bridge.protocol.frames import Route as CallRoute
from bridge.runtime import CallEngine, Controller, ControllerSettings
from bridge.runtime.agent import AgentMedia
from bridge.runtime.audit import Audit
from bridge.runtime.music import checked_music
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.parking import SLOTS, ParkedCall, checked_slots
from bridge.runtime.seat import Access, AccessPolicy
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import PhonePolicy, Policy, TransferRules
from bridge.sdk import events
from bridge.sdk.address import in_process, is_remote
from bridge.sdk.call import ActiveCall, Route
from bridge.sdk.discovery import find_server
from bridge.sdk.events import CallEvent, ClientEvent, ObserverEvent, WatchEvent
from bridge.sdk.exchange import Exchange
from bridge.sdk.handlers import Handler, Handlers, Tap
from bridge.sdk.observer import news_of
from bridge.sdk.observing import Observing, Onlookers
from bridge.sdk.originating import Originating
from bridge.sdk.recordable import recording_resumer
from bridge.sdk.resuming import Resuming
from bridge.sdk.routing import DEFAULT_ENDPOINT, endpoint_for
from bridge.sdk.running import until_stopped
from bridge.session.observer.effects import ObserverNotice, Tell

_log = logging.getLogger(__name__)
_H = TypeVar("_H", bound=Handler)

_OBSERVER_EVENTS = {
    ObserverNotice.JOINED: WatchEvent.OBSERVER_JOINED,
    ObserverNotice.MODE_CHANGED: ObserverEvent.OBSERVER_MODE_CHANGED,
    ObserverNotice.MOVED: WatchEvent.OBSERVER_MOVED,
    ObserverNotice.LEFT: ObserverEvent.OBSERVER_LEFT,
}

DEFAULT_RATE: Final = 24000
"""Hz."""
HANDLER_SECONDS = 5.0
"""How long handlers may go on when the client leaves."""


class Client(Originating, Exchange, Observing):
    """Calls of one application on one Asterisk.

    ::

        async with Client() as client:
            client.on(events.INCOMING_CALL, handle)
            await client.run_forever()

    ari_url, username, password: by default from CALLBRIDGE_ARI_URL, CALLBRIDGE_ARI_USERNAME and
    CALLBRIDGE_ARI_PASSWORD, else those of the running instance that ``callbridge asterisk up``
    started (``instance``: its name).
    application: the name that the dialplan hands calls to, ``Stasis(callbridge)``.
    sample_rate: Hz of all audio: 8000, 16000 or 24000, which is the default; a daemon has its own.
    route: says whom ``connect()`` rings, given the call; by default the original callee.
    endpoint: how a number is dialled.
    tls: for an https address whose certificate the system does not know.
    send_buffer_seconds: how much audio may be sent ahead.
    probe: measure at start what the server's version does not tell (``capabilities``).
    supervisors: endpoints (``1003``, ``PJSIP/1003``) that may observe by dialling the access code,
    or a function that is asked; by default nobody.
    keys: what the keys of supervisors' phones do, such as ``{"4": "spy"}``; by default 4 spy,
    5 whisper, 6 barge, * next call, # leave.
    music: what those on hold hear, a class of Asterisk's ``musiconhold.conf``; or a function that,
    given a new call, returns its class; by default Asterisk's default.
    feature_keys: what parties may ask for with keys during a call: ``FeatureKeys()`` has blind
    (``##`` and a number) and attended transfer (``*2`` and a number), and, for who transfers,
    ``*1`` cancel, ``*2`` complete, ``*3`` conference, ``*4`` swap; by default nothing.
    parking_slots: numbers under which calls are parked, which the dialplan hands over by
    ``Stasis(callbridge,retrieve,NUMBER)``; by default 7101 to 7120.
    transfer_policy: asked, with a TransferRequest, about every transfer of a call, whether a phone
    or the program wants it; answers yes or no, with another target, or a TransferGrant.
    phone_transfers: endpoints whose phones may transfer, or all (True), or none (False); by default
    those whose endpoints are called by numbers (``PJSIP/1002``).

    By URL, the calls are at a daemon (``callbridge serve``), and all the rest is the same:
    url, key: by default, unless ``ari_url`` is given, from CALLBRIDGE_URL and CALLBRIDGE_KEY.
    program: its name, by default its file's. Of several processes of one name one has the calls,
    and the others stand by. routes: which incoming calls it takes, numbers that were dialled (``*``
    at the end stands for anything) or CallRoutes; by default all. lease_seconds: how long its calls
    wait for it when it is gone. when_gone: what befalls them then, should nobody have taken over:
    ``leave``, the parties go on, or ``hang_up``. What only a daemon can be told, such as
    ``feature_keys``, raises ConfigurationError. In process a program has every call of its
    application, and these say nothing, as ``probe`` does by URL.

    Raises ConfigurationError when no server is known, BadArgumentError for a wrong argument.
    """

    def __new__(
        cls, ari_url: str | None = None, *_rest: object, url: str | None = None, **_more: object
    ) -> Self:
        """Return a client by URL where a daemon is meant."""
        if cls is Client and is_remote(url=url, ari_url=ari_url):
            # It is made of this class: its module comes after this one.
            remote = importlib.import_module("bridge.sdk.remote.client").RemoteClient
            made: Self = super().__new__(remote)
            return made
        return super().__new__(cls)

    def __init__(
        self,
        ari_url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        application: str = "callbridge",
        sample_rate: int | None = None,
        route: Route | None = None,
        endpoint: str = DEFAULT_ENDPOINT,
        tls: ssl.SSLContext | None = None,
        send_buffer_seconds: float = 120.0,
        probe: bool = True,
        supervisors: Collection[str] | Callable[[Access], bool] = (),
        keys: Mapping[str, str] | None = None,
        music: str | Callable[[ActiveCall], str] = "",
        feature_keys: FeatureKeys | None = None,
        parking_slots: Collection[str] = SLOTS,
        transfer_policy: Policy | None = None,
        phone_transfers: Collection[str] | bool | None = None,
        instance: str = "default",
        url: str | None = None,
        key: str | None = None,
        program: str | None = None,
        routes: Collection[CallRoute | str] | None = None,
        lease_seconds: float = 10.0,
        when_gone: Literal["leave", "hang_up"] = "leave",
    ) -> None:
        # In process there is nobody to share the calls with.
        del program, routes, lease_seconds, when_gone
        in_process(url=url, key=key)
        if "{number}" not in endpoint:
            raise BadArgumentError(f"endpoint={endpoint!r} has no {{number}} in it")
        ari = find_server(
            url=ari_url,
            username=username,
            password=password,
            application=application,
            instance=instance,
            tls=tls,
        )
        self._settings = ControllerSettings(
            ari,
            sample_rate=sample_rate or DEFAULT_RATE,
            send_buffer_seconds=send_buffer_seconds,
            probe=probe,
            access=AccessPolicy(supervisors),
            keys=KeyMap() if keys is None else KeyMap.of(keys),
            feature_keys=feature_keys,
            parking_slots=checked_slots(parking_slots),
            transfers=TransferRules(
                transfer_policy,
                PhonePolicy(allowed=phone_transfers),
                lambda target, dialled: endpoint_for(target, endpoint, dialled=dialled),
            ),
        )
        self._route = route
        self._endpoint = endpoint
        self._music = checked_music(music) if isinstance(music, str) else music
        self._handlers = Handlers()
        self._calls: dict[str, ActiveCall] = {}
        self._unheard: list[ActiveCall] = []
        self._onlookers = Onlookers(self._handlers)
        self._resuming = Resuming(self._handlers, self._onlookers)
        self.limits_of: Callable[[str], KeyLimits] = KeyLimits.strictest
        """Makes the limits of an observer's keys of their note: see ``observe_limited``."""
        self._controller: Controller | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()

    @property
    def calls(self) -> tuple[ActiveCall, ...]:
        """The calls that this program takes part in."""
        return tuple(self._calls.values())

    @property
    def parked(self) -> tuple[ParkedCall, ...]:
        """Who is parked, by slot. Raises InvalidStateError before ``connect()``."""
        return self._connected().parking.parked

    @property
    def capabilities(self) -> Capabilities:
        """What the server can and cannot do. Raises InvalidStateError before ``connect()``."""
        return self._connected().capabilities

    @property
    def sample_rate(self) -> int:
        """Hz of all audio."""
        return self._settings.sample_rate

    @property
    def send_buffer_seconds(self) -> float:
        """How much audio may be sent ahead."""
        return self._settings.send_buffer_seconds

    @property
    def audit(self) -> Audit:
        """Who did what, when, with what result. Raises InvalidStateError before ``connect()``."""
        return self._connected().audit

    def get_call(self, call_id: str) -> ActiveCall | None:
        """Return a call that this program takes part in."""
        return self._calls.get(call_id)

    @overload
    def on(self, event: ClientEvent | CallEvent | str) -> Callable[[_H], _H]: ...

    @overload
    def on(self, event: ClientEvent | CallEvent | str, handler: _H) -> _H: ...

    def on(self, event: ClientEvent | CallEvent | str, handler: Handler | None = None) -> Any:
        """Register a handler, as a decorator or directly. It takes the call, or nothing.

        Events of calls are heard for every call. Calls that came before there was anybody to take
        them are handed over now. If the only handler of INCOMING_CALL raises while nobody but the
        agent is with the caller, the caller is hung up; parties who talk go on. Raises
        BadArgumentError for an unknown event.
        """
        if event not in {*ClientEvent, *CallEvent}:
            known = ", ".join([*ClientEvent, *CallEvent])
            raise BadArgumentError(f"there is no event {event!r}; there are {known}")

        def register(function: _H) -> _H:
            self._handlers.add(event, function)
            self._listened(event)
            return function

        return register if handler is None else register(handler)

    def tap(self, listener: Tap) -> None:
        """Tell ``listener`` everything that happens, in order, at once; it must not block.

        It takes the event (of ClientEvent, CallEvent, ObserverEvent, WatchEvent) and all that it is
        about. It is no handler: an event that waits for somebody to listen waits on. Who taps
        before ``connect()`` has the PBX watched.
        """
        self._handlers.taps.append(listener)

    async def connect(self) -> None:
        """Connect to Asterisk and take its calls from now on.

        Raises ServerUnreachableError, AuthenticationError, CapabilityError, InvalidStateError.
        """
        if self._controller is not None:
            raise InvalidStateError("this client is connected")
        controller = Controller(
            self._settings,
            on_call=self._incoming,
            on_resumed=self._resumed,
            on_observer_resumed=self._observer_resumed,
        )
        controller.audit.listeners.append(partial(self._handlers.emit, events.AUDIT))
        controller.audibility_check.listeners.append(
            partial(self._handlers.emit, events.AUDIBILITY_DIFFERS)
        )
        controller.live_listeners.append(self._live_change)
        controller.supervision.listeners.append(partial(self._observer_told, controller))
        controller.outage.listeners.append(self._server_changed)
        controller.admission.listeners.append(self._dialled_in)
        controller.admission.limits_of = self.limits_of
        controller.refers.on_transfer = self._transfer_begun
        controller.feature_phones.on_transfer = self._transfer_begun
        controller.resumption.resumers.append(
            recording_resumer(controller, self._handlers, self._calls.get)
        )
        # Calls that waited for us are handed over while it opens.
        self._controller = controller
        try:
            await controller.open()
            lives = (events.LIVE_CALL_BEGAN, events.LIVE_CALL_ENDED)
            if self._handlers.taps or any(map(self._handlers.has, lives)):
                await controller.watch()
            self._resuming.connected(controller)
        except BaseException:
            self._controller = None
            await controller.close()
            await self._handlers.close(HANDLER_SECONDS)
            raise

    async def disconnect(self) -> None:
        """Leave. Parties who talk go on; a caller whom only the agent was with is hung up.

        Handlers have some seconds to come to an end. Idempotent.
        """
        controller, self._controller = self._controller, None
        self._resuming.disconnected()
        if controller is not None:
            await controller.close()
            await self._handlers.close(HANDLER_SECONDS)

    async def hand_over(self) -> None:
        """Leave every call as it stands to the program that comes next, such as a new version.

        Parties talk on, who is held hears his music, who rings rings; the agent is silent. Calls
        end for this program as HANDED_OVER; for the next one they go on (``CALL_RESUMED``).
        Handlers have some seconds to come to an end. Idempotent, and instead of ``disconnect()``.
        """
        controller, self._controller = self._controller, None
        self._resuming.disconnected()
        if controller is not None:
            await controller.hand_over()
            await self._handlers.close(HANDLER_SECONDS)

    async def run_forever(self) -> None:
        """Take calls until ``disconnect()``, SIGTERM, Ctrl-C, or cancellation.

        Raises ServerError when another program took over the application's name.
        """
        controller = self._connected()
        await until_stopped(controller.ended)
        if controller.ended.is_set() and self._controller is controller:
            raise ServerError(f"no more events: {controller.ari.state.reason}")

    def _listened(self, event: str) -> None:
        """Somebody listens to an event: hand over what has waited for that."""
        if event == events.INCOMING_CALL:
            self._hand_over_unheard()
        self._resuming.listened(event)

    def _hand_over_unheard(self) -> None:
        waiting, self._unheard = self._unheard, []
        for call in waiting:
            self._hand_over(call)

    def _connected(self) -> Controller:
        if self._controller is None:
            raise InvalidStateError("not connected: use `async with Client() as client`")
        return self._controller

    def _incoming(self, engine: CallEngine) -> None:
        if (call := self._begin(engine)) is None:
            return
        if self._handlers.has(events.INCOMING_CALL):
            self._hand_over(call)
        else:
            _log.warning("call %s waits: nobody listens to INCOMING_CALL yet", call.call_id)
            self._unheard.append(call)

    def _begin(self, engine: CallEngine) -> ActiveCall | None:
        """Make of a new call what the program has in hand; None of one without an agent."""
        if engine.agent is None:
            return None
        call = self._take(engine, engine.agent)
        engine.music.begin(self._music_for(call))
        return call

    def _resumed(self, engine: CallEngine) -> None:
        if engine.agent is not None:
            self._resuming.call(self._take(engine, engine.agent), engine)

    def _observer_resumed(self, engine: ObserverEngine) -> None:
        self._resuming.observer(engine, self._connected())

    def _take(self, engine: CallEngine, agent: AgentMedia) -> ActiveCall:
        call = ActiveCall(
            engine,
            agent,
            route=self._route,
            endpoint=self._endpoint,
            controller=self._connected(),
            handlers=self._handlers,
            on_event=self._call_event,
        )
        self._calls[call.call_id] = call
        return call

    def _music_for(self, call: ActiveCall) -> str:
        if isinstance(self._music, str):
            return self._music
        try:
            return checked_music(self._music(call))
        except Exception:  # noqa: BLE001 - a user's function may raise anything; the call goes on
            _log.exception("call %s: its music is Asterisk's default", call.call_id)
            return ""

    def _transfer_begun(self, engine: CallEngine, transfer: TransferEngine) -> None:
        if (call := self._calls.get(engine.incoming.call_id)) is not None:
            call.follow(transfer)

    def _server_changed(self, lost: str | None) -> None:
        if lost is None:
            self._handlers.emit(events.SERVER_BACK)
        else:
            self._handlers.emit(events.SERVER_LOST, lost)

    def _live_change(self, change: Change) -> None:
        match change:
            case CallBegan(call):
                self._handlers.emit(events.LIVE_CALL_BEGAN, call)
            case CallEnded(call):
                self._handlers.emit(events.LIVE_CALL_ENDED, call)
            case PartiesChanged(_, call):
                self._handlers.tell_taps(WatchEvent.LIVE_CALL_CHANGED, call)

    def _observer_told(self, controller: Controller, engine: ObserverEngine, tell: Tell) -> None:
        if not engine.internal:
            where = controller.supervision.call_of(engine)
            self._handlers.tell_taps(_OBSERVER_EVENTS[tell.notice], news_of(engine, where))

    def _dialled_in(self, engine: ObserverEngine) -> None:
        observer = self._onlookers.of(engine, self._connected())
        self._handlers.emit(events.OBSERVER_DIALLED_IN, observer)

    def _hand_over(self, call: ActiveCall) -> None:
        """Give a call to whoever listens; a handler that fails does not leave a caller behind."""

        async def give_up() -> None:
            if call.state in {CallState.PENDING, CallState.ANSWERED}:
                _log.error(
                    "call %s: nobody is left to handle it, the caller is let go", call.call_id
                )
                await call.disconnect(cut=True)

        self._handlers.emit(events.INCOMING_CALL, call, on_failure=give_up)

    def _call_event(self, event: CallEvent, call: ActiveCall, *details: object) -> None:
        if event is events.CALL_TERMINATED:
            self._calls.pop(call.call_id, None)
            if call in self._unheard:
                self._unheard.remove(call)
        self._handlers.emit(event, call, *details)
