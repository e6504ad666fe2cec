"""``/calls/{call_id}/audio``: what a participant says, and what he hears."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from bridge.api.audio import Place, Speaker
from bridge.api.router import socket
from bridge.api.scope import check_his, visible
from bridge.api.service import Service
from bridge.api.sockets.common import (
    CLOSE_AGAIN_LATER,
    CutOffError,
    LeftError,
    Link,
    Manners,
    close_of,
    serve,
)
from bridge.api.sockets.inbox import Inbox
from bridge.api.wire import binary_frame
from bridge.media.ears import AudioStream
from bridge.media.pcm import SAMPLE_BYTES
from bridge.model.errors import (
    BadArgumentError,
    BufferFullError,
    ErrorCode,
    ForbiddenError,
    InvalidStateError,
)
from bridge.model.modes import AudioMode
from bridge.model.participants import AGENT
from bridge.model.states import CallState
from bridge.protocol.frames import (
    AUDIO_SOCKET,
    CLOSE_NOT_FOUND,
    CLOSE_TAKEN,
    AudioProgress,
    AudioReady,
)
from bridge.protocol.permissions import Permission, Role
from bridge.protocol.views import CallView
from bridge.sdk import ActiveCall

PROGRESS_SECONDS: Final = 0.1
KEPT_SECONDS: Final = 10.0
"""How much is kept for a slow listener before he loses the oldest."""
HELD_BYTES: Final = 1 << 14
"""What his transport may hold: what is in it cannot be dropped any more."""
SEND_BYTES: Final = 1 << 15
PIECE_SECONDS: Final = 0.2
"""What is sent goes on in pieces of this length: each has to fit into the buffer."""
ROOM_SECONDS: Final = 0.02
"""How soon it is looked again whether there is room."""
SEEN_SECONDS: Final = 1.0
"""How often it is looked whether the call is still somebody's business: one may turn out to be
another tenant's, a program may get it, and an observer may be taken to another call."""
PRESENT_SECONDS: Final = 5.0
"""How long it may take until an observer who goes to another call can speak there."""
_PARAMETERS: Final = frozenset({"as", "speaker", "hear"})
_TRUTH: Final = {"1": True, "true": True, "0": False, "false": False}

_log = logging.getLogger(__name__)
_numbers = itertools.count()


@socket(AUDIO_SOCKET)
async def audio_socket(service: Service, request: web.Request) -> web.StreamResponse:
    """Carry the audio of one participant both ways, until either end leaves."""
    manners = Manners(binary=True, send_bytes=SEND_BYTES)
    return await serve(service, request, lambda link: _carry(link, request), manners=manners)


async def _carry(link: Link, request: web.Request) -> None:
    query = request.query
    if unknown := set(query) - _PARAMETERS:
        raise BadArgumentError(f"there is no parameter {min(unknown)!r}")
    name, hears = query.get("as", ""), _TRUTH.get(query.get("hear", "1"))
    if not name or hears is None:
        raise BadArgumentError("as=NAME says who speaks and hears: an observer, or ai; hear=0 or 1")
    call_id = request.match_info["call_id"]
    link.principal.require(Permission.LISTEN)
    _require_his(link, visible(link.service, link.principal, call_id), name)
    speaker = link.service.audio_positions.find(call_id, name)
    async with Inbox(link) as inbox:
        await _answered(link, inbox, speaker)
        # Of who is on a phone a program has no audio.
        speaker.get_send_audio_buffer_size()
        stream = None
        if hears:
            stream = speaker.audio_stream(query.get("speaker"), max_seconds=KEPT_SECONDS)
        with link.service.views.attendance.attended(speaker):
            await AudioSession(link, name, speaker, stream).run(inbox)


def _require_his(link: Link, view: CallView, name: str) -> None:
    """Only who placed an observer, or may command the agent, has the audio.

    Raises ForbiddenError.
    """
    who = link.principal
    if who.role is Role.ADMIN:
        return
    if name == AGENT:
        who.require(Permission.CONTROL)
        check_his(link.service, who, view)
        if view.program and who.role is not Role.PROGRAM:
            raise ForbiddenError(f"the program {view.program} speaks on this call: observe it")
        return
    placed = next((one.by for one in view.observers if one.name == name), who.name)
    if placed != who.name:
        by = placed or "somebody who is not known any more"
        raise ForbiddenError(f"{name} was placed by {by}: only he has the audio of {name}")


