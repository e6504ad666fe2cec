"""One SIP phone made of pjsua2. Everything here runs on the worker's main thread.

pjsua2 is told to have no threads of its own for SIP: its callbacks run inside ``poll()``. Only
the ports (see ``ports``) run on pjmedia's clock thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pjsua2 as pj

from bridge.lab.phones.phone import CallState, Direction, Headers, PhoneStats, RecordPosition
from bridge.lab.phones.settings import Behaviour, PhoneSettings, Source
from bridge.lab.phones.wire import Failed, Message
from bridge.lab.phones.worker.dialog import PhoneAccount, PhoneCall
from bridge.lab.phones.worker.library import PJ_CODECS, account_config, start_library
from bridge.lab.phones.worker.ports import Ear, Metronome, Mouth, audio_format
from bridge.lab.phones.worker.sound import Recorder, Voice
from bridge.model.errors import PhoneError

_DTMF_S = 0.4
_REFUSED = 300

_REFUSALS = {
    Behaviour.BUSY: pj.PJSIP_SC_BUSY_HERE,
    Behaviour.DECLINE: pj.PJSIP_SC_DECLINE,
    Behaviour.UNAVAILABLE: pj.PJSIP_SC_TEMPORARILY_UNAVAILABLE,
}


def _with_code(code: int) -> pj.CallOpParam:
    parameters = pj.CallOpParam()
    parameters.statusCode = code
    return parameters


class Engine:
    """The phone. ``emit`` takes what is to be told; ``poll()`` has to be called all the time."""

    def __init__(
        self,
        settings: PhoneSettings,
        emit: Callable[[Message], None],
        on_registered: Callable[[str | None], None],
    ) -> None:
        self.emit = emit
        self._settings = settings
        self._on_registered = on_registered
        self._calls = 0
        self._call: PhoneCall | None = None
        self._held: PhoneCall | None = None
        """The call that waits while another is consulted."""
        self._ended: list[PhoneCall] = []
        self._answer_at: float | None = None
        self._keys_until = 0.0
        self._online = False
        self._pj, self._native = start_library(settings)
        self._voice = Voice(settings.source, settings.sample_rate_hz)
        self._mouth = Mouth(self._voice)
        self._mouth.createPort("mouth", audio_format(settings.sample_rate_hz))
        self._recorder = (
            Recorder(settings.record, settings.sample_rate_hz) if settings.record else None
        )
        self._ear = Ear(self._recorder, settings.sample_rate_hz)
        self._ear.createPort("ear", audio_format(settings.sample_rate_hz))
        self._metronome = Metronome(settings.sample_rate_hz)
        self._metronome.createPort("metronome", audio_format(settings.sample_rate_hz))
        self._metronome.startTransmit(self._ear)
        self.account = PhoneAccount(self)
        self.account.create(account_config(settings))
        if not settings.register:
            on_registered(None)

    # What pjsua2 reports

    def registered(self, code: int, reason: str, expires_s: int) -> None:
        """The answer to REGISTER; pjsip renews what was accepted."""
        accepted = code < _REFUSED
        self._online = accepted and expires_s > 0
        self._on_registered(None if accepted else f"not registered: SIP {code} {reason}")

    def ring(self, pj_id: int, headers: Headers) -> None:
        """A call comes in: do what the phone was told to do."""
        busy = self._call is not None
        call = self._new_call(Direction.IN, pj_id, headers)
        if busy:
            self._ended.append(call)
            call.hangup(_with_code(pj.PJSIP_SC_BUSY_HERE))
            return
        self._call = call
        call.enter(CallState.INCOMING)
        behaviour = self._settings.answer
        if behaviour in _REFUSALS:
            call.hangup(_with_code(_REFUSALS[behaviour]))
            return
        call.answer(_with_code(pj.PJSIP_SC_RINGING))
        if behaviour is Behaviour.ANSWER:
            self._answer_at = time.monotonic() + self._settings.answer_after_ms / 1000

    def join(self, audio: pj.AudioMedia) -> None:
        """Let mouth and ear take part in a call's audio."""
        self._mouth.startTransmit(audio)
        audio.startTransmit(self._ear)

    def forget(self, call: PhoneCall) -> None:
        """A call has ended. Its object is kept until pjsip is done with it, see poll()."""
        if self._held is call:
            self._held = None
        if self._call is call:
            self._call, self._held = self._held, None
            self._answer_at = None
        if call not in self._ended:
            self._ended.append(call)

    # What the worker asks for

    def poll(self, milliseconds: int) -> None:
        """Let pjsip work for up to that long."""
        self._pj.libHandleEvents(milliseconds)
        self._ended = [call for call in self._ended if call.isActive()]
        if self._answer_at is not None and time.monotonic() >= self._answer_at:
            self.answer_now()
        self.gate()

    def gate(self) -> None:
        """Stop or start RTP, where silence is not to be sent."""
        call = self._call
        if not self._settings.silence_suppression or call is None or call.stream is None:
            return
        send = not self._voice.quiet or time.monotonic() < self._keys_until
        if send and not call.sending:
            self._native.resume_sending(call.stream)
        elif call.sending and not send:
            self._native.pause_sending(call.stream)
        call.sending = send

    def dial(self, number: str) -> None:
        """Send an INVITE."""
        if self._call is not None:
            raise PhoneError("the phone has a call already; hang up first")
        self._call = self._new_call(Direction.OUT, pj.PJSUA_INVALID_ID)
        try:
            self._call.makeCall(self._address(number), pj.CallOpParam(True))  # noqa: FBT003 - pjsua2's own
        except pj.Error:
            self._call = None
            raise

    def answer(self) -> None:
        """Answer by hand."""
        if self._settings.answer is Behaviour.NO_ANSWER:
            raise PhoneError(
                "this phone was started to ring for ever; start it with Behaviour.RING"
            )
        call = self._current()
        if call.direction is Direction.OUT or CallState.CONNECTING in call.reached:
            raise PhoneError("nothing rings here: there is no call to answer")
        self.answer_now()

    def answer_now(self) -> None:
        """Send 200."""
        self._answer_at = None
        self._current().answer(_with_code(pj.PJSIP_SC_OK))

    def hangup(self, code: int) -> None:
        """CANCEL, refuse or BYE, whichever is due."""
        self._current().hangup(_with_code(code) if code else pj.CallOpParam())

    def dtmf(self, digits: str, *, by_info: bool) -> None:
        """Send RFC 4733 events, also where nothing else is sent; or a SIP INFO for each digit."""
        call = self._current()
        if by_info:
            parameters = pj.CallSendDtmfParam()
            parameters.digits, parameters.method = digits, pj.PJSUA_DTMF_METHOD_SIP_INFO
            call.sendDtmf(parameters)
            return
        self._keys_until = time.monotonic() + _DTMF_S * len(digits)
        self.gate()
        call.dialDtmf(digits)

    def mute(self, *, on: bool) -> None:
        """Fall silent, or speak again, from the next frame on."""
        self._voice.mute(on=on)
        self.gate()

    def play(self, source: Source) -> None:
        """Change the source from the next frame on."""
        self._voice.play(source)
        self.gate()

    def hold(self, *, on: bool) -> None:
        """Re-INVITE with sendonly, or sendrecv again."""
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - pjsua2's own
        if on:
            self._current().setHold(parameters)
        else:
            parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
            self._current().reinvite(parameters)

    def transfer(self, number: str, headers: Headers) -> None:
        """Send a REFER to a number; the call ends when the server says that it is done."""
        parameters = pj.CallOpParam()
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            parameters.txOption.headers.append(header)
        self._current().xfer(self._address(number), parameters)

    def consult(self, number: str) -> None:
        """Hold the call and place a second one; when that ends, the first is current again."""
        if self._held is not None:
            raise PhoneError("somebody is consulted already: hang up or complete the transfer")
        first = self._current()
        self.hold(on=True)
        self._held, self._call = first, None
        try:
            self.dial(number)
        except (PhoneError, pj.Error):
            self._held, self._call = None, first
            raise

    def complete_transfer(self) -> None:
        """Send a REFER that names the consulted call for the held one to replace."""
        if self._held is None:
            raise PhoneError("nobody is consulted: consult somebody first")
        self._held.xferReplaces(self._current(), pj.CallOpParam())

    def stats(self) -> PhoneStats:
        """RTP of the call's first stream."""
        call = self._current()
        if call.stream is None:
            raise PhoneError("no audio flows yet; wait for CallState.CONFIRMED")
        stream, info = call.getStreamStat(0), call.getStreamInfo(0)
        received, buffer = stream.rtcp.rxStat, stream.jbuf
        codec = self._pj.codecGetParam(PJ_CODECS[self._settings.codec])
        return PhoneStats(
            codec=info.codecName,
            clock_rate_hz=info.codecClockRate,
            rx_packets=received.pkt,
            tx_packets=stream.rtcp.txStat.pkt,
            rx_lost=received.loss,
            rx_discarded=received.discard,
            jitter_buffer_ms=buffer.size * codec.info.frameLen,
            jitter_buffer_discarded=buffer.discard,
            jitter_buffer_empty=buffer.empty,
            round_trip_ms=stream.rtcp.rttUsec.last / 1000,
        )

    def position(self) -> RecordPosition:
        """How far the recording, and what is on disk of it, is."""
        if self._recorder is None:
            raise PhoneError("this phone does not record; start it with record=PATH")
        seconds, when = self._recorder.flush()
        return RecordPosition(path=self._recorder.path, seconds=seconds, monotonic=when)

    def stop(self, deadline: float) -> None:
        """Hang up and sign off, by ``deadline`` (monotonic) at the latest; close the recording."""
        self._pj.hangupAllCalls()
        if self._online:
            self.account.setRegistration(False)
        while time.monotonic() < deadline and (self._call is not None or self._online):
            self.poll(10)
        try:
            self._ear.close()
        except OSError as error:
            self.emit(Failed(f"the recording is not whole: {error}"))

    def _address(self, number: str) -> str:
        return f"sip:{number}@{self._settings.host}:{self._settings.port}"

    def _current(self) -> PhoneCall:
        if self._call is None:
            raise PhoneError("the phone has no call")
        return self._call

    def _new_call(self, direction: Direction, pj_id: int, headers: Headers = ()) -> PhoneCall:
        self._calls += 1
        return PhoneCall(self, self._calls, direction, pj_id, tuple(headers))
