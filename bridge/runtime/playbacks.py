"""Sounds that Asterisk itself plays, into a bridge or to one channel, and when they are over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator

from bridge.ari import AriConnection
from bridge.model.errors import RequestFailedError, ServerError

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
"""How often it is asked whether a sound is over, should its event not have come."""


class Sound:
    """One sound that is playing."""

    def __init__(self, ari: AriConnection, playback_id: str) -> None:
        self._ari = ari
        self.playback_id = playback_id
        self._over = asyncio.Event()
        self.failed = False
        """There is no such sound, or it could not be played."""

    def finished(self, state: str) -> None:
        """It is over. state: as Asterisk names it, ``done`` or ``failed``."""
        self.failed = state == "failed"
        self._over.set()

    async def wait(self) -> None:
        """Wait until it is over. Raises ServerError.

        Of a list of tones Asterisk does not notice the end (main/app.c): it is over when stopped.
        """
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._over.wait()
                    return
            await self._look()

    async def stop(self) -> None:
        """End it, if it is not over."""
        if self._over.is_set():
            return
        try:
            await self._ari.playbacks.stop(playback_id=self.playback_id)
        except ServerError as error:
            # It is over, or its bridge is gone; an Asterisk that is lost plays nothing.
            _log.debug("playback %s was not stopped: %s", self.playback_id, error)

    async def _look(self) -> None:
        try:
            await self._ari.playbacks.get(playback_id=self.playback_id)
        except RequestFailedError as error:
            if not error.is_not_found:
                raise
            self._over.set()


class Playbacks:
    """Plays media (``sound:…``, ``tone:…``). The owner forwards PlaybackFinished.

    What is played into a bridge everybody in it hears, and nobody else.
    """

    def __init__(self, ari: AriConnection) -> None:
        self._ari = ari
        self._playing: dict[str, Sound] = {}

    def finished(self, playback_id: str, state: str = "done") -> None:
        """A sound is over: Asterisk's PlaybackFinished."""
        if (sound := self._playing.get(playback_id)) is not None:
            sound.finished(state)

    @contextlib.asynccontextmanager
    async def playing(self, bridge_id: str, media: str) -> AsyncIterator[Sound]:
        """Play ``media`` as long as the context lasts, or to its end. Raises ServerError."""
        async with self._sound(f"play-{secrets.token_hex(8)}") as sound:
            await self._ari.bridges.play_with_id(
                bridge_id=bridge_id, playback_id=sound.playback_id, media=media
            )
            yield sound

    @contextlib.asynccontextmanager
    async def playing_to(
        self, channel_id: str, media: str, playback_id: str
    ) -> AsyncIterator[Sound]:
        """Play ``media`` to one channel; as ``playing``.

        In a bridge he hears nothing else meanwhile, and cannot be moved: it has to be stopped
        before. There must be one at a time of a playback_id.
        """
        async with self._sound(playback_id) as sound:
            await self._ari.channels.play_with_id(
                channel_id=channel_id, playback_id=playback_id, media=media
            )
            yield sound

    @contextlib.asynccontextmanager
    async def _sound(self, playback_id: str) -> AsyncIterator[Sound]:
        sound = self._playing[playback_id] = Sound(self._ari, playback_id)
        try:
            yield sound
        finally:
            del self._playing[playback_id]
            await asyncio.shield(sound.stop())

    async def play(self, bridge_id: str, media: str) -> bool:
        """Play ``media`` to its end; it is stopped when the wait is cancelled. As ``playing``.

        Returns whether Asterisk has such a sound.
        """
        async with self.playing(bridge_id, media) as sound:
            await sound.wait()
        return not sound.failed
