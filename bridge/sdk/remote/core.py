"""What a program by URL knows of its call, and how it hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, TypeVar

import msgspec

from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CallNotFoundError,
    ConfigurationError,
    ForbiddenError,
    InvalidStateError,
    NotFoundError,
    ServerUnreachableError,
)
from bridge.model.modes import AudioMode
from bridge.model.participants import AGENT, CALLEE, CALLER
from bridge.model.states import CallState, EndReason
from bridge.protocol import operations, requests
from bridge.protocol.operations import Operation
from bridge.protocol.requests import Request
from bridge.protocol.views import (
    CallView,
    EventView,
    PartyView,
    RecordingView,
    TransferView,
)
from bridge.runtime.collecting import Keys
from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.labels import Labels
from bridge.sdk.parties import Party
from bridge.sdk.remote.host import Host, require_known
from bridge.sdk.remote.http import USUAL_SECONDS
from bridge.sdk.remote.recording import RemoteRecording
from bridge.sdk.remote.shown import party_of
from bridge.sdk.remote.transfer import RemoteTransfer
from bridge.sdk.transferring import FELL_THROUGH, Fallback

_log = logging.getLogger(__name__)
T = TypeVar("T")

_TOLD_SECONDS: Final = 2.0
"""How long, after the daemon has let go of a call, its end is waited for."""
_TRANSFERS: Final = frozenset(e for e in CallEvent if e.startswith("TRANSFER_"))
_RECORDINGS: Final = frozenset({CallEvent.RECORDING_ENDED, CallEvent.RECORDING_FAILED})
_ABOUT_SOMEBODY: Final = ("party", "key", "slot")


class Core(ActiveCall):
    """What all commands of a call at a daemon stand on. A part of RemoteCall."""

    def __init__(self, view: CallView, host: Host) -> None:
        self._host = host
        self._view = view
        self._route = host.route
        self._handlers = Handlers(owner=host.handlers)
        self._on_event = host.call_event
        self._end_reason = None
        self._ended = asyncio.Event()
        self._leaving = 0
        """How many commands that end it are under way."""
        self.watchers = []
        self._audio = host.audio(lambda: (view.call_id, AGENT))
        self._keys = Keys()
        self._transfers: dict[str, RemoteTransfer] = {}
        self._fallbacks: dict[str, Fallback] = {}
        self._recorded: dict[str, RemoteRecording] = {}
        self.see(view)

    # --- what it is -----------------------------------------------------------------------------

    @property
    def call_id(self) -> str:
        """Names the call for its whole life."""
        return self._view.call_id

    @property
    def sample_rate(self) -> int:
        """Hz of all audio."""
        return self._host.rate

    @property
    def originated(self) -> bool:
        """The caller did not call: he was rung, by ``client.originate``."""
        return self._view.originated

    @property
    def caller_number(self) -> str:
        """Who calls; empty when withheld."""
        return self._view.caller_number

    @property
    def caller_name(self) -> str:
        """The name that came with the number; may be empty."""
        return self._view.caller_name

    @property
    def caller_endpoint(self) -> str:
        """The phone or trunk that he calls from, such as ``PJSIP/1001``."""
        return self._view.caller_endpoint

    @property
    def labels(self) -> Labels:
        """Not by URL: raises ConfigurationError."""
        raise ConfigurationError(
            "labels are noted where the calls are: by URL, save what the next program should know "
            "as the call's context (PUT /calls/{call_id}/context)"
        )

    async def header(self, name: str) -> str:
        """Not by URL: raises ConfigurationError."""
        raise ConfigurationError(
            f"{name} is read where the calls are: by URL, let a route choose calls by it, "
            "CallRoute(header=(name, value))"
        )

    @property
    def callee_number(self) -> str:
        """What the caller dialled: the original callee."""
        return self._view.callee_number

    @property
    def state(self) -> CallState:
        """PENDING, ANSWERED, CONNECTED or DISCONNECTED; the last also after ``close()``."""
        return CallState.DISCONNECTED if self._end_reason is not None else self._view.state

    @property
    def mode(self) -> AudioMode:
        """The mode in effect. With the caller alone it is BARGE: every party hears the agent."""
        return self._view.mode or AudioMode.SPY

    @property
    def whispers_to(self) -> frozenset[str]:
        """Who hears the agent in whisper mode; empty in the others."""
        return frozenset(self._view.whispers_to)

    @property
    def parties(self) -> tuple[Party, ...]:
        """Who talks with whom, and who is being rung: the caller and the callee first."""
        return tuple(map(party_of, self._view.parties))

    @property
    def taken_over_by(self) -> str | None:
        """The observer who stands in for a party, or for the agent."""
        return self._view.taken_over_by

    @property
    def parked_in(self) -> str | None:
        """The slot in which somebody waits; None when nobody does."""
        return self._view.parked_in

    @property
    def parked_until(self) -> float | None:
        """Until when he waits there, seconds since 1970; None when nobody does."""
        return self._view.parked_until

    @property
    def view(self) -> CallView:
        """The call as the daemon told of it last."""
        return self._view

    # --- what the daemon tells ------------------------------------------------------------------

    def see(self, view: CallView) -> None:
        """Take a view, unless a newer one is known."""
        if view.revision < self._view.revision:
            return
        changed = view != self._view
        self._view = view
        if view.transfer is not None:
            self._transfer(view.transfer)
        for recording in view.recordings:
            self._recording(recording)
        if changed:
            self._changed()

    def told(self, event: EventView) -> None:
        """Take an event of this call, and tell it to those who listen."""
        if event.call is not None and self._end_reason is None:
            self.see(event.call)
        try:
            kind = CallEvent(event.type)
        except ValueError:
            return
        if kind is events.CALL_TERMINATED:
            reason = event.data.get("reason") or self._view.end_reason
            self.finish(EndReason(reason) if reason else EndReason.FAILED)
        elif kind in _TRANSFERS:
            self._transfer_told(kind, event)
        elif kind in _RECORDINGS:
            self._recording(msgspec.convert(event.data, RecordingView))
        elif self._end_reason is None:
            self._somebody(kind, event)

    def finish(self, reason: EndReason) -> None:
        """The call is over for this program. Idempotent."""
        if self._end_reason is not None:
            return
        self._end_reason = reason
        self._ended.set()
        self._keys.close(reason)
        self._audio.end_soon()
        self._happened(events.CALL_TERMINATED)

    def lose(
        self, reason: EndReason = EndReason.SERVER_LOST, why: str = "the daemon is lost"
    ) -> None:
        """Nothing more is known of the call: nobody waits for a transfer or a recording of it."""
        self.finish(reason)
        self.lose_transfers()
        for recording in self._recorded.values():
            recording.lose(why)

    def lose_transfers(self) -> None:
        """Nobody waits for a transfer any more: nothing more is known of them."""
        for transfer in self._transfers.values():
            transfer.lose()

    async def settle(self, program: str) -> None:
        """Find out about a call that the daemon does not count among those of its program.

        Its end is told, or a program of the same name has it after all, or it is lost.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TOLD_SECONDS):
                    await self._ended.wait()
                    return
            try:
                view = await self._ask(operations.SHOW_CALL, CallView)
            except ServerUnreachableError:
                # As soon as the daemon is there again it is found out anew.
                return
            except (CallClosedError, ForbiddenError):
                self.lose()
                return
            except CallbridgeError as error:
                _log.info("call %s: whose it is will be asked again: %s", self.call_id, error)
            else:
                if view.program != program:
                    self.lose()
                return

    def _somebody(self, kind: CallEvent, event: EventView) -> None:
        details = [str(event.data[name]) for name in _ABOUT_SOMEBODY if name in event.data]
        if kind is events.DTMF_RECEIVED:
            self._keys.pressed(*details)
        elif kind is events.PARKING_TIMED_OUT and not self._listened(kind):
            # As in process: where nobody listens he stays parked.
            self._host.spawn(self._parked_again(*details), f"call {self.call_id} stays parked")
            return
        elif kind is events.PARTY_LEFT:
            self._keys.gone(*details)
            self._audio.leave(*details)
        self._happened(kind, *details)

    def _listened(self, kind: CallEvent) -> bool:
        return self._handlers.has(kind) or self._host.handlers.has(kind)

    async def _parked_again(self, slot: str) -> None:
        try:
            await self.park(slot)
        except CallbridgeError as error:
            _log.warning("call %s: not parked again in %s: %s", self.call_id, slot, error)

    def _happened(self, kind: CallEvent, *details: object) -> None:
        self._handlers.emit(kind, self, *details)
        self._on_event(kind, self, *details)

    def _transfer_told(self, kind: CallEvent, event: EventView) -> None:
        name = event.data.get("transfer_id")
        view = event.call.transfer if event.call is not None else None
        if view is not None and view.transfer_id == name:
            transfer = self._transfer(view)
        elif name in self._transfers:
            transfer = self._transfers[name]
        else:
            return
        transfer.told(kind)
        self._happened(kind, transfer)
        if kind is events.TRANSFER_ENDED:
            self._fall_back(transfer, self._fallbacks.pop(transfer.transfer_id, None))

    def _fall_back(self, transfer: RemoteTransfer, fallback: Fallback | None) -> None:
        if fallback is None:
            return
        if not transfer.over:
            self._fallbacks[transfer.transfer_id] = fallback
        elif transfer.outcome in FELL_THROUGH:
            self._handlers.run(fallback, self, transfer)

    def _transfer(self, view: TransferView) -> RemoteTransfer:
        known = self._transfers.get(view.transfer_id)
        if known is None:
            known = self._transfers[view.transfer_id] = RemoteTransfer(
                view, self._host, self._audio
            )
        elif not known.over:
            known.see(view)
        return known

    def _recording(self, view: RecordingView) -> RemoteRecording:
        known = self._recorded.get(view.recording_id)
        if known is None:
            known = self._recorded[view.recording_id] = RemoteRecording(
                view, self._host, self._recording_event
            )
        else:
            known.see(view)
        return known

    # --- inside ---------------------------------------------------------------------------------

    async def _ask(
        self,
        operation: Operation,
        kind: type[T],
        body: Request | None = None,
        *,
        seconds: float = USUAL_SECONDS,
        **path: str,
    ) -> T:
        self._require_going_on()

        async def ask(said: Request | None) -> T:
            return await self._host.http.ask(
                operation,
                kind,
                query=None,
                body=said,
                seconds=seconds,
                call_id=self.call_id,
                **path,
            )

        with self._of_a_call():
            return await (ask(None) if body is None else self._audio.in_order(body, ask))

    @contextmanager
    def _of_a_call(self) -> Iterator[None]:
        """A call that is not there any more is over, as in process."""
        try:
            yield
        except CallNotFoundError as error:
            require_known(self._host, self.call_id, error)
            raise CallClosedError(f"the call is over: {error}") from None

    async def _act(
        self, operation: Operation, body: Request | None = None, *, seconds: float = USUAL_SECONDS
    ) -> None:
        self.see(await self._ask(operation, CallView, body, seconds=seconds))

    async def _turn_to(
        self,
        mode: Literal["spy", "whisper", "barge"],
        *,
        cut: bool,
        to: list[str] | None = None,
    ) -> None:
        body = requests.ChangeMode(mode=mode, to=to, cut=cut)
        await self._act(operations.CHANGE_MODE, body, seconds=self._audio.patience_seconds)

    async def _change(self, name: str, body: requests.ChangeParty) -> None:
        self._require_going_on()
        self._require_answered()
        with as_argument():
            await self._ask(operations.CHANGE_PARTY, PartyView, body, party=name)
        await self._look()

    async def _look(self) -> None:
        """Look at the call as it is now: answers about a party say nothing of the rest."""
        try:
            self.see(await self._ask(operations.SHOW_CALL, CallView))
        except CallClosedError:
            # Its end is on its way.
            return

    async def _gone(self, reason: EndReason) -> None:
        """Return when the end of the call was told; say it oneself when nothing comes."""
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self.finish(reason)
        self._audio.end()

    def _require_going_on(self) -> None:
        if self._end_reason is not None:
            raise CallClosedError(f"the call is over: {self._end_reason}")
        if self._leaving:
            raise CallClosedError("the call is over: the agent is leaving")

    def _require_answered(self) -> None:
        if self.state is CallState.PENDING:
            raise InvalidStateError("nobody is there yet: answer() or connect() comes first")

    @contextmanager
    def _until_left(self) -> Iterator[None]:
        self._leaving += 1
        try:
            yield
        finally:
            self._leaving -= 1

    @property
    def _names(self) -> set[str]:
        return {CALLER, CALLEE, *(party.name for party in self._view.parties)}


@contextmanager
def as_argument() -> Iterator[None]:
    """A party who is not there is a wrong argument, as in process."""
    try:
        yield
    except NotFoundError as error:
        raise BadArgumentError(str(error)) from None
