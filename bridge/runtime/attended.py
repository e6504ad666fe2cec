"""An attended transfer by phone: two calls of one phone become one, and the phone leaves both.

The one whom it has consulted is brought into the call that it transfers: there he meets those who
have waited. His leg is handed from call to call without being hung up; all else of the consult call
ends with it. If Asterisk's own Dial() has placed that one, the dialplan has to send him to us
(``callbridge-fetch``; measured: it takes a millisecond): ARI moves what is in its application only.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import count
from typing import Final, Protocol

from bridge.ari import AriConnection, models
from bridge.model.errors import (
    CallbridgeError,
    RequestFailedError,
    TransferDeniedError,
)
from bridge.model.participants import CALLEE, Participant
from bridge.model.states import HangupCause
from bridge.runtime.engine import CallEngine
from bridge.runtime.pending import NOBODY
from bridge.runtime.release import untied
from bridge.runtime.transfers import Transfers
from bridge.runtime.unkept import keep_no_more
from bridge.session import inputs
from bridge.session.state import Phase, Session

_log = logging.getLogger(__name__)

_HUMAN = "human"
_CONTEXT: Final = "callbridge-fetch"
"""Of the dialplan: sends a channel into the application."""
_FETCH_SECONDS: Final = 2.0


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
    to: models.ReferTo,
    on_joined: Callable[[], None],
) -> Participant:
    """Bring whom ``party`` has consulted into his call, in his place; return the newcomer's name.

    to: what the phone asked for; it names its other channel. on_joined: called when the newcomer is
    there, before the phone is let go. Raises TransferDeniedError for one who cannot be had,
    CommandInProgressError while one of the calls is being transferred, ServerError if Asterisk
    failed: who was consulted may be lost then, and the others are where they were.
    """
    host.transfers.require_none(engine)
    bring = await _way(host, engine, to)
    if party not in engine.session.parties:
        raise TransferDeniedError(f"{party} has hung up meanwhile")
    name = _free_name(engine)
    await _arrange(engine, engine.session.standing.held, kept=True)
    try:
        await bring(name)
        on_joined()
        await _arrange(engine, _still_held(engine.session, party, name), leaving=frozenset({party}))
    except CallbridgeError:
        await keep_no_more(engine, engine.session.standing.held)
        raise
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


async def _way(
    host: Host, engine: CallEngine, to: models.ReferTo
) -> Callable[[Participant], Awaitable[None]]:
    """Return what brings the one who was consulted into the call, under a name."""
    consulted = to.destination_channel
    if consulted is None:
        raise TransferDeniedError("whom the phone has consulted is on another server")
    other = host.engine_of(consulted.id)
    if other is engine:
        raise TransferDeniedError("both lines of the phone are in the same call")
    if other is not None:
        host.transfers.require_none(other)
        return partial(_move, host, engine, other, _consulted(other, consulted))
    channel = to.connected_channel
    if channel is None or not await _can_fetch(host, channel):
        raise TransferDeniedError(
            f"{consulted.name} talks outside of the application, whose calls alone can be brought "
            f"together: let the dialplan send what phones dial to Stasis(), or add [{_CONTEXT}]"
        )
    return partial(_fetch, host, engine, channel)


# --- from another call of ours ------------------------------------------------------------------


def _consulted(other: CallEngine, phone: models.Channel) -> Participant:
    """Return who is at the other end of a consult call."""
    party = other.executor.party_of(phone.id)
    humans = other.session.parties - {party}
    if len(humans) != 1 or party is None:
        who = ", ".join(sorted(humans)) or "nobody"
        raise TransferDeniedError(f"one party has to be consulted; at {phone.name} is {who}")
    return next(iter(humans))


async def _move(
    host: Host, engine: CallEngine, other: CallEngine, human: Participant, name: Participant
) -> None:
    """Let a party of another call join this one; nothing else is left of the other."""
    channel_id = other.executor.channel_of(human)
    if channel_id is None:
        raise TransferDeniedError(f"{human} has hung up meanwhile")
    channel = await host.ari.channels.get(channel_id=channel_id)
    # From here on nobody's end is that of the one who moves.
    await untied(host.ari, other.legs, channel_id)
    engine.bring(name, channel_id, channel.name)
    other.executor.give_leg(human)
    try:
        await engine.command(lambda token: inputs.JoinParty(token, name))
    finally:
        other.post(inputs.PartyGone(human, HangupCause.NORMAL))
        other.post(inputs.Disconnect(NOBODY, cut=True))


async def given_up(host: Host, to: models.ReferTo) -> str | None:
    """End a consult call in which nobody has answered yet; return whom it rang, as he is dialled.

    None: it is another one, and goes on.
    """
    consulted = to.destination_channel
    other = None if consulted is None else host.engine_of(consulted.id)
    if other is None or other.session.phase not in {Phase.RINGING, Phase.JOINING}:
        return None
    endpoint = other.endpoint_of(CALLEE)
    await other.command(lambda token: inputs.Disconnect(token, cut=True))
    return endpoint


# --- from a call that the application never saw -------------------------------------------------


async def _can_fetch(host: Host, channel: models.Channel) -> bool:
    """Tell whether the dialplan can send a channel into the application. Raises ServerError."""
    there = f"DIALPLAN_EXISTS({_CONTEXT},fetch,1)"
    try:
        answer = await host.ari.channels.get_channel_var(channel_id=channel.id, variable=there)
    except RequestFailedError as error:
        _log.debug("%s: %s", there, error)
        return False
    return answer.value == "1"


async def _fetch(
    host: Host, engine: CallEngine, channel: models.Channel, name: Participant
) -> None:
    """Let somebody join whose call Asterisk's own Dial() has placed; that call ends with it."""
    with engine.executor.expect(channel.id) as arrival:
        await host.ari.channels.originate(
            endpoint=f"Local/fetch@{_CONTEXT}",
            context=_CONTEXT,
            extension="fetched",
            priority=1,
            # The underscore hands it on to the half that runs the dialplan.
            variables={"_CALLBRIDGE_FETCH": channel.name},
        )
        await arrival.wait(_FETCH_SECONDS)
    engine.bring(name, channel.id, channel.name)
    await engine.command(lambda token: inputs.JoinParty(token, name))


# --- in the call --------------------------------------------------------------------------------


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
