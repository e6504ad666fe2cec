"""Short tones that tell a supervisor, and nobody else, what has become of a key or of a call.

They are Asterisk's own tones, played on the snoop that whispers to the seat and spies nothing
(``cue_key``): the lines to the parties take what the supervisor says, not what he hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from enum import StrEnum
from typing import Final

from bridge.ari import AriConnection
from bridge.model.errors import RequestFailedError, ServerError

_log = logging.getLogger(__name__)

_START_SECONDS = 0.1
"""By when a tone that was asked for is heard; 40 ms when Asterisk is not busy."""
_PLAYED_SECONDS = 1.0

_TAIL: Final = "!0/40"
"""Silence after every cue: the last frame that was whispered is not heard until the next one comes,
with the beginning of another cue (main/audiohook.c takes whole frames after resampling)."""

_GAIN: Final = "-3"
"""Divides the amplitude by 3: Asterisk's tones are -13.1 dBFS (main/indications.c), which beside a
voice is loud; so they are -22.7 dBFS. VOLUME() is func_volume's; without it they stay loud."""


class Cue(StrEnum):
    """What there is to tell, as a tone list of Asterisk's: ``Hz/ms``, ``!`` for once, 0 Hz silent.

    A tone lasts whole frames of 20 ms, a cue at most 250 ms. The bar parts them: ARI takes a comma
    for the end of a medium.
    """

    SPY = "!440/120"
    """Nobody hears the supervisor now: one low tone."""
    WHISPER = "!660/80|!0/40|!660/80"
    """The whispered-to parties hear him: two middle tones."""
    BARGE = "!880/60|!0/20|!880/60|!0/20|!880/60"
    """All parties hear him: three high tones."""
    NEXT = "!440/80|!660/80|!880/80"
    """He is on another call: rising."""
    LEAVING = "!880/80|!660/80|!440/80"
    """He leaves: falling."""
    REFUSED = "!220/240"
    """What he asked for was not done: one long, very low tone."""
    SILENCED = "!880/120|!440/120"
    """He is heard no more, and did not ask for it: high, then low."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(int(part.partition("/")[2]) for part in self.split("|")) / 1000


class Cues:
    """The cues of one seat; the newest wins. ``run()`` is the owner's task.

    A cue that cannot be played is logged: it decides nothing.
    """

    def __init__(self, ari: AriConnection, *, owner: str) -> None:
        self._ari = ari
        self._owner = owner
        self._wanted: tuple[str, Cue] | None = None
        self._asked = asyncio.Event()
        self._softened = ""
        self._quiet = asyncio.Event()
        self._quiet.set()

    def play(self, channel_id: str, cue: Cue) -> None:
        """Let the supervisor hear ``cue``, in place of what is playing. Never blocks.

        channel_id: the seat's cue snoop; it is heard 20 to 40 ms later.
        """
        self._wanted = channel_id, cue
        self._quiet.clear()
        self._asked.set()

    async def played(self) -> None:
        """Return when nothing is playing or waits to; after 1 s in any case."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PLAYED_SECONDS):
                await self._quiet.wait()

    async def run(self) -> None:
        """Play what is wanted, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, None
            if wanted is not None:
                try:
                    await self._play(*wanted)
                except ServerError as error:
                    _log.warning("%s: cue %s is not heard: %s", self._owner, wanted[1].name, error)
            if self._wanted is None:
                self._quiet.set()

    async def _play(self, channel_id: str, cue: Cue) -> None:
        if self._softened != channel_id:
            await self._ari.channels.set_channel_var(
                channel_id=channel_id, variable="VOLUME(TX)", value=_GAIN
            )
            self._softened = channel_id
        playback_id = f"cue-{secrets.token_hex(8)}"
        await self._ari.channels.play_with_id(
            channel_id=channel_id, playback_id=playback_id, media=f"tone:{cue.value}|{_TAIL}"
        )
        # A timeout: played to its end, and nothing newer is wanted.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS + cue.seconds):
                await self._asked.wait()
        await self._stop(playback_id)

    async def _stop(self, playback_id: str) -> None:
        """End a playback, of which Asterisk does not notice that it is over (main/app.c).

        Until then, the next one would wait for it.
        """
        try:
            await self._ari.playbacks.stop(playback_id=playback_id)
        except RequestFailedError as error:
            _log.debug("%s: a cue ended by itself: %s", self._owner, error)
