"""Whether audio flows to a party, on servers that whisper only into audio that flows.

Up to 22.10 Asterisk adds a whisper to the frames that a channel is sent anyway. In a plain bridge
of two these are the other party's: while his phone sends no RTP at all (muted, or silence
suppressed), a whisper is lost (Asterisk issue 1966). In calls of our own the anchors see to it that
frames flow; in others it can only be known, not helped. See docs/adr/0003.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from bridge.ari import AriConnection
from bridge.directory import LiveCall
from bridge.model.errors import CapabilityError, RequestFailedError, ServerError
from bridge.model.modes import ObserverMode
from bridge.model.participants import Participant

_log = logging.getLogger(__name__)

_SAMPLE_SECONDS: Final = 0.3
"""A phone that sends at all does so every 20 to 60 ms."""
_PAIR: Final = 2
"""More than two are mixed by softmix, which sends to everybody all the time."""


class Flow:
    """Watches the received RTP of the parties of calls that are not ours.

    calls: asked for the calls that are observed now. Without statistics of a channel, it counts as
    one that sends.
    """

    def __init__(self, ari: AriConnection, calls: Callable[[], Iterable[LiveCall]]) -> None:
        self._ari = ari
        self._calls = calls
        self._counts: dict[str, int] = {}
        self._still: set[str] = set()
        """Channels from which nothing has come between the last two looks."""

    @property
    def needed(self) -> bool:
        """The server is one on which it matters."""
        return self._ari.capabilities.whisper_to_silent_leg is False

    def deaf(self, call: LiveCall, mode: ObserverMode) -> frozenset[Participant]:
        """Return who of those that a mode is meant for would hear nothing now."""
        up = [party for party in call.parties if party.up]
        if call.own or len(up) != _PAIR or any(p.on_hold or p.alone for p in up):
            return frozenset()
        one, other = up
        unfed = {a.role for a, b in ((one, other), (other, one)) if b.channel_id in self._still}
        return mode.heard_by(frozenset({one.role, other.role})) & unfed

    def require(self, call: LiveCall, mode: ObserverMode) -> None:
        """Raise CapabilityError when not all whom a mode is meant for would hear the observer."""
        if self.needed and (deaf := self.deaf(call, mode)):
            raise CapabilityError(
                f"{' and '.join(sorted(deaf))} would not hear it: the other party's phone sends no "
                f"audio at all now, and Asterisk {self._ari.capabilities.version} whispers only "
                "into audio that flows (whisper_to_silent_leg: no); 22.11 does without. Try again "
                "when somebody speaks, or let the dialplan send such calls to Stasis()"
            )

    async def run(self) -> None:
        """Look again and again, until no call of others is observed any more."""
        while self.needed and (calls := [call for call in self._calls() if not call.own]):
            channels = {party.channel_id for call in calls for party in call.parties if party.up}
            await asyncio.gather(*map(self._look, channels))
            for gone in self._counts.keys() - channels:
                del self._counts[gone]
            self._still &= channels
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _look(self, channel_id: str) -> None:
        try:
            received = (await self._ari.channels.rtpstatistics(channel_id=channel_id)).rxcount
        except RequestFailedError:
            # It is no RTP channel, or gone.
            self._still.discard(channel_id)
            return
        except ServerError as error:
            _log.debug("received audio of %s not known: %s", channel_id, error)
            return
        if self._counts.get(channel_id) == received:
            self._still.add(channel_id)
        else:
            self._still.discard(channel_id)
        self._counts[channel_id] = received
