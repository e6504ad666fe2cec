"""The live calls of the PBX as others see them, and what may change about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.model.endpoints import is_at
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant


@dataclass(frozen=True, slots=True)
class LiveParty:
    """One who takes part in a call, and the channel that is his now."""

    role: Participant
    """``caller`` dialled, ``callee`` was dialled; further ones are ``party3``, ``party4``, …"""
    channel_id: str
    channel_name: str
    """Such as ``PJSIP/1002-00000003``."""
    endpoint: str
    """The channel's name without its serial number: ``PJSIP/1002``."""
    number: str
    """His number (caller id); empty when Asterisk knows none."""
    name: str
    """His name (caller id); empty when Asterisk knows none."""
    up: bool
    """Answered. Only a party of a call of our own may be not up yet."""
    alone: bool
    """No other party of the call hears him now: he waits, is parked, or is being transferred."""
    parked: bool
    holding: bool
    """His phone has put the others on hold (re-INVITE)."""
    on_hold: bool
    """Another party's phone has put him on hold, or he is parked."""

    def is_at(self, selector: str) -> bool:
        """Tell whether an endpoint (``PJSIP/1002``) or an extension (``1002``) is his."""
        return is_at(self.endpoint, selector)

    def is_meant_by(self, selector: str) -> bool:
        """Tell whether an endpoint, an extension, a number or a channel is his.

        An empty text means nobody, although the number of who has none is empty.
        """
        others = {self.number, self.channel_id, self.channel_name}
        return bool(selector) and (self.is_at(selector) or selector in others)


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that is going on."""

    call_id: CallId
    parties: tuple[LiveParty, ...]
    """At least one; caller, callee, party3, …"""
    since: float
    """Seconds since 1970 by Asterisk's clock: when they began to talk, as far as is known."""
    own: bool
    """Placed or taken by this application."""

    def party(self, role: Participant) -> LiveParty | None:
        """Return who has ``role``, None when nobody has."""
        return next((party for party in self.parties if party.role == role), None)

    @property
    def caller(self) -> LiveParty | None:
        """The one who dialled."""
        return self.party(CALLER)

    @property
    def callee(self) -> LiveParty | None:
        """The one who was dialled."""
        return self.party(CALLEE)

    def meant_by(self, selector: str) -> tuple[Participant, ...]:
        """Return the roles of those whom an endpoint, extension, number or channel means."""
        return tuple(party.role for party in self.parties if party.is_meant_by(selector))

    def at(self, selector: str) -> tuple[Participant, ...]:
        """Return the roles of those who are at an endpoint or extension."""
        return tuple(party.role for party in self.parties if party.is_at(selector))

    @property
    def channels(self) -> dict[Participant, str]:
        """Ids of the parties' channels."""
        return {party.role: party.channel_id for party in self.parties}

    def __str__(self) -> str:
        """For people: the id, and who takes part."""
        return f"{self.call_id} ({', '.join(_shown(party) for party in self.parties)})"


@dataclass(frozen=True, slots=True)
class CallBegan:
    """A call that was not there is there."""

    call: LiveCall


@dataclass(frozen=True, slots=True)
class PartiesChanged:
    """Somebody came, went, or is on another channel now; or something about a party changed."""

    before: LiveCall
    call: LiveCall


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over, or has become part of another."""

    call: LiveCall
    """As it was last."""


Change: TypeAlias = CallBegan | PartiesChanged | CallEnded


def _shown(party: LiveParty) -> str:
    number = f" {party.number}" if party.number and party.number not in party.endpoint else ""
    return f"{party.role} {party.endpoint}{number}"
