"""Whom an observer meets on a call."""

from __future__ import annotations

from bridge.directory import LiveCall
from bridge.runtime.engine import CallEngine
from bridge.session.observer.inputs import Person
from bridge.session.state import Standing


def people_of(call: LiveCall, own: CallEngine | None) -> tuple[Person, ...]:
    """Return the parties who are on the line. own: the call, where it is one of ours."""
    standing = own.session.standing if own is not None else Standing()
    # Whoever was held is so to the end: of a call that is over nobody hears any more.
    over = own is not None and own.session.phase.is_over
    return tuple(
        Person(
            party.role,
            party.channel_id,
            held=over or party.role in standing.held,
            muted=party.role in standing.silenced,
            apart=party.role in standing.apart,
        )
        for party in call.parties
        if party.up
    )
