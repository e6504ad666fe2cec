"""How a program keeps somebody waiting: the part of ``ActiveCall`` for hold and announcements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError, CallbridgeError
from bridge.model.participants import Participant
from bridge.runtime import CallEngine, Controller
from bridge.runtime.hold_button import held_by_command
from bridge.sdk.sounds import Sound, loaded
from bridge.session import inputs

if TYPE_CHECKING:
    from bridge.runtime.announcing import Announcements


class Holding:
    """Keeps parties waiting. Mixed into ``ActiveCall``, which has all that is named here."""

    _engine: CallEngine
    _controller: Controller
    _announcements: Announcements

    async def hold(
        self,
        name: str,
        *,
        music: str | None = None,
        announce: Sound | None = None,
        announce_every_seconds: float = 30.0,
    ) -> None:
        """Keep a party apart from all, with music, until ``unhold``. Raises what ``mute`` raises.

        No hold button of a phone brings him back.

        music: the class for this time; by default the call's (``set_music``). announce: said to him
        every so often, as by ``announce``. When the agent leaves, nobody is on hold any more.
        """
        party, said = Participant(name), None
        if announce_every_seconds <= 0:
            raise BadArgumentError("announce_every_seconds has to be above 0")
        if announce is not None:
            said = await loaded(announce, self._audio_format)
        if music is not None:
            await self._engine.music.choose(music, party)
        try:
            await self._hold(party, on=True)
            held_by_command(self._engine.notes, party)
        except CallbridgeError:
            self._engine.music.forget(party)
            raise
        if said is not None:
            self._announcements.repeat(party, said, announce_every_seconds)

    async def unhold(self, name: str) -> None:
        """Bring a held party back to the others. Raises what ``mute`` raises."""
        await self._hold(Participant(name), on=False)

    async def set_music(self, music: str) -> None:
        """Choose what those on hold hear: a class of Asterisk's ``musiconhold.conf``.

        Who is on hold hears it at once, unless he has a class of his own. Empty: Asterisk's
        default; it plays that, too, for a class that it does not have, and logs a warning.
        """
        await self._engine.music.choose(music)

    async def announce(self, sound: Sound, to: str = "caller") -> bool:
        """Say something to one party alone; return when it was said: True if all of it.

        sound: a WAV file's Path, PCM as for ``send_audio``, or what Asterisk has (``sound:…``). The
        music of somebody on hold pauses, and goes on. False: he was brought back from hold, put on
        hold, or left, before its end. Raises InvalidStateError for nobody who is there,
        BadArgumentError, ServerError.
        """
        said = await loaded(sound, self._audio_format)
        return await self._announcements.say(Participant(to), said)

    @property
    def _audio_format(self) -> AudioFormat:
        return AudioFormat(self._controller.settings.sample_rate)

    async def _hold(self, party: Participant, *, on: bool) -> None:
        await self._engine.command(lambda token: inputs.HoldParty(token, party, on))
