"""A live call at a daemon, as a program has it in hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.model.errors import BadArgumentError, CallClosedError
from bridge.model.states import CallState, EndReason
from bridge.protocol import operations, requests
from bridge.sdk.remote.arranging import Arranging
from bridge.sdk.remote.http import USUAL_SECONDS
from bridge.session.digits import Digits, Wanted


class RemoteCall(Arranging):
    """A call at a daemon, and the agent's part in it: see ActiveCall."""

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
        body = requests.Connect(to=targets, ring_time_seconds=ring_time_seconds)
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
        connected = self.state is CallState.CONNECTED

        async def leave(said: requests.Leave) -> None:
            await self._host.http.tell(
                operations.LEAVE,
                body=said,
                seconds=self._audio.patience_seconds,
                call_id=self.call_id,
            )

        # It may have ended by itself meanwhile.
        with self._until_left(), suppress(CallClosedError), self._of_a_call():
            await self._audio.in_order(requests.Leave(cut=cut), leave)
        await self._gone(EndReason.AGENT_LEFT if connected else EndReason.AGENT_ENDED)

    async def disconnect(self, *, cut: bool = False) -> None:
        """End the call for all, after the last word that was sent, unless ``cut`` drops it."""
        if self._end_reason is not None:
            return

        async def hang_up(said: requests.Leave) -> None:
            await self._host.http.tell(
                operations.HANG_UP,
                query=said,
                seconds=self._audio.patience_seconds,
                call_id=self.call_id,
            )

        with self._until_left(), suppress(CallClosedError), self._of_a_call():
            await self._audio.in_order(requests.Leave(cut=cut), hang_up)
        await self._gone(EndReason.AGENT_ENDED)

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
