"""The door to a daemon: the client by URL."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Final, Literal

from bridge.ari import Capabilities
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    ConfigurationError,
    InvalidStateError,
    ServerError,
)
from bridge.model.features import FeatureKeys
from bridge.model.states import EndReason
from bridge.protocol import operations, requests
from bridge.protocol.frames import Route as Wanted
from bridge.protocol.views import (
    CallView,
    CapabilitiesView,
)
from bridge.runtime.music import checked_music
from bridge.runtime.parking import SLOTS
from bridge.runtime.seat import Access
from bridge.runtime.transfer_policy import Policy
from bridge.sdk import events
from bridge.sdk.address import find_daemon
from bridge.sdk.call import ActiveCall, Route
from bridge.sdk.client import HANDLER_SECONDS
from bridge.sdk.events import ClientEvent
from bridge.sdk.handlers import Handlers, Tap
from bridge.sdk.labels import Labels
from bridge.sdk.remote.arguments import instance_name, program_name, refuse, routes_of
from bridge.sdk.remote.audio import Audio
from bridge.sdk.remote.audio_socket import Where
from bridge.sdk.remote.audit import RemoteAudit
from bridge.sdk.remote.call import RemoteCall
from bridge.sdk.remote.host import Host
from bridge.sdk.remote.http import USUAL_SECONDS, Http
from bridge.sdk.remote.observer import RemoteObserver
from bridge.sdk.remote.program import ProgramLine
from bridge.sdk.remote.reception import Reception, early_events
from bridge.sdk.remote.shown import capabilities_of
from bridge.sdk.remote.watch import WatchLine
from bridge.sdk.remote.wire import BACKOFF, HOPELESS
from bridge.sdk.routing import DEFAULT_ENDPOINT
from bridge.sdk.running import until_stopped
from bridge.session.observer.effects import LeftReason

_log = logging.getLogger(__name__)

_LEAVE_SECONDS: Final = 5.0
_OF_A_PROGRAM: Final = frozenset({events.INCOMING_CALL, events.CALL_RESUMED})
_WATCHED: Final = frozenset(ClientEvent) - _OF_A_PROGRAM - {events.SERVER_LOST, events.SERVER_BACK}


class RemoteClient(Reception):
    """Calls of one daemon: see Client."""

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
        routes: Collection[Wanted | str] | None = None,
        lease_seconds: float = 10.0,
        when_gone: Literal["leave", "hang_up"] = "leave",
    ) -> None:
        # The daemon has measured, or has not.
        del probe
        refuse(
            {
                "ari_url": ari_url,
                "username": username,
                "password": password,
                "application": application,
                "endpoint": endpoint,
                "send_buffer_seconds": send_buffer_seconds,
                "keys": keys,
                "feature_keys": feature_keys,
                "phone_transfers": phone_transfers,
                "instance": instance,
                "supervisors": supervisors,
                "transfer_policy": transfer_policy,
                "parking_slots": () if tuple(parking_slots) == SLOTS else parking_slots,
            }
        )
        self._http = Http(find_daemon(url=url, key=key), tls)
        self._wanted_rate = sample_rate
        self._route = route
        self._music = checked_music(music) if isinstance(music, str) else music
        self._handlers = Handlers()
        self._calls = {}
        self._unheard = []
        self._unresumed: list[RemoteCall] = []
        self._past: OrderedDict[str, RemoteCall] = OrderedDict()
        self._early = early_events()
        self._placing = 0
        self._observers: list[RemoteObserver] = []
        self._audios: list[Audio] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._shown: CapabilitiesView | None = None
        self._audit = RemoteAudit()
        self._ended = asyncio.Event()
        self._failure: CallbridgeError | None = None
        self._program = ProgramLine(
            self._http,
            self,
            name=program_name(program),
            routes=routes_of(routes),
            lease_seconds=lease_seconds,
            when_gone=when_gone,
            instance=instance_name(),
        )
        self._watch = WatchLine(self._http, self)

    # --- what others need of it -----------------------------------------------------------------

    @property
    def http(self) -> Http:
        """The way to the daemon."""
        return self._http

    @property
    def handlers(self) -> Handlers:
        """The client's own handlers."""
        return self._handlers

    @property
    def rate(self) -> int:
        """Hz of all audio."""
        return self.sample_rate

    @property
    def calls_known(self) -> bool:
        """Whether the daemon has told which calls the program has, since its socket broke last."""
        return self._program.calls_known

    @property
    def route(self) -> Route | None:
        """Says whom ``connect()`` rings."""
        return self._route

    def audio(self, where: Where) -> Audio:
        """Make the audio of a participant."""
        self._audios = [audio for audio in self._audios if not audio.over]
        audio = Audio(self._http, where, self.sample_rate)
        self._audios.append(audio)
        return audio

    def view_of(self, call_id: str) -> CallView | None:
        """Return a live call as it was told last."""
        own = self._calls.get(call_id)
        known = self._watch.mirror.get(call_id)
        if isinstance(own, RemoteCall) and (known is None or own.view.revision >= known.revision):
            return own.view
        return known

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Own a task until ``disconnect()``."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what it is -----------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """What the server can and cannot do. Raises InvalidStateError before ``connect()``."""
        return capabilities_of(self._online())

    @property
    def sample_rate(self) -> int:
        """Hz of all audio: the daemon's. Raises InvalidStateError before ``connect()``."""
        if self._shown is None and self._wanted_rate is not None:
            return self._wanted_rate
        return self._online().sample_rate

    @property
    def send_buffer_seconds(self) -> float:
        """How much audio may be sent ahead. Raises InvalidStateError before ``connect()``."""
        return self._online().send_buffer_seconds

    @property
    def audit(self) -> RemoteAudit:
        """Who did what, when, with what result, since this client listens to AUDIT."""
        self._online()
        return self._audit

    @property
    def is_active(self) -> bool:
        """Whether this process has its program's lease: else it stands by, or takes no calls."""
        return self._program.active

    # --- the PBX --------------------------------------------------------------------------------

    async def originate(
        self,
        to: str,
        *,
        caller_id: str = "",
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> ActiveCall:
        """Ring somebody; return the call when he has answered: ANSWERED, he is its ``caller``."""
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        self._online()
        await self._program.open()
        if not self._program.active:
            raise InvalidStateError(
                f"another process is the program {self._program.name!r} now, and this one stands "
                "by: give it a name of its own (program=…) to originate"
            )
        body = requests.Originate(
            to=to,
            caller_id=caller_id,
            ring_time_seconds=ring_time_seconds,
            headers=dict(headers or {}),
            program=self._program.name,
        )
        seconds = USUAL_SECONDS + ring_time_seconds
        self._placing += 1
        try:
            view = await self._http.ask(operations.ORIGINATE, CallView, body=body, seconds=seconds)
            call = self.take(view)
        finally:
            self._placing -= 1
        await self._begin_music(call)
        return call

    async def originate_labelled(
        self,
        to: str,
        labels: Mapping[str, str],
        *,
        caller_id: str = "",
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> ActiveCall:
        """Not by URL: raises ConfigurationError."""
        del labels, caller_id, ring_time_seconds, headers
        raise ConfigurationError(f"{to} is rung without labels by URL: originate() does")

    def looks_after(self, call_id: str) -> bool:
        """Tell whether a call of callbridge's goes on, the agent still on it or not."""
        self._online()
        view = self.view_of(call_id)
        return view is not None and view.own

    def labels(self, call_id: str) -> Labels | None:
        """Not by URL: raises ConfigurationError."""
        raise ConfigurationError(f"the labels of call {call_id} are noted where the calls are")

    # --- events ---------------------------------------------------------------------------------

    def tap(self, listener: Tap) -> None:
        """Tell ``listener`` everything that this client hears of, in order, at once."""
        self._handlers.taps.append(listener)
        if self._shown is not None:
            self.spawn(self._opened(self._watch.open), "watch")

    # --- coming and going -----------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect to the daemon, and take calls from now on if somebody listens to them.

        Raises ServerUnreachableError, UnauthenticatedError, ForbiddenError, ConfigurationError for
        another sample rate than the daemon's, InvalidStateError.
        """
        if self._shown is not None:
            raise InvalidStateError("this client is connected")
        await self._http.open()
        self._ended.clear()
        self._failure = None
        try:
            shown = await self._http.ask(operations.SHOW_CAPABILITIES, CapabilitiesView)
            self._require_rate(shown.sample_rate)
            self._shown = shown
            listens = any(map(self._handlers.has, _OF_A_PROGRAM))
            watches = any(map(self._handlers.has, _WATCHED)) or bool(self._handlers.taps)
            if watches or not listens:
                await self._watch.open()
            if listens:
                await self._program.open()
        except BaseException:
            await self._end()
            raise

    async def disconnect(self) -> None:
        """Leave. Parties who talk go on; a caller whom only the agent was with is hung up."""
        if self._shown is None:
            return
        calls = [call.close(cut=True) for call in self._calls.values()]
        placed = [one.leave(cut=True) for one in self._observers if one.is_own and one.left is None]
        leaving = asyncio.gather(*calls, *placed, return_exceptions=True)
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                for failed in filter(None, await leaving):
                    _log.warning("not left in order: %s", failed)
        except TimeoutError:
            _log.warning("the daemon does not answer: it ends what is left by itself")
        finally:
            await self._end()

    async def hand_over(self) -> None:
        """Leave every call as it stands to the program that comes next, such as a new version."""
        if self._shown is None:
            return
        try:
            await self._program.hand_over()
        except ServerError as error:
            _log.warning("the lease runs out instead: %s", error)
        for call in self.own_calls:
            call.finish(EndReason.HANDED_OVER)
        for observer in self._observers:
            observer.finish(LeftReason.HANDED_OVER)
        await self._end()

    async def run_forever(self) -> None:
        """Take calls until ``disconnect()``, SIGTERM, Ctrl-C, or cancellation.

        Raises UnauthenticatedError, ForbiddenError when the daemon takes this program no longer.
        """
        self._online()
        await until_stopped(self._ended)
        if self._failure is not None:
            raise self._failure

    async def _end(self) -> None:
        self._shown = None
        await self._program.close()
        await self._watch.close()
        for call in self.own_calls:
            call.lose(EndReason.AGENT_LEFT, "this program has left the daemon")
        for past in self._past.values():
            past.lose_transfers()
        for observer in self._observers:
            observer.finish(LeftReason.LEFT)
        await self._handlers.close(HANDLER_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(audio.aclose() for audio in self._audios))
        self._audios.clear()
        await self._http.close()
        self._ended.set()

    # --- what the daemon tells ------------------------------------------------------------------

    @property
    def is_program(self) -> bool:
        """Whether it hears of the server by its program's socket."""
        return self._program.is_open

    def watch_lost(self, reason: str) -> None:
        """Nothing was heard for too long."""
        for observer in self._observers:
            observer.finish(LeftReason.SERVER_LOST)
        if not self.is_program:
            self.server_lost(reason)

    def server_lost(self, reason: str) -> None:
        """Asterisk, or the daemon, is lost."""
        self._handlers.emit(events.SERVER_LOST, reason)

    def server_back(self) -> None:
        """It is there again."""
        self._handlers.emit(events.SERVER_BACK)

    def refused(self, error: CallbridgeError) -> None:
        """The daemon takes this client no longer."""
        self._failure = error
        for call in self.own_calls:
            call.lose()
        for observer in self._observers:
            observer.finish(LeftReason.SERVER_LOST)
        self.server_lost(str(error))
        self._ended.set()

    # --- inside ---------------------------------------------------------------------------------

    def _online(self) -> CapabilitiesView:
        if self._shown is None:
            raise InvalidStateError("not connected: use `async with Client() as client`")
        return self._shown

    def _as_host(self) -> Host:
        return self

    def _require_rate(self, rate: int) -> None:
        if self._wanted_rate not in {None, rate}:
            raise ConfigurationError(f"sample_rate={self._wanted_rate}: the daemon's is {rate} Hz")

    def _listened(self, event: str) -> None:
        self._received(event)
        if self._shown is None:
            return
        if event in _OF_A_PROGRAM:
            self.spawn(self._opened(self._program.open), "program")
        elif event in _WATCHED:
            self.spawn(self._opened(self._watch.open), "watch")

    async def _opened(self, open_it: Callable[[], Awaitable[None]]) -> None:
        """Open a socket of a client that is connected, as soon as the daemon lets it."""
        for failures in itertools.count(1):
            try:
                await open_it()
            except HOPELESS as error:
                _log.error("not heard of by this client: %s", error)
                self.refused(error)
            except CallbridgeError as error:
                _log.warning("not heard of by this client yet: %s", error)
                await asyncio.sleep(BACKOFF.delay_s(failures))
                continue
            return
