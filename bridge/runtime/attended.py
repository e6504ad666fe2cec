"""An attended transfer by phone: two calls of one phone become one, and the phone leaves both.

The one whom it has consulted is brought into the call that it transfers: there he meets those who
have waited. His leg is handed from call to call without being hung up; all else of the consult call
ends with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import count
from typing import Protocol

from bridge.ari import AriConnection, models
from bridge.model.errors import (
    CallbridgeError,
    TransferDeniedError,
)
from bridge.model.participants import CALLEE, Participant
from bridge.model.states import HangupCause
from bridge.runtime.engine import CallEngine
from bridge.runtime.pending import NOBODY
from bridge.runtime.release import untied
from bridge.runtime.transfers import Transfers
from bridge.session import inputs
from bridge.session.state import Phase, Session

_log = logging.getLogger(__name__)

_HUMAN = "human"


class Host(Protocol):
    """Who has the link and the calls: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def transfers(self) -> Transfers:
        """All transfers."""

    def engine_of(self, channel_id: str) -> CallEngine | None:
        """Return the call that a channel belongs to."""


async def connect(
    host: Host,
    engine: CallEngine,
    party: Participant,
    consulted: models.Channel,
    on_joined: Callable[[], None],
) -> Participant:
    """Bring whom ``party`` has consulted into his call, in his place; return the newcomer's name.

    consulted: the phone's other channel. on_joined: called when he is there, before the phone is
    let go. Raises TransferDeniedError for a consult call that cannot be had, CommandInProgressError
    while one of the calls is being transferred, ServerError if Asterisk failed: who was consulted
    is lost then, and the others are where they were.
    """
    other, human = _consult(host, consulted)
    if other is engine:
        raise TransferDeniedError(f"both lines of {party} are in the same call")
    for call in (engine, other):
        host.transfers.require_none(call)
    channel_id = other.executor.channel_of(human)
    if channel_id is None or party not in engine.session.parties:
        raise TransferDeniedError("somebody has hung up meanwhile")
    channel = await host.ari.channels.get(channel_id=channel_id)
    name = _free_name(engine)
    # From here on nobody's end is that of the one who moves.
    await untied(host.ari, other.legs, channel_id)
    await _arrange(engine, engine.session.standing.held, kept=True)
    engine.bring(name, channel_id, channel.name)
    other.executor.give_leg(human)
    try:
        await engine.command(lambda token: inputs.JoinParty(token, name))
    except CallbridgeError:
        await _arrange(engine, engine.session.standing.held)
        raise
    finally:
        other.post(inputs.PartyGone(human, HangupCause.NORMAL))
        other.post(inputs.Disconnect(NOBODY, cut=True))
    on_joined()
    await _arrange(engine, _still_held(engine.session, party, name), leaving=frozenset({party}))
    return name


async def _arrange(
    engine: CallEngine,
    held: frozenset[Participant],
    *,
    leaving: frozenset[Participant] = frozenset(),
    kept: bool = False,
) -> None:
    apart = engine.session.standing.apart
    await engine.command(lambda token: inputs.Arrange(token, held, apart, leaving, kept))


async def given_up(host: Host, consulted: models.Channel) -> str | None:
    """End a consult call in which nobody has answered yet; return whom it rang, as he is dialled.

    None: it is another one, and goes on.
    """
    other = host.engine_of(consulted.id)
    if other is None or other.session.phase not in {Phase.RINGING, Phase.JOINING}:
        return None
    endpoint = other.endpoint_of(CALLEE)
    await other.command(lambda token: inputs.Disconnect(token, cut=True))
    return endpoint


def _consult(host: Host, consulted: models.Channel) -> tuple[CallEngine, Participant]:
    """Return the consult call, and who is at its other end."""
    other = host.engine_of(consulted.id)
    if other is None:
        raise TransferDeniedError(
            f"{consulted.name} talks outside of the application, whose calls alone can be brought "
            "together: let the dialplan send what phones dial to Stasis()"
        )
    self = other.executor.party_of(consulted.id)
    humans = other.session.parties - {self}
    if len(humans) != 1 or self is None:
        who = ", ".join(sorted(humans)) or "nobody"
        raise TransferDeniedError(f"one party has to be consulted; at {consulted.name} is {who}")
    return other, next(iter(humans))


def _still_held(
    session: Session, party: Participant, newcomer: Participant
) -> frozenset[Participant]:
    """Return who stays on hold: one who waits alone for the phone that transfers does not."""
    customers = session.parties - {party, newcomer}
    return session.standing.held - customers if len(customers) == 1 else session.standing.held


def _free_name(engine: CallEngine) -> Participant:
    taken: Iterable[Participant] = {
        *engine.session.parties,
        *engine.names_taken(),
        *(adding.party for adding in engine.session.adding),
    }
    names = (Participant(f"{_HUMAN}{n}" if n > 1 else _HUMAN) for n in count(1))
    return next(name for name in names if name not in taken)
