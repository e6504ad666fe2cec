"""Silent when the program is dead: what a supervisor's phone is tied to, in Asterisk itself.

A pulse is a media socket that carries nothing. The system closes it at the moment this process
ends, however it ends, which hangs up the channel behind it; and that channel's hangup handler hangs
up every snoop on the supervisor's phone (dialplan ``callbridge-release``). The snoops are the only
way by which anybody hears him, and he anybody; the phone itself stays. A network that is gone
without a word closes no socket, so the phone has a time limit too, which is put off again and
again. See docs/adr/0009.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from bridge.ari import AriConnection
from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.model.errors import CommandTimeoutError, RequestFailedError, ServerError
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.media_channel import new_media_channel
from bridge.runtime.names import Names
from bridge.runtime.release import CONTEXT
from bridge.topology.objects import pulse_key

_log = logging.getLogger(__name__)

LIMIT_SECONDS: Final = 45
"""When a phone is hung up that nobody answers for; later than a silent server is given up
(docs/adr/0006)."""
RENEWAL_SECONDS: Final = 10.0

_ARRIVAL_SECONDS: Final = 0.75
_RETRY_SECONDS: Final = 0.5
_FORMAT: Final = AudioFormat(8000)
_LIMIT: Final = "TIMEOUT(absolute)"
_ALL_SNOOPS: Final = "all"
_LONGEST_DEVICE: Final = 78
"""SoftHangup reads 79 characters of a channel's name (app_softhangup.c), the last dash included."""


class Pulses:
    """Makes pulses, on servers whose dialplan has what it takes."""

    def __init__(self, ari: AriConnection, arrivals: Arrivals, names: Names) -> None:
        self.ari = ari
        self.arrivals = arrivals
        self.names = names
        self._extensions: frozenset[str] | None = None
        self._limits: bool | None = None

    def new(self) -> Pulse:
        """Return a pulse for one phone."""
        return Pulse(self)

    async def handler(self, seat_id: str, seat_name: str) -> str | None:
        """Return what hangs up the snoops on a channel, or else the channel. Raises ServerError."""
        if self._extensions is None:
            self._extensions = await self._ask(seat_id)
        device = f"Snoop/{seat_id}"
        if _ALL_SNOOPS in self._extensions and len(device) <= _LONGEST_DEVICE:
            return f"{CONTEXT},{_ALL_SNOOPS},1({device})"
        return f"{CONTEXT},s,1({seat_name})" if "s" in self._extensions else None

    async def can_limit(self, seat_id: str) -> bool:
        """Tell whether a channel can be given a time limit. Raises ServerError."""
        if self._limits is None:
            self._limits = await self._has_limit(seat_id)
        return self._limits

    async def _ask(self, channel_id: str) -> frozenset[str]:
        there = set()
        for extension in ("s", _ALL_SNOOPS):
            variable = f"DIALPLAN_EXISTS({CONTEXT},{extension},1)"
            answer = await self.ari.channels.get_channel_var(
                channel_id=channel_id, variable=variable
            )
            if answer.value == "1":
                there.add(extension)
        if not there:
            _log.warning(
                "the dialplan has no [%s]: should this program die, a supervisor by phone goes on "
                "being heard by whom he speaks to, for up to %d s",
                CONTEXT,
                LIMIT_SECONDS,
            )
        return frozenset(there)

    async def _has_limit(self, channel_id: str) -> bool:
        try:
            await self.ari.channels.get_channel_var(channel_id=channel_id, variable=_LIMIT)
        except RequestFailedError as error:
            _log.warning(
                "func_timeout is not loaded: should the network to Asterisk be lost, the phones of "
                "supervisors stay where they are (%s)",
                error.reason,
            )
            return False
        return True


class Pulse:
    """Answers for one phone, from ``begin()`` on. ``run()`` is the owner's task."""

    def __init__(self, pulses: Pulses) -> None:
        self._pulses = pulses
        self._ari = pulses.ari
        self._owner: tuple[CallId, Participant] | None = None
        self._seat = ("", "")
        self._handler: str | None = None
        self._socket: MediaSocket | None = None
        self._due = asyncio.Event()
        """The socket broke, or there is something to be tied."""
        self._anchors: frozenset[str] = frozenset()
        self._tied: frozenset[str] = frozenset()

    async def begin(self, owner: CallId, name: Participant, seat: tuple[str, str]) -> None:
        """Answer for a phone. owner, name: the observer; seat: its channel's id and name.

        Raises ServerError, MediaError: then nobody answers for it.
        """
        self._owner, self._seat = (owner, name), seat
        self._handler = await self._pulses.handler(*seat)
        await self._put_off()
        await self._mend()

    def end_with_seat(self, anchors: Iterable[str]) -> None:
        """Let the end of the phone end these channels (names), too. Never blocks."""
        self._anchors = frozenset(anchors)
        self._due.set()

    async def run(self) -> None:
        """Keep it up, until cancelled."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RENEWAL_SECONDS):
                        await self._due.wait()
                self._due.clear()
                if self._owner is not None:
                    await self._keep(self._owner[1])
        finally:
            if self._socket is not None:
                await self._socket.aclose()

    async def _keep(self, name: Participant) -> None:
        try:
            await self._put_off()
            await self._mend()
            for anchor in sorted(self._anchors - self._tied):
                await self._push(self._seat[0], f"{CONTEXT},s,1({anchor})")
                self._tied |= {anchor}
        except ServerError as error:
            _log.warning("%s: nothing answers for his phone yet: %s", name, error)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._due.set)

    async def _put_off(self) -> None:
        """Let the phone have its full time again."""
        seat_id = self._seat[0]
        if await self._pulses.can_limit(seat_id):
            await self._ari.channels.set_channel_var(
                channel_id=seat_id, variable=_LIMIT, value=str(LIMIT_SECONDS)
            )

    async def _mend(self) -> None:
        """Have a socket, if there is anything that its end can do."""
        if self._owner is None or self._handler is None:
            return
        if self._socket is not None and not self._socket.closed:
            return
        owner, name = self._owner
        pulse_id = self._pulses.names.fresh(owner, pulse_key(name))
        with self._pulses.arrivals.expect(pulse_id) as arrival:
            try:
                connection_id = await new_media_channel(
                    self._ari, pulse_id, _FORMAT, application=self._ari.settings.application
                )
                await self._open(connection_id)
                # Should its event be lost, it is in the application nevertheless.
                with contextlib.suppress(CommandTimeoutError):
                    await arrival.wait(_ARRIVAL_SECONDS)
                await self._push(pulse_id, self._handler)
            except BaseException:
                await self._give_up(pulse_id)
                raise

    async def _open(self, connection_id: str) -> None:
        self._socket = socket = MediaSocket(
            lambda: self._ari.open_media_socket(connection_id),
            _FORMAT,
            on_audio=lambda _pcm, _at: None,
            on_closed=lambda _reason: self._due.set(),
            name="pulse",
        )
        await socket.open()

    async def _give_up(self, pulse_id: str) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.aclose()
        with contextlib.suppress(ServerError):
            await self._ari.channels.hangup(channel_id=pulse_id)

    async def _push(self, channel_id: str, handler: str) -> None:
        await self._ari.channels.set_channel_var(
            channel_id=channel_id, variable="CHANNEL(hangup_handler_push)", value=handler
        )
