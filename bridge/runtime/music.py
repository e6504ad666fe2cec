"""What those on hold hear: which class of music, changed while it plays.

Which classes there are ARI does not tell: for one that it does not know, Asterisk plays its default
and writes a warning to its log (res_musiconhold.c, local_ast_moh_start).
"""

from __future__ import annotations

import logging
import re
from typing import Final

from bridge.ari import AriConnection
from bridge.model.errors import BadArgumentError, RequestFailedError
from bridge.model.participants import Participant
from bridge.runtime.executor import Executor
from bridge.runtime.notes import Notes
from bridge.topology.objects import hold_key

_log = logging.getLogger(__name__)

_OF_CALL: Final = "music"
_CLASS = re.compile(r"[\w.@-]{1,79}", re.ASCII)


def checked_music(music: str) -> str:
    """Return the name of a class as it is, or empty. Raises BadArgumentError."""
    if music and not _CLASS.fullmatch(music):
        raise BadArgumentError(
            f"music={music!r} cannot name a music class: it is letters, digits, _ . @ and -"
        )
    return music


class Music:
    """The music of one call, kept in its notes: ``music``, and ``music.caller`` for one hold.

    A class is a name of Asterisk's musiconhold.conf; empty: Asterisk's default.
    """

    def __init__(self, ari: AriConnection, executor: Executor, notes: Notes) -> None:
        self._ari = ari
        self._executor = executor
        self._notes = notes
        self._held: frozenset[Participant] = frozenset()
        executor.music_of = self.of

    def of(self, party: Participant) -> str:
        """Return what a party hears, or would hear, on hold."""
        return self._notes.get(f"{_OF_CALL}.{party}", self._notes.get(_OF_CALL, ""))

    def begin(self, music: str) -> None:
        """Choose the class for a call on which nobody has been on hold yet."""
        if music:
            self._notes[_OF_CALL] = music

    async def choose(self, music: str, party: Participant | None = None) -> None:
        """Choose the class for the call or, until he is brought back, for one party.

        Who is on hold hears it at once. Raises BadArgumentError, ServerError.
        """
        checked_music(music)
        before = {held: self.of(held) for held in self._held}
        self._notes[_OF_CALL if party is None else f"{_OF_CALL}.{party}"] = music
        for held, was in before.items():
            if self.of(held) != was:
                await self._play(held)

    def forget(self, party: Participant) -> None:
        """Take back what was chosen for one hold, which has not come about."""
        if party not in self._held:
            self._notes.pop(f"{_OF_CALL}.{party}", None)

    def now_held(self, parties: frozenset[Participant]) -> None:
        """Note who is on hold: what was chosen for one hold ends with it."""
        for party in self._held - parties:
            self._notes.pop(f"{_OF_CALL}.{party}", None)
        self._held = parties

    async def _play(self, party: Participant) -> None:
        bridge_id = self._executor.id_of(hold_key(party))
        if bridge_id is None:
            return
        try:
            await self._ari.bridges.start_moh(bridge_id=bridge_id, moh_class=self.of(party) or None)
        except RequestFailedError as error:
            if not error.is_not_found:
                raise
            _log.debug("the music of %s is over: %s", party, error)
