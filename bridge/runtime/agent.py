"""A program's end of its lines: its voice, its ears, and a media socket for everybody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp

from bridge.media.ears import Ears
from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.media.voice import Voice
from bridge.model.participants import COACHING, OVERHEARD, Participant

Connect = Callable[[str], Awaitable[aiohttp.ClientWebSocketResponse]]
"""Opens the media WebSocket of a connection id."""


class AgentMedia:
    """Voice and ears of one agent on one call, over one socket per party.

    ``on_lost(party)``, to be set by the owner, is called when a socket breaks that nobody closed.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        connect: Connect,
        *,
        send_buffer_seconds: float,
    ) -> None:
        self.format = audio_format
        self.voice = Voice(audio_format, seconds=send_buffer_seconds)
        self.ears = Ears(audio_format)
        self._connect = connect
        self.on_lost: Callable[[Participant], None] | None = None
        self._sockets: dict[Participant, MediaSocket] = {}
        self._groups: dict[Participant, frozenset[str]] = {}
        self._others: dict[Participant, Callable[[], None]] = {}

    @property
    def alive(self) -> bool:
        """At least one line's socket is open."""
        return any(not socket.closed for socket in self._sockets.values())

    def meet(
        self, observer: Participant, *, hears_coaching: bool, on_lost: Callable[[], None]
    ) -> None:
        """Let a line to another observer, once there is one, get what he is to hear.

        on_lost: called when that line breaks.
        """
        self._groups[observer] = frozenset({OVERHEARD, *([COACHING] if hears_coaching else [])})
        self._others[observer] = on_lost

    def forget(self, observer: Participant) -> None:
        """Undo ``meet``: the observer is no longer there."""
        self._groups.pop(observer, None)
        self._others.pop(observer, None)

    async def open(self, party: Participant, connection_id: str) -> None:
        """Connect the line to ``party``. Raises MediaError when that cannot be had.

        Whoever listens to the party goes on with the new line, if there was one before.
        """
        await self.close(party)
        socket = MediaSocket(
            lambda: self._connect(connection_id),
            self.format,
            on_audio=lambda pcm, _at: self.ears.push(party, pcm),
            on_closed=lambda _reason: self._lost(party, socket),
            name=f"line to {party}",
        )
        await socket.open()
        self._sockets[party] = socket
        self.ears.join(party)
        self.voice.add_line(party, socket, self._groups.get(party, frozenset()))

    async def close(self, party: Participant) -> None:
        """Disconnect the line to ``party``, if there is one; streams end with the agent only."""
        socket = self._sockets.pop(party, None)
        if socket is not None:
            self.voice.remove_line(party)
            self.ears.pause(party)
            await socket.aclose()

    async def aclose(self) -> None:
        """End voice, ears and all sockets."""
        await self.voice.aclose()
        for party in list(self._sockets):
            await self.close(party)
        await self.ears.aclose()

    def _lost(self, party: Participant, socket: MediaSocket) -> None:
        if self._sockets.get(party) is not socket:
            return
        self.ears.pause(party)
        if (on_lost := self._others.get(party)) is not None:
            on_lost()
        elif self.on_lost is not None:
            self.on_lost(party)
