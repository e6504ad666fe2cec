"""Who takes part in a call at a daemon, and what is made of it: parties, transfers, recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from bridge.media.answering import MachineDetector
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    ConfigurationError,
    InvalidStateError,
)
from bridge.model.states import CallState
from bridge.protocol import operations, requests
from bridge.protocol.views import (
    AnnouncedView,
    CallView,
    PartyView,
    RecordingView,
    TransferView,
)
from bridge.runtime.transfer import TransferEngine
from bridge.sdk.parties import name_for
from bridge.sdk.recording import Pauses, Recording, RecordingOptions
from bridge.sdk.remote.core import Core, as_argument
from bridge.sdk.remote.http import USUAL_SECONDS
from bridge.sdk.remote.sounds import said
from bridge.sdk.sounds import Sound
from bridge.sdk.transfer import Targets, Transfer, TransferOptions, rounds_of
from bridge.sdk.transferring import Fallback

_ANNOUNCE_SECONDS: Final = 300.0


class Arranging(Core):
    """Arranges a call at a daemon. A part of RemoteCall."""

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
        )
        seconds = USUAL_SECONDS + ring_time_seconds
        party = await self._ask(operations.ADD_PARTY, PartyView, body, seconds=seconds)
        await self._look()
        return party.name

    async def remove(self, name: str) -> None:
        """Hang up one party; the others talk on."""
        self._require_going_on()
        self._require_answered()
        with as_argument(), self._of_a_call():
            await self._host.http.tell(operations.REMOVE_PARTY, call_id=self.call_id, party=name)
        await self._look()

    async def mute(self, name: str) -> None:
        """Let nobody hear a party, the agent included. He hears as before."""
        await self._change(name, requests.ChangeParty(muted=True))

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
        body = requests.Announce(sound=saying.sound, audio=saying.audio, to=to)
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
        )
        view = await self._ask(operations.PARK, CallView, body)
        self.see(view)
        return view.parked_in or slot or ""

    async def unpark(self) -> None:
        """Take back who is parked: he and the agent talk again."""
        await self._act(operations.UNPARK)

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
        )
        seconds = self._audio.patience_seconds
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
        return tuple(one for one in self._recorded.values() if not one.state.is_over)

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


def _fields(options: TransferOptions) -> dict[str, Any]:
    """Return what a transfer's options and what is asked of the daemon have in common."""
    asked = set(requests.StartTransfer.__struct_fields__)
    own = {"brief", "headers"}
    found = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    common = {name: value for name, value in found.items() if name in asked - own}
    return common | {"headers": dict(options.headers)}
