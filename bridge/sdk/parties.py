"""Who takes part in a call of ours, as a program sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.model.errors import BadArgumentError
from bridge.model.participants import CALLEE, CALLER, Participant, participant
from bridge.runtime import CallEngine
from bridge.runtime.hold_button import away
from bridge.session import Phase

_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Party:
    """One of those who talk with each other."""

    name: str
    """``caller``, ``callee``, or what ``call.add`` named him: unique on the call."""
    endpoint: str
    """As Asterisk dials him, such as ``PJSIP/1002``."""
    joined: bool
    """False while he is being rung."""
    muted: bool
    """Nobody hears him: by ``call.mute``, or because somebody has taken over from him."""
    held: bool
    """He hears music instead of the others, and they do not hear him."""
    apart: bool = False
    """He is not with the others, though his phone is answered: a transfer is offered to him."""
    away: bool = False
    """He has put his phone on hold: he hears nobody. Who would be alone hears music meanwhile."""


def parties_of(engine: CallEngine) -> tuple[Party, ...]:
    """Return the parties of a call, the caller and the callee first."""
    session = engine.session
    coming = {adding.party for adding in session.adding}
    if session.phase in {Phase.RINGING, Phase.JOINING}:
        coming.add(CALLEE)
    there = session.parties - coming
    first = [party for party in (CALLER, CALLEE) if party in there | coming]
    return tuple(
        Party(
            name=party,
            endpoint=_endpoint(engine, party),
            joined=party in there,
            muted=party in session.stood.silenced,
            held=party in session.stood.held,
            apart=party in session.stood.apart,
            away=party in away(engine.notes),
        )
        for party in (*first, *sorted((there | coming) - set(first)))
    )


def name_for(target: str, given: str | None) -> Participant:
    """Return the name of a party to be added: as ``given``, else made of his number or endpoint.

    Raises BadArgumentError for what is no name.
    """
    made = f"party_{re.sub('[^a-z0-9]+', '_', target.rpartition('/')[2].lower())}"
    try:
        return participant(made[:_LONGEST] if given is None else given)
    except ValueError as error:
        raise BadArgumentError(str(error)) from None


def _endpoint(engine: CallEngine, party: Participant) -> str:
    if party == CALLER:
        return engine.incoming.channel_name.rpartition("-")[0]
    return engine.endpoint_of(party)
