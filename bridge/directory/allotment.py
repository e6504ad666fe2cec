"""Who belongs to which call, and in which role, when what stands in Asterisk has changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.directory.facts import ChannelFact
from bridge.directory.standing import Standing, Talk, seniority
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant

_FIRST_ROLES: Final = (CALLER, CALLEE)
_FURTHER: Final = "party"


@dataclass(frozen=True, slots=True)
class Entry:
    """A call, and the channels of those who take part in it."""

    call_id: CallId
    since: float
    roles: Mapping[Participant, str] = field(default_factory=dict)
    own: bool = False
    fixed: Mapping[Participant, str] = field(default_factory=dict)
    """Of a call of our own: the channels whose roles we know rather than guess."""

    @property
    def channels(self) -> frozenset[str]:
        """Ids of all channels that the call has, or is to have."""
        return frozenset(self.roles.values()) | frozenset(self.fixed.values())


def role_order(role: Participant) -> tuple[int, int, str]:
    """Order roles: caller, callee, the further ones by their numbers, others by name."""
    if role in _FIRST_ROLES:
        return _FIRST_ROLES.index(role), 0, ""
    number = role.removeprefix(_FURTHER)
    return (2, int(number), "") if number.isdecimal() else (3, 0, role)


class Allotment:
    """One distribution of channels over calls; made for it, used once.

    entries: the calls that may be concerned. region: ids of all channels that may be: with every
    channel those near it, and with every call all of its channels. leaving: ids of channels that
    are being hung up, and so begin no call.
    """

    def __init__(
        self,
        standing: Standing,
        entries: Iterable[Entry],
        region: Collection[str],
        leaving: Collection[str] = frozenset(),
    ) -> None:
        self._standing = standing
        self._entries = sorted(entries, key=lambda e: (not e.own, e.since, e.call_id))
        self._region = region
        self._leaving = frozenset(leaving)
        self._talks = standing.talks(region)
        self._talk_of = {end: talk for talk in self._talks for end in talk.ends}
        self._reserved = {c: e.call_id for e in self._entries for c in e.fixed.values()}
        self._claimed: set[frozenset[str]] = set()
        self._taken: set[str] = set()

    @property
    def talk_of(self) -> Mapping[str, Talk]:
        """With whom each channel talks."""
        return self._talk_of

    def run(self, id_of: Callable[[ChannelFact], CallId]) -> dict[CallId, Entry]:
        """Return the calls that there are now. Calls that go on keep their ids and roles.

        id_of: gives the id of a new call, by its caller's channel.
        """
        found: dict[CallId, Entry] = {}
        for entry in self._entries:
            members = self._own_members(entry) if entry.own else self._members(entry)
            self._taken |= members
            if members or entry.own:
                roles = self._roles(entry.roles, entry.fixed, members)
                found[entry.call_id] = Entry(
                    entry.call_id, entry.since, roles, entry.own, entry.fixed
                )
        for ends, since in self._unclaimed():
            roles = self._roles({}, {}, ends)
            call_id = id_of(self._standing.channels[roles[CALLER]])
            found[call_id] = Entry(call_id, since, roles)
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _own_members(self, entry: Entry) -> set[str]:
        """Return the channels known to belong to the call, and whoever talks with them."""
        fixed = {c for c in entry.fixed.values() if c in self._standing.channels}
        members = set(fixed)
        for channel_id in fixed:
            talk = self._talk_of.get(channel_id)
            if talk is not None and talk.ends not in self._claimed:
                self._claimed.add(talk.ends)
                members |= self._free(talk.ends, entry.call_id)
        guests = (c for c in entry.roles.values() if c not in members)
        members |= self._waiting(guests, entry.call_id)
        return members

    def _members(self, entry: Entry) -> set[str]:
        """Return the channels of a call: those of one talk, or those that talk with nobody.

        The talk is that of the first in the order of roles who has one: when parties are split,
        the caller keeps the call. A call whose talk became another's is over.
        """
        free = self._free(entry.roles.values(), entry.call_id)
        ordered = [entry.roles[r] for r in sorted(entry.roles, key=role_order)]
        talks = [self._talk_of[c] for c in ordered if c in self._talk_of]
        talk = next((t for t in talks if t.ends not in self._claimed), None)
        if talk is not None:
            self._claimed.add(talk.ends)
            waiting = self._waiting(entry.roles.values(), entry.call_id)
            return self._free(talk.ends, entry.call_id) | waiting
        if talks:
            return set()
        return {c for c in free if self._standing.is_end(c)}

    def _waiting(self, channels: Iterable[str], call_id: CallId) -> set[str]:
        """Return those who wait in a bridge for the others, who talk elsewhere meanwhile.

        One who is in no bridge while the others talk has left them.
        """
        return {
            c
            for c in self._free(channels, call_id)
            if c not in self._talk_of and c in self._standing.place and self._standing.is_end(c)
        }

    def _free(self, channels: Iterable[str], call_id: CallId) -> set[str]:
        """Return those that are not known to be of another call."""
        return {c for c in channels if self._reserved.get(c, call_id) == call_id}

    def _unclaimed(self) -> list[tuple[set[str], float]]:
        """Return the channels that talk, or are parked, and belong to no call yet."""
        standing = self._standing
        talks = [
            (set(t.ends), t.since)
            for t in self._talks
            if t.ends not in self._claimed and len(t.ends - self._leaving) > 1
        ]
        parked = [
            ({c}, standing.channels[c].created)
            for c in self._region
            if c not in self._taken | self._leaving and standing.is_end(c) and standing.parked(c)
        ]
        return sorted(talks + parked, key=lambda found: (found[1], sorted(found[0])))

    def _roles(
        self,
        before: Mapping[Participant, str],
        fixed: Mapping[Participant, str],
        members: Collection[str],
    ) -> dict[Participant, str]:
        """Return the role of every member: his own, or the first that nobody has."""
        given = {role: c for role, c in fixed.items() if c in members}
        placed = set(given.values())
        kept = {
            role: c
            for role, c in before.items()
            if c in members and c not in placed and role not in fixed
        }
        roles = {**kept, **given}
        placed = set(roles.values())
        new = [self._standing.channels[c] for c in members if c not in placed]
        for channel in sorted(new, key=seniority):
            roles[_first_free(roles, fixed)] = channel.id
        for role in sorted(kept, key=role_order):
            # A third party becomes the caller or callee whose place has been left.
            better = _first_free(roles, fixed)
            if better in _FIRST_ROLES and role not in _FIRST_ROLES:
                roles[better] = roles.pop(role)
        return dict(sorted(roles.items(), key=lambda item: role_order(item[0])))


def _first_free(roles: Mapping[Participant, str], fixed: Mapping[Participant, str]) -> Participant:
    further = (Participant(f"{_FURTHER}{number}") for number in itertools.count(3))
    candidates = itertools.chain(_FIRST_ROLES, further)
    return next(role for role in candidates if role not in roles and role not in fixed)
