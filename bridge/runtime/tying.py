"""The legs of one call, tied in Asterisk as its machine wants them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge.ari import AriConnection
from bridge.model.errors import ServerError
from bridge.model.participants import AGENT, Participant
from bridge.runtime.executor import Executor
from bridge.runtime.release import Leg, Ties
from bridge.session.effects import Bond

_log = logging.getLogger(__name__)


class Tying:
    """Knows how the legs are to be tied, and whether they are.

    name_of: returns Asterisk's name of a party's channel, empty when it has to be asked for.
    """

    def __init__(
        self,
        ari: AriConnection,
        executor: Executor,
        ties: Ties,
        name_of: Callable[[Participant], str],
    ) -> None:
        self._ari = ari
        self._executor = executor
        self._ties = ties
        self._name_of = name_of
        self._bond = Bond()
        self._tied = True

    def want(self, bond: Bond) -> None:
        """Have the legs tied otherwise, the next time."""
        self._bond, self._tied = bond, False

    @property
    def is_due(self) -> bool:
        """They are not tied as they are to be; or lines may be others than before."""
        return not self._tied or bool(self._bond.spared)

    async def tie(self) -> None:
        """See to it that from now on parties are released with one another, come what may."""
        self._tied = False
        legs = []
        for party in sorted(self._executor.stands.legs.values()):
            channel_id = self._executor.channel_of(party)
            name = await self._name(party, channel_id) if channel_id else None
            if channel_id and name:
                bond = self._bond
                means = party in bond.counted, party in bond.armed, party in bond.spared
                legs.append(Leg(channel_id, name, *means))
        lines = self._executor.lines_of(AGENT)
        self._tied = await self._ties.make(legs, self._executor.anchor_names, lines)

    async def _name(self, party: Participant, channel_id: str) -> str | None:
        """Return Asterisk's name of a leg; None if it cannot be had."""
        if name := self._name_of(party):
            return name
        try:
            return (await self._ari.channels.get(channel_id=channel_id)).name
        except ServerError as error:
            _log.warning("the %s (%s) is not tied: %s", party, channel_id, error)
            return None
