"""pjsua2's call and account: its callbacks, turned into calls of the engine."""
# ruff: noqa: N802 - the names of callbacks are pjsua2's

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import pjsua2 as pj

from bridge.lab.phones.phone import (
    CallInfo,
    CallState,
    Direction,
    Disconnect,
    TransferStatus,
)
from bridge.lab.phones.wire import CallChanged, DigitReceived, Failed, TransferTold
from bridge.lab.phones.worker.message import headers_of

if TYPE_CHECKING:
    from bridge.lab.phones.worker.engine import Engine

_STATES = {
    pj.PJSIP_INV_STATE_CALLING: CallState.CALLING,
    pj.PJSIP_INV_STATE_INCOMING: CallState.INCOMING,
    pj.PJSIP_INV_STATE_EARLY: CallState.EARLY,
    pj.PJSIP_INV_STATE_CONNECTING: CallState.CONNECTING,
    pj.PJSIP_INV_STATE_CONFIRMED: CallState.CONFIRMED,
    pj.PJSIP_INV_STATE_DISCONNECTED: CallState.DISCONNECTED,
}


_ACCEPTED = 2
"""First figure of the SIP status of what was done."""


class _Reporting(Protocol):
    engine: Engine


S = TypeVar("S", bound=_Reporting)
P = TypeVar("P")


def _guarded(callback: Callable[[S, P], None]) -> Callable[[S, P], None]:
    """Report what a callback raises: an exception must not unwind through pjsip's C frames."""

    @functools.wraps(callback)
    def guard(self: S, parameter: P) -> None:
        try:
            callback(self, parameter)
        except Exception as error:  # noqa: BLE001 - see above
            self.engine.emit(Failed(f"{callback.__name__}: {describe(error)}"))

    return guard


def describe(error: Exception) -> str:
    """An exception in one line; pjsua2's own carries its text in a field."""
    reason = getattr(error, "reason", "")
    return str(reason or error) or type(error).__name__


class PhoneCall(pj.Call):
    """One call: tells the engine what becomes of it."""

    def __init__(
        self,
        engine: Engine,
        number: int,
        direction: Direction,
        pj_id: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(engine.account, pj_id)
        self.headers = headers
        self.engine = engine
        self.number = number
        self.direction = direction
        self.reached: list[CallState] = []
        self.stream: int | None = None
        self.sending = True

    def enter(self, state: CallState, disconnect: Disconnect | None = None) -> None:
        """Report a state unless it was the last one reported."""
        if self.reached and self.reached[-1] is state:
            return
        self.reached.append(state)
        info = CallInfo(
            call_id=self.number,
            direction=self.direction,
            remote=self.getInfo().remoteUri,
            state=state,
            reached=tuple(self.reached),
            disconnect=disconnect,
            headers=self.headers,
        )
        self.engine.emit(CallChanged(info))

    @_guarded
    def onCallState(self, _parameter: pj.OnCallStateParam) -> None:
        """The dialog has moved on."""
        info = self.getInfo()
        state = _STATES.get(info.state)
        if state is CallState.DISCONNECTED:
            self.engine.forget(self)
            self.enter(state, Disconnect(info.lastStatusCode, info.lastReason))
        elif state is not None:
            self.enter(state)

    @_guarded
    def onStreamCreated(self, parameter: pj.OnStreamCreatedParam) -> None:
        """RTP is about to flow."""
        self.stream = int(parameter.stream)
        self.sending = True
        self.engine.gate()

    @_guarded
    def onStreamDestroyed(self, _parameter: pj.OnStreamDestroyedParam) -> None:
        """RTP has ended."""
        self.stream = None

    @_guarded
    def onCallMediaState(self, _parameter: pj.OnCallMediaStateParam) -> None:
        """Media was negotiated, held or taken back."""
        # The list belongs to the info: it must not be collected first.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            active = media.status == pj.PJSUA_CALL_MEDIA_ACTIVE
            if media.type == pj.PJMEDIA_TYPE_AUDIO and active:
                self.engine.join(self.getAudioMedia(index))

    @_guarded
    def onCallTransferStatus(self, parameter: pj.OnCallTransferStatusParam) -> None:
        """The server says how far a transfer is; when it is done, the phone is to hang up."""
        code, final = parameter.statusCode, parameter.finalNotify
        self.engine.emit(TransferTold(TransferStatus(code, parameter.reason, final)))
        if parameter.finalNotify and parameter.statusCode // 100 == _ACCEPTED:
            self.hangup(pj.CallOpParam())

    @_guarded
    def onDtmfDigit(self, parameter: pj.OnDtmfDigitParam) -> None:
        """The other side pressed a key."""
        self.engine.emit(DigitReceived(parameter.digit))


class PhoneAccount(pj.Account):
    """The phone's account: registration and incoming calls."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    @_guarded
    def onRegState(self, parameter: pj.OnRegStateParam) -> None:
        """The server has answered a REGISTER, or has not in time."""
        self.engine.registered(parameter.code, parameter.reason, parameter.expiration)

    @_guarded
    def onIncomingCall(self, parameter: pj.OnIncomingCallParam) -> None:
        """Somebody calls."""
        self.engine.ring(parameter.callId, headers_of(parameter.rdata.wholeMsg))
