"""A live call at a daemon, as a program has it in hand."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from bridge.media.answering import MachineDetector
from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CallNotFoundError,
    ConfigurationError,
    InvalidStateError,
    NotFoundError,
)
from bridge.model.modes import AudioMode
from bridge.model.participants import AGENT, CALLEE, CALLER
from bridge.model.states import CallState, EndReason
from bridge.protocol import operations, requests
from bridge.protocol.operations import Operation
from bridge.protocol.requests import Request
from bridge.protocol.views import (
    AnnouncedView,
    CallView,
    EventView,
    PartyView,
    RecordingView,
    TransferView,
)
from bridge.runtime.recorder import RecordingState
from bridge.runtime.transfer import TransferEngine
from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.labels import Labels
from bridge.sdk.parties import Party, name_for
from bridge.sdk.recording import Pauses, Recording, RecordingOptions
from bridge.sdk.remote.host import Host
from bridge.sdk.remote.http import USUAL_SECONDS
from bridge.sdk.remote.keys import Keys
from bridge.sdk.remote.recording import RemoteRecording
from bridge.sdk.remote.shown import party_of
from bridge.sdk.remote.sounds import said
from bridge.sdk.remote.transfer import RemoteTransfer
from bridge.sdk.sounds import Sound
from bridge.sdk.transfer import Targets, Transfer, TransferOptions, rounds_of
from bridge.sdk.transferring import Fallback
from bridge.session.digits import Digits, Wanted
from bridge.session.transfer.effects import Outcome

T = TypeVar("T")

_ANNOUNCE_SECONDS: Final = 300.0
_TOLD_SECONDS: Final = 2.0
"""How long, after the daemon has let go of a call, its end is waited for."""
_AUDIO_SECONDS: Final = 0.5
"""How long, after the end of a call, the last of its audio may come."""
_FELL_THROUGH: Final = frozenset({Outcome.FAILED, Outcome.HUMAN_LEFT})
_TRANSFERS: Final = frozenset(e for e in CallEvent if e.startswith("TRANSFER_"))
_RECORDINGS: Final = frozenset({CallEvent.RECORDING_ENDED, CallEvent.RECORDING_FAILED})
_ABOUT_SOMEBODY: Final = ("party", "key", "slot")


class RemoteCall(ActiveCall):
    """A call at a daemon, and the agent's part in it: see ActiveCall."""

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

    # --- commands -------------------------------------------------------------------------------

    async def answer(self) -> None:
        """Answer the caller: PENDING → ANSWERED. The agent and the caller can talk then."""
        await self._act(operations.ANSWER)

    async def connect(
        self, to: str | Sequence[str] | None = None, *, ring_time_seconds: int = 60
    ) -> None:
        """Ring the callee and put him to the caller: PENDING or ANSWERED → CONNECTED, in BARGE."""
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        if to is None and self._route is not None:
            to = await self.target()
        if to is not None and not to:
            raise BadArgumentError("connect to nobody: give a number, or several")
        targets = to if isinstance(to, str) or to is None else list(to)
        body = requests.Connect(
            to=targets, ring_time_seconds=ring_time_seconds, after_audio=self._audio.position
        )
        await self._act(operations.CONNECT, body, seconds=USUAL_SECONDS + ring_time_seconds)

    async def spy(self, *, cut: bool = False) -> None:
        """Listen only. What was sent before is heard first, unless ``cut`` drops it."""
        await self._turn_to("spy", cut=cut)

    async def whisper(self, to: str | Collection[str] = "callee", *, cut: bool = False) -> None:
        """Speak to ``to`` alone: one party or several. ``cut`` as in ``spy``."""
        names = {to} if isinstance(to, str) else set(to)
        if not names:
            known = ", ".join(sorted(self._names))
            raise BadArgumentError(f"whisper to {to!r}: one can whisper to {known}")
        await self._turn_to("whisper", cut=cut, to=sorted(names))

    async def barge(self, *, cut: bool = False) -> None:
        """Speak to all parties. ``cut`` as in ``spy``."""
        await self._turn_to("barge", cut=cut)

    async def close(self, *, cut: bool = False) -> None:
        """Leave, after the last word that was sent, unless ``cut`` drops it."""
        if self._end_reason is not None:
            return
        body = requests.Leave(cut=cut, after_audio=self._audio.position)
        connected = self.state is CallState.CONNECTED
        with self._until_left():
            try:
                await self._host.http.tell(
                    operations.LEAVE, body=body, seconds=self._until_said(), call_id=self.call_id
                )
            except (CallClosedError, CallNotFoundError):
                return
        await self._gone(EndReason.AGENT_LEFT if connected else EndReason.AGENT_ENDED)

    async def disconnect(self, *, cut: bool = False) -> None:
        """End the call for all, after the last word that was sent, unless ``cut`` drops it."""
        if self._end_reason is not None:
            return
        query = requests.Leave(cut=cut, after_audio=self._audio.position)
        with self._until_left():
            try:
                await self._host.http.tell(
                    operations.HANG_UP,
                    query=query,
                    seconds=self._until_said(),
                    call_id=self.call_id,
                )
            except (CallClosedError, CallNotFoundError):
                return
        await self._gone(EndReason.AGENT_ENDED)

    # --- more parties than two ------------------------------------------------------------------

    async def add(
        self,
        to: str,
        *,
        name: str | None = None,
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Ring somebody and put him to the others: ANSWERED or CONNECTED → CONNECTED."""
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        body = requests.AddParty(
            to=to,
            name=name_for(to, name),
            ring_time_seconds=ring_time_seconds,
            headers=dict(headers or {}),
            after_audio=self._audio.position,
        )
        seconds = USUAL_SECONDS + ring_time_seconds
        party = await self._ask(operations.ADD_PARTY, PartyView, body, seconds=seconds)
        await self._look()
        return party.name

    async def remove(self, name: str) -> None:
        """Hang up one party; the others talk on."""
        self._require_going_on()
        self._require_answered()
        with _as_argument():
            await self._host.http.tell(operations.REMOVE_PARTY, call_id=self.call_id, party=name)
        await self._look()

    async def mute(self, name: str) -> None:
        """Let nobody hear a party, the agent included. He hears as before."""
        await self._change(name, requests.ChangeParty(muted=True, after_audio=self._audio.position))

    async def unmute(self, name: str) -> None:
        """Let a party be heard again. Raises what ``mute`` raises."""
        await self._change(name, requests.ChangeParty(muted=False))

    async def hold(
        self,
        name: str,
        *,
        music: str | None = None,
        announce: Sound | None = None,
        announce_every_seconds: float = 30.0,
    ) -> None:
        """Keep a party apart from all, with music, until ``unhold``."""
        if announce_every_seconds <= 0:
            raise BadArgumentError("announce_every_seconds has to be above 0")
        saying = await said(announce, self.sample_rate)
        body = requests.ChangeParty(
            held=True,
            music=music,
            announce=saying.sound,
            announce_audio=saying.audio,
            announce_every_seconds=announce_every_seconds,
            after_audio=self._audio.position,
        )
        await self._change(name, body)

    async def unhold(self, name: str) -> None:
        """Bring a held party back to the others. Raises what ``mute`` raises."""
        await self._change(name, requests.ChangeParty(held=False))

    async def set_music(self, music: str) -> None:
        """Choose what those on hold hear: a class of Asterisk's ``musiconhold.conf``."""
        await self._act(operations.SET_MUSIC, requests.SetMusic(music=music))

    async def announce(self, sound: Sound, to: str = "caller") -> bool:
        """Say something to one party alone; return when it was said: True if all of it."""
        saying = await said(sound, self.sample_rate)
        body = requests.Announce(
            sound=saying.sound, audio=saying.audio, to=to, after_audio=self._audio.position
        )
        answer = await self._ask(
            operations.ANNOUNCE, AnnouncedView, body, seconds=_ANNOUNCE_SECONDS
        )
        return answer.complete

    async def park(
        self,
        slot: str | None = None,
        *,
        name: str = "caller",
        timeout_seconds: float = 120.0,
        by: str | None = None,
        music: str | None = None,
        stay: bool = False,
    ) -> str:
        """Let a party wait, with music, until a phone dials the slot; return the slot."""
        if timeout_seconds <= 0:
            raise BadArgumentError("timeout_seconds has to be above 0")
        body = requests.Park(
            slot=slot,
            name=name,
            timeout_seconds=timeout_seconds,
            by=by,
            music=music,
            stay=stay,
            after_audio=self._audio.position,
        )
        view = await self._ask(operations.PARK, CallView, body)
        self.see(view)
        return view.parked_in or slot or ""

    async def unpark(self) -> None:
        """Take back who is parked: he and the agent talk again."""
        await self._act(operations.UNPARK)

    # --- keys -----------------------------------------------------------------------------------

    async def collect_digits(
        self,
        *,
        max_digits: int,
        terminator: str = "#",
        timeout_seconds: float = 10.0,
        between_seconds: float = 3.0,
        speaker: str = "caller",
    ) -> Digits:
        """Return the digits that a party presses from now on, and why they ended."""
        if speaker not in {party.name for party in self.parties}:
            known = ", ".join(party.name for party in self.parties)
            raise BadArgumentError(f"speaker={speaker!r}: one of {known}")
        self._require_going_on()
        wanted = Wanted(max_digits, terminator, timeout_seconds, between_seconds)
        return await self._keys.collect(speaker, wanted)

    # --- transfers ------------------------------------------------------------------------------

    async def transfer(
        self,
        to: Targets,
        *,
        warm: bool = True,
        by: str | None = None,
        ring_time_seconds: int = 20,
        together: bool = False,
        brief: Sound | None = None,
        accept: Literal["key", "answer"] | None = None,
        accept_key: str = "1",
        decline_key: str = "2",
        accept_seconds: float = 15.0,
        detect_machine: bool | Callable[[int], MachineDetector] = False,
        consult: bool | None = None,
        hold: Literal["at_once", "on_accept"] = "at_once",
        music: str = "",
        summary: str = "",
        headers: Mapping[str, str] | None = None,
        stay: bool = False,
        fallback: Fallback | None = None,
    ) -> Transfer:
        """Hand the caller over to a human; return when the caller waits and it rings.

        A function as ``detect_machine`` raises ConfigurationError: it would run at the daemon.
        """
        if self.state is CallState.DISCONNECTED:
            raise CallClosedError("the call is over, or the agent has left it")
        if callable(detect_machine):
            raise ConfigurationError(
                "detect_machine is a function, which cannot go to the daemon: give True or False"
            )
        options = TransferOptions(
            warm=warm,
            by=by,
            ring_time_seconds=ring_time_seconds,
            accept=accept,
            accept_key=accept_key,
            decline_key=decline_key,
            accept_seconds=accept_seconds,
            detect_machine=detect_machine,
            consult=consult,
            music=music,
            hold=hold,
            summary=summary,
            headers=headers or {},
            stay=stay,
        )
        saying = await said(brief, self.sample_rate)
        body = requests.StartTransfer(
            **_fields(options),
            to=rounds_of(to, together=together),
            brief=saying.sound,
            brief_audio=saying.audio,
            after_audio=self._audio.position,
        )
        seconds = self._until_said()
        view = await self._ask(operations.START_TRANSFER, TransferView, body, seconds=seconds)
        transfer = self._transfer(view)
        if fallback is not None:
            self._fall_back(transfer, fallback)
        await self._look()
        return transfer

    @property
    def transfer_in_progress(self) -> Transfer | None:
        """The transfer of this call that is under way, whoever began it."""
        view = self._view.transfer
        if view is None or self._end_reason is not None:
            return None
        transfer = self._transfer(view)
        return transfer if transfer.outcome is None else None

    @property
    def last_transfer(self) -> Transfer | None:
        """The transfer that is under way, or was last; None when there was none."""
        view = self._view.transfer
        return None if view is None else self._transfer(view)

    def follow(self, transfer: TransferEngine) -> None:
        """Not of a call at a daemon, which follows its transfers itself."""
        raise InvalidStateError(f"{transfer}: a call at a daemon follows its own transfers")

    # --- recordings -----------------------------------------------------------------------------

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those that go on, also of an earlier program that did not end them."""
        over = {RecordingState.ENDED, RecordingState.FAILED}
        return tuple(one for one in self._recorded.values() if one.state not in over)

    async def record(
        self,
        path: str | Path,
        *,
        coaching: bool = False,
        announce: Sound | None = None,
        pauses: Pauses = "silence",
        max_minutes: float = 60.0,
        keep_days: float | None = None,
        max_bytes: int | None = None,
    ) -> Recording:
        """Record the call from now on: WAV, stereo; left the caller, right whom he hears.

        The daemon writes it into its own folder of recordings. path: where ``recording.fetch()``
        puts it, a folder. keep_days and max_bytes raise ConfigurationError: the daemon's own
        configuration says what it keeps.
        """
        RecordingOptions(coaching, announce, pauses, max_minutes, keep_days, max_bytes)
        if keep_days is not None or max_bytes is not None:
            raise ConfigurationError(
                "keep_days and max_bytes are the daemon's: its configuration says what it keeps"
            )
        saying = await said(announce, self.sample_rate)
        body = requests.StartRecording(
            coaching=coaching,
            announce=saying.sound,
            announce_audio=saying.audio,
            pauses=pauses,
            max_minutes=max_minutes,
        )
        view = await self._ask(
            operations.START_RECORDING, RecordingView, body, seconds=_ANNOUNCE_SECONDS
        )
        target = Path(path)
        folder = target.parent if target.suffix.lower() == ".wav" else target
        recording = self._recording(view)
        recording.folder = folder
        return recording

    def follow_recording(self, recording: Recording) -> Recording:
        """Not of a call at a daemon, which follows its recordings itself."""
        raise InvalidStateError(f"{recording}: a call at a daemon follows its own recordings")

    # --- audio ----------------------------------------------------------------------------------

    async def send_audio(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say ``pcm`` to whoever hears the agent now; it is queued and played in real time."""
        self._require_media()
        self._require_going_on()
        await self._audio.send(pcm)

    def clear_send_audio_buffer(self) -> None:
        """Fall silent as soon as the daemon hears of it: what is queued is dropped and counted."""
        self._audio.clear()

    def get_send_audio_buffer_size(self) -> int:
        """Bytes that were sent and not yet played, by what the daemon told last (100 ms)."""
        return 0 if self._end_reason is not None else self._audio.unplayed

    @property
    def dropped_audio(self) -> Dropped:
        """Bytes that were sent and not heard: in SPY, cleared, or refused with a failed mode."""
        return self._audio.dropped

    def audio_stream(self, speaker: str | None = None, *, max_seconds: float = 10.0) -> AudioStream:
        """Hear the parties: an asynchronous iterator of frames of 20 ms, from now on."""
        if speaker is not None and speaker not in self._names:
            known = ", ".join(sorted(self._names))
            raise BadArgumentError(f"speaker={speaker!r}: one of {known}, or None for all")
        self._require_media()
        stream = self._audio.subscribe(speaker, max_seconds)
        if self._end_reason is not None:
            stream.end()
        return stream

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
            for view in event.call.recordings if event.call is not None else ():
                self._recording(view)
        elif self._end_reason is None:
            self._somebody(kind, event)

    def finish(self, reason: EndReason) -> None:
        """The call is over for this program. Idempotent."""
        if self._end_reason is not None:
            return
        self._end_reason = reason
        self._ended.set()
        self._keys.close(reason)
        asyncio.get_running_loop().call_later(_AUDIO_SECONDS, self._audio.end)
        self._happened(events.CALL_TERMINATED)

    def lose(self) -> None:
        """Nothing more is known of the call: nobody waits for a transfer or a recording of it."""
        self.finish(EndReason.SERVER_LOST)
        for transfer in self._transfers.values():
            transfer.lose()
        for recording in self._recorded.values():
            recording.lose("the daemon is lost")

    def _somebody(self, kind: CallEvent, event: EventView) -> None:
        details = [str(event.data[name]) for name in _ABOUT_SOMEBODY if name in event.data]
        if kind is events.DTMF_RECEIVED:
            self._keys.pressed(*details)
        elif kind is events.PARTY_LEFT:
            self._keys.gone(*details)
            self._audio.leave(*details)
        self._happened(kind, *details)

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
        elif transfer.outcome in _FELL_THROUGH:
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
            known = self._recorded[view.recording_id] = RemoteRecording(view, self._host)
            known.listeners.append(self._recording_event)
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
        try:
            return await self._host.http.ask(
                operation,
                kind,
                body=body,
                query=None,
                seconds=seconds,
                call_id=self.call_id,
                **path,
            )
        except CallNotFoundError as error:
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
        body = requests.ChangeMode(mode=mode, to=to, cut=cut, after_audio=self._audio.position)
        await self._act(operations.CHANGE_MODE, body, seconds=self._until_said())

    async def _change(self, name: str, body: requests.ChangeParty) -> None:
        self._require_going_on()
        self._require_answered()
        with _as_argument():
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

    def _until_said(self) -> float:
        """Return how long a command may take that waits for what was said, in seconds."""
        return USUAL_SECONDS + self._audio.unplayed / 2 / self.sample_rate

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
def _as_argument() -> Iterator[None]:
    """A party who is not there is a wrong argument, as in process."""
    try:
        yield
    except NotFoundError as error:
        raise BadArgumentError(str(error)) from None
    except CallNotFoundError as error:
        raise CallClosedError(f"the call is over: {error}") from None


def _fields(options: TransferOptions) -> dict[str, Any]:
    """Return what a transfer's options and what is asked of the daemon have in common."""
    asked = set(requests.StartTransfer.__struct_fields__)
    own = {"brief", "headers"}
    found = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    common = {name: value for name, value in found.items() if name in asked - own}
    return common | {"headers": dict(options.headers)}
