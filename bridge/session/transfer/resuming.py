"""What a look at the call tells of what was missed, and what has to be asked for anew. Pure."""

from __future__ import annotations

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT
from bridge.model.states import HangupCause
from bridge.session.transfer.effects import Drop, EndCall, Offer, Outcome, TransferEffect
from bridge.session.transfer.inputs import (
    LegAnswered,
    LegFailed,
    PartyJoined,
    PartyLeft,
    Resumed,
    TransferFact,
)
from bridge.session.transfer.state import Stage, Transfer


def missed(transfer: Transfer, event: Resumed) -> tuple[TransferFact, ...]:
    """Return the facts that lead from what was known to what is there, in their order."""
    there = event.parties
    mine = transfer.customers | transfer.humans | {transfer.by}
    gone = (transfer.customers | transfer.colleagues) - there
    facts: list[TransferFact] = [PartyLeft(party) for party in sorted(gone)]
    facts += [PartyJoined(party) for party in sorted(there - mine - transfer.colleagues)]
    if transfer.agent and not event.agent:
        facts.append(PartyLeft(AGENT))
    if transfer.by_there and transfer.by != AGENT and transfer.by not in there:
        facts.append(PartyLeft(transfer.by))
    if transfer.human is not None and transfer.human not in there:
        facts.append(PartyLeft(transfer.human))
    for attempt in transfer.attempts:
        party = attempt.party
        if party in there and not attempt.answered:
            facts.append(LegAnswered(party))
        elif party not in there | event.ringing:
            facts.append(
                LegFailed(
                    party, ErrorCode.CALL_FAILED, "the program was interrupted as it rang him"
                )
            )
    return tuple(facts)


def offered_anew(before: Transfer, now: Transfer, event: Resumed) -> tuple[TransferEffect, ...]:
    """Return what brings those on who were answered before, and lets strays go."""
    known = {attempt.party for attempt in before.attempts if attempt.answered}
    still = [attempt.party for attempt in now.attempts if attempt.party in known]
    return (*_strays(before, now, event), *map(Offer, still))


def left_over(transfer: Transfer, event: Resumed) -> tuple[TransferEffect, ...]:
    """Return what is still to be done for a transfer that is over."""
    if transfer.ends_call and event.parties:
        return (EndCall(),)
    return _strays(transfer, transfer, event)


def _strays(before: Transfer, now: Transfer, event: Resumed) -> tuple[TransferEffect, ...]:
    """Return what lets those go who were dropped before it was looked, and are there yet."""
    stays = now.stage is not Stage.OVER or now.outcome in {Outcome.COMPLETED, Outcome.CONFERENCED}
    meant = {attempt.party for attempt in (*before.attempts, *now.attempts)}
    meant |= {now.human} if stays and now.human else set()
    strays = sorted(((event.parties | event.ringing) & now.humans) - meant)
    return tuple(Drop(party, HangupCause.NORMAL) for party in strays)
