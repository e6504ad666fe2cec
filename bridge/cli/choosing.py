"""Which call is meant by what somebody typed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.model.errors import AmbiguousCallError, BadArgumentError, CallNotFoundError
from bridge.protocol.views import CallView, PartyView

LATEST: Final = "latest"


def chosen(calls: Sequence[CallView], text: str) -> CallView:
    """Return the call that is meant.

    text: ``latest``, a call id, somebody's extension, number or endpoint on it, or an unambiguous
    beginning of its id; the first of these that fits. Raises CallNotFoundError and
    AmbiguousCallError, which list what there is.
    """
    if text == LATEST:
        found = sorted(calls, key=lambda call: call.since)[-1:]
    else:
        exact = [call for call in calls if call.call_id == text]
        theirs = [call for call in calls if any(_is_his(party, text) for party in call.parties)]
        begun = [call for call in calls if text and call.call_id.startswith(text)]
        found = exact or theirs or begun
    if not found:
        there = f"there are: {_listed(calls)}" if calls else "there is no call at all"
        raise CallNotFoundError(f"no call is meant by {text!r}; {there}")
    if len(found) > 1:
        raise AmbiguousCallError(
            f"{text!r} may be one of {len(found)} calls; give more of the id: {_listed(found)}"
        )
    return found[0]


def _is_his(party: PartyView, text: str) -> bool:
    return bool(text) and (party.is_at(text) or text == party.number)


def party_of(call: CallView, text: str) -> str:
    """Return the name of the party that is meant, by his name, extension, number or endpoint.

    Raises BadArgumentError that says who there is.
    """
    found = [party.name for party in call.parties if party.name == text] or [
        party.name for party in call.parties if _is_his(party, text)
    ]
    if len(found) != 1:
        there = ", ".join(f"{party.name} ({party.endpoint})" for party in call.parties)
        verb = "may be several of" if found else "is none of"
        raise BadArgumentError(f"{text!r} {verb} those on the call: {there or 'nobody'}")
    return found[0]


def shown_party(party: PartyView) -> str:
    """Return a party for people: who, and what is special about him."""
    flags = {
        "ringing": not party.joined,
        "muted": party.muted,
        "held": (party.held or party.on_hold) and not party.parked,
        "away": party.away,
        "parked": party.parked,
    }
    who = party.endpoint.partition("/")[2] or party.number or party.endpoint
    marks = ",".join(name for name, on in flags.items() if on)
    return f"{who} ({marks})" if marks else who


def shown_call(call: CallView) -> str:
    """Return a call for people, on one line."""
    return f"{call.call_id} {' ↔ '.join(map(shown_party, call.parties))}".rstrip()


def _listed(calls: Sequence[CallView]) -> str:
    return "; ".join(map(shown_call, calls))