async def _answered(link: Link, inbox: Inbox, speaker: Speaker) -> None:
    """Wait until there is audio. Raises LeftError, and what ``inbox`` does."""
    while isinstance(speaker, ActiveCall) and speaker.state is CallState.PENDING:
        inbox.check()
        if link.closed:
            raise LeftError
        await asyncio.sleep(ROOM_SECONDS)


class AudioSession:
    """One audio socket of one participant. stream: what he hears, None when he does not want to."""

    def __init__(self, link: Link, name: str, speaker: Speaker, stream: AudioStream | None) -> None:
        self._link = link
        self._name = name
        self._speaker = speaker
        self._stream = stream
        self._place: Place = link.service.audio_positions.place(speaker)
        self.number = next(_numbers)
        self._position = self._place.received
        client = link.service.client
        seconds = min(PIECE_SECONDS, client.send_buffer_seconds / 2)
        self._piece = max(1, int(seconds * client.sample_rate)) * SAMPLE_BYTES
        self._told: AudioProgress | None = None
        self._counted = 0
        self._patient_until: float | None = None
        """Until when he may be on his way to where he can speak."""

    async def run(self, inbox: Inbox) -> None:
        """Carry audio, what is said from ``inbox``, until the socket or the participant is gone."""
        client = self._link.service.client
        self._link.send(
            AudioReady(
                sample_rate=client.sample_rate,
                send_buffer_seconds=client.send_buffer_seconds,
                position=self._position,
            )
        )
        work = [asyncio.create_task(self._tell(), name=f"progress of {self._name}")]
        if self._stream is not None:
            work.append(asyncio.create_task(self._hear(self._stream), name=f"{self._name} hears"))
        for task in work:
            task.add_done_callback(self._done)
        try:
            with self._in_his_place():
                await self._take(inbox)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            self._count_lost()
            if self._stream is not None:
                await self._stream.aclose()

    def taken(self) -> None:
        """Another socket speaks for him."""
        self._link.cut_off(
            ErrorCode.INVALID_STATE, f"another socket speaks for {self._name} now", CLOSE_TAKEN
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s", task.get_name(), exc_info=error)
            self._link.fault()

    # --- from the call --------------------------------------------------------------------------

    async def _hear(self, stream: AudioStream) -> None:
        """Send what he hears, as fast as it is taken; what waits too long is lost and counted."""
        async for frame in stream:
            await self._room()
            self._link.put(binary_frame(frame))
        if stream.speaker is not None and self._place.holder is not self:
            # He alone was heard, and he has gone; who speaks here as well is not interrupted.
            code, text = ErrorCode.CALL_CLOSED, f"{stream.speaker} is on the call no longer"
            self._link.cut_off(code, text, close_of(code))

    async def _room(self) -> None:
        while True:
            if self._link.transport.get_write_buffer_size() <= HELD_BYTES:
                return
            await asyncio.sleep(ROOM_SECONDS)

    async def _tell(self) -> None:
        """Say how far it is, and when it is over."""
        loop = asyncio.get_running_loop()
        look_at = loop.time() + SEEN_SECONDS
        while not self._link.closed:
            if loop.time() >= look_at:
                look_at = loop.time() + SEEN_SECONDS
                self._require_seen()
            gone = self._is_gone()
            self._count_lost()
            # Who reads slowly is to know of it, and who reads nothing is not told for ever.
            if self._link.transport.get_write_buffer_size() <= 2 * HELD_BYTES:
                self._progress()
            if gone and (self._stream is None or not self._stream.buffered_frames):
                code, text = ErrorCode.CALL_CLOSED, f"{self._name} takes part in the call no longer"
                self._link.cut_off(code, text, close_of(code))
                return
            await asyncio.sleep(PROGRESS_SECONDS)

    def _require_seen(self) -> None:
        """Close the socket when the call, or who speaks here, is none of his business any more."""
        link, call_id = self._link, self._speaker.call_id
        view = link.service.views.call(call_id)
        if view is None:
            return
        if not link.principal.sees(view.tenant, view.queue):
            link.cut_off(
                ErrorCode.CALL_NOT_FOUND, f"there is no live call {call_id!r}", CLOSE_NOT_FOUND
            )
            return
        try:
            _require_his(link, view, self._name)
        except ForbiddenError as error:
            link.cut_off(error.error_code, error.error_message, close_of(error.error_code))

    def _count_lost(self) -> None:
        """Add what this socket was too slow for to what all of them were."""
        lost = 0 if self._stream is None else self._stream.dropped_frames
        self._link.service.audio_positions.lost_frames += lost - self._counted
        self._counted = lost

    def _progress(self) -> None:
        progress = AudioProgress(
            received=self._place.received,
            buffered=self._speaker.get_send_audio_buffer_size(),
            dropped={
                "silent": self._speaker.dropped_audio.silent + self._place.unheard,
                "cleared": self._speaker.dropped_audio.cleared + self._place.cleared,
                "refused": self._speaker.dropped_audio.refused,
            },
            lost_frames=0 if self._stream is None else self._stream.dropped_frames,
        )
        before, self._told = self._told, progress
        lost = progress.lost_frames and (
            before is None or before.lost_frames < progress.lost_frames
        )
        # Who is there to speak alone may have spoken before, over a socket that broke.
        speaks = self._place.holder is self or self._stream is None
        if lost or (speaks and (progress.buffered or progress != before)):
            self._link.send(progress)

    def _is_gone(self) -> bool:
        if isinstance(self._speaker, ActiveCall):
            return self._speaker.state is CallState.DISCONNECTED
        return self._speaker.left is not None

    # --- to the call ----------------------------------------------------------------------------

    async def _take(self, inbox: Inbox) -> None:
        """Let what he says go on as there is room for it."""
        while True:
            await inbox.wait()
            if (dropped := inbox.take_clear()) is not None:
                self._clear(dropped)
            elif not (size := self._place.before(self._piece)):
                await self._place.free(ROOM_SECONDS)
            elif await self._is_said(pcm := inbox.first(size)):
                inbox.took(len(pcm))
            else:
                await asyncio.sleep(ROOM_SECONDS)
                if self._link.closed:
                    raise LeftError

    def _clear(self, dropped: int) -> None:
        """Drop what is not played. dropped: bytes that waited here."""
        self._link.principal.require(Permission.COACH)
        self._take_place()
        self._place.cleared += dropped
        self._place.add(dropped)
        self._speaker.clear_send_audio_buffer()

    async def _is_said(self, pcm: bytes) -> bool:
        """Say a piece; tell whether it was taken, for which there may be no room yet."""
        self._take_place()
        if not self._link.principal.may(Permission.COACH):
            self._say_nothing(pcm)
            return True
        now = asyncio.get_running_loop().time()
        try:
            await self._speaker.send_audio(pcm)
        except BufferFullError:
            self._patient_until = None
            return False
        except InvalidStateError:
            # He goes to another call just now.
            self._patient_until = self._patient_until or now + PRESENT_SECONDS
            if now > self._patient_until:
                raise
            return False
        self._patient_until = None
        self._place.add(len(pcm))
        return True

    def _say_nothing(self, pcm: bytes) -> None:
        """Who may only listen says something: nobody would hear it of a spy, so it is dropped."""
        if self._speaker.mode is not AudioMode.SPY:
            self._link.principal.require(Permission.COACH)
        self._place.unheard += len(pcm)
        self._place.add(len(pcm))

    def _take_place(self) -> None:
        """Speak for him: the socket that came last does, and from where it was told to begin."""
        holder = self._place.holder
        if holder is self:
            return
        if holder is not None:
            if holder.number > self.number:
                self.taken()
                raise LeftError
            holder.taken()
        if self._place.received != self._position:
            raise CutOffError(
                ErrorCode.INVALID_STATE,
                f"another socket has spoken for {self._name} meanwhile: connect again",
                CLOSE_AGAIN_LATER,
            )
        self._place.holder = self

    @contextmanager
    def _in_his_place(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._place.holder is self:
                self._place.holder = None
