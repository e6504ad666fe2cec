"""The directory of all live calls: facts in, changes out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bridge.directory.allotment import Allotment, Entry
from bridge.directory.facts import ChannelFact, Fact
from bridge.directory.live import (
    CallBegan,
    CallEnded,
    Change,
    LiveCall,
    LiveParty,
    PartiesChanged,
)
from bridge.directory.standing import Standing, endpoint
from bridge.model.errors import AmbiguousCallError, CallNotFoundError
from bridge.model.ids import CallId
from bridge.model.participants import Participant

_REMEMBERED: Final = 1000
"""Ended calls whose place in the order is known, for who asks what comes after one of them."""
_LISTED: Final = 10
"""Calls that the message of an error names."""


class Directory:
    """All live calls, ours or not.

    A call is two or more people who hear one another, in one bridge or in several that Local
    channels join, from then on until the last of them is gone; a parked channel; and whatever was
    adopted. A call that is not ours has its id from its first caller's channel: whoever looks at
    the PBX later calls it the same, as long as he is on it. ``new_id`` gives fresh ids, of 12
    hexadecimal digits, to calls whose caller had another one before.

    Facts are to be about channels that can be a party's: the application's own snoops, media
    channels, anchors and private bridges are left out by whoever reports them.
    """

    def __init__(self, new_id: Callable[[], CallId]) -> None:
        self._new_id = new_id
        self._standing = Standing()
        self._entries: dict[CallId, Entry] = {}
        self._call_ids: defaultdict[str, set[CallId]] = defaultdict(set)
        """The calls that a channel has a role in, or is to have one, by its id."""
        self._calls: dict[CallId, LiveCall] = {}
        self._leaving: set[str] = set()
        """Channels that were a call's of ours, and are so no more: they are being hung up."""
        self._ended: dict[CallId, float] = {}

    # --- what comes in --------------------------------------------------------------------------

    def step(self, *facts: Fact) -> tuple[Change, ...]:
        """Take facts in, in their order, and return what is different after all of them.

        First the calls that have ended, then those that have changed, then the new ones.
        """
        touched: set[str] = set()
        for fact in facts:
            touched |= self._standing.apply(fact)
        self._leaving &= self._standing.channels.keys()
        return self._settle(touched) if touched else ()

    def adopt(
        self, call_id: CallId, parties: Mapping[Participant, str], *, at: float
    ) -> tuple[Change, ...]:
        """Note that a call is ours, and the ids of its parties' channels; they need not be known.

        Replaces what was noted of the call before: whoever is its party no more leaves, and begins
        no other call on his way out. at: seconds since 1970, when it began, unless they talk
        already: a call that is taken up has gone on meanwhile.
        """
        talks = self._standing.talks(parties.values())
        began = min((at, *(talk.since for talk in talks)))
        entry = self._entries.get(call_id, Entry(call_id, began))
        return self._replace(
            Entry(call_id, entry.since, entry.roles, own=True, fixed=dict(parties))
        )

    def release(self, call_id: CallId) -> tuple[Change, ...]:
        """Note that we look after a call no more. It goes on as long as anybody is there.

        Those of its parties who talked apart from the first of them begin no other call.
        """
        entry = self._entries.get(call_id)
        if entry is None or not entry.own:
            return ()
        return self._replace(Entry(call_id, entry.since, entry.roles))

    # --- what is there --------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[LiveCall, ...]:
        """All live calls, the eldest first."""
        return tuple(sorted(self._calls.values(), key=_order))

    def get(self, call_id: CallId) -> LiveCall | None:
        """Return a call by its id, None when it is over."""
        return self._calls.get(call_id)

    def call_of(self, channel_id: str) -> LiveCall | None:
        """Return the call that a channel is a party's of."""
        found = (self._calls.get(call_id) for call_id in self._call_ids.get(channel_id, ()))
        return next((c for c in found if c and channel_id in c.channels.values()), None)

    def bridge_of(self, channel_id: str) -> str | None:
        """Return the id of the bridge that a party's channel is in."""
        return self._standing.place.get(channel_id)

    def find(self, selector: str) -> LiveCall:
        """Return the one call that is meant.

        selector: a call's id, a channel's id or name, an endpoint (``PJSIP/1002``), an extension
        or number of somebody who takes part. Raises CallNotFoundError, AmbiguousCallError.
        """
        for meant in _MEANINGS:
            found = [call for call in self.calls if meant(call, selector)]
            if len(found) > 1:
                raise AmbiguousCallError(
                    f"{selector!r} is on {len(found)} calls: {_listed(found)}. Say which by the "
                    "call's id or a channel's"
                )
            if found:
                return found[0]
        if not self._calls:
            raise CallNotFoundError(f"no call for {selector!r}: there is no live call at all")
        raise CallNotFoundError(
            f"no live call for {selector!r}: give a call's id, an extension such as 1002 or "
            f"PJSIP/1002, or a channel of one of {_listed(self.calls)}"
        )

    def after(
        self, call_id: CallId | None, meant: Callable[[CallId], bool] | None = None
    ) -> LiveCall | None:
        """Return the next call in the order of age, the eldest after the youngest.

        For a call that has ended, its place in the order counts; for None and for ids that were
        never known, the eldest comes next. meant: says of an id whether that call counts, by
        default all do. None when there is no other call.
        """
        others = (call for call in self.calls if call.call_id != call_id)
        calls = [call for call in others if meant is None or meant(call.call_id)]
        if call_id is None or not calls:
            return calls[0] if calls else None
        known = self._calls.get(call_id)
        since = known.since if known else self._ended.get(call_id, float("-inf"))
        return next((c for c in calls if _order(c) > (since, call_id)), calls[0])

    # --- inside ---------------------------------------------------------------------------------

    def _replace(self, entry: Entry) -> tuple[Change, ...]:
        """Put another entry in the place of a call's, and look what comes of it."""
        before = self._entries.get(entry.call_id)
        touched = set(entry.channels) | set(before.channels if before else ())
        if before is not None:
            self._leaving.update(before.fixed.values())
        self._leaving.difference_update(entry.fixed.values())
        self._leaving &= self._standing.channels.keys()
        self._forget(entry.call_id)
        if entry.own or entry.channels:
            # Without either nobody would ever look at it again: it would be there for ever.
            self._note(entry)
        return self._settle(touched)

    def _settle(self, touched: Iterable[str]) -> tuple[Change, ...]:
        """Distribute the channels anew, as far as those that were touched may matter."""
        region, call_ids = self._region(touched)
        entries = [self._entries[call_id] for call_id in call_ids]
        allotment = Allotment(self._standing, entries, region, self._leaving)
        settled = allotment.run(self._id_of)
        talking = {end: talk.ends for end, talk in allotment.talk_of.items()}
        before = {i: call for i in call_ids if (call := self._calls.pop(i, None))}
        for call_id in call_ids:
            self._forget(call_id)
        for entry in settled.values():
            self._note(entry)
            if entry.roles:
                self._calls[entry.call_id] = self._shown(entry, talking)
        now = {i: self._calls[i] for i in settled if i in self._calls}
        return self._changes(before, now)

    def _region(self, touched: Iterable[str]) -> tuple[set[str], set[CallId]]:
        """Return all channels and calls that may be concerned when some channels are."""
        region: set[str] = set()
        call_ids: set[CallId] = set()
        waiting = set(touched)
        while waiting:
            channel_id = waiting.pop()
            region.add(channel_id)
            new_ids = self._call_ids.get(channel_id, set()) - call_ids
            call_ids |= new_ids
            waiting |= self._standing.near(channel_id) - region
            for call_id in new_ids:
                waiting |= set(self._entries[call_id].channels) - region
        return region, call_ids

    def _note(self, entry: Entry) -> None:
        self._entries[entry.call_id] = entry
        for channel_id in entry.channels:
            self._call_ids[channel_id].add(entry.call_id)

    def _id_of(self, caller: ChannelFact) -> CallId:
        """Return the id of a new call."""
        call_id = _call_id(caller)
        taken = call_id in self._entries or call_id in self._ended
        return self._new_id() if taken else call_id

    def _forget(self, call_id: CallId) -> None:
        entry = self._entries.pop(call_id, None)
        for channel_id in entry.channels if entry else ():
            self._call_ids[channel_id].discard(call_id)
            if not self._call_ids[channel_id]:
                del self._call_ids[channel_id]

    def _changes(
        self, before: Mapping[CallId, LiveCall], now: Mapping[CallId, LiveCall]
    ) -> tuple[Change, ...]:
        ended = [call for call in before.values() if call.call_id not in now]
        for call in ended:
            self._ended[call.call_id] = call.since
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        changed = [
            PartiesChanged(before[call_id], call)
            for call_id, call in now.items()
            if call_id in before and before[call_id] != call
        ]
        began = [CallBegan(call) for call_id, call in now.items() if call_id not in before]
        return (*(CallEnded(call) for call in ended), *changed, *began)

    def _shown(self, entry: Entry, talking: Mapping[str, frozenset[str]]) -> LiveCall:
        members, none = frozenset(entry.roles.values()), frozenset[str]()
        parties = tuple(
            self._party(role, channel_id, (talking.get(channel_id, none) & members) - {channel_id})
            for role, channel_id in entry.roles.items()
        )
        return LiveCall(entry.call_id, parties, entry.since, entry.own)

    def _party(self, role: Participant, channel_id: str, mates: frozenset[str]) -> LiveParty:
        standing = self._standing
        channel = standing.channels[channel_id]
        return LiveParty(
            role=role,
            channel_id=channel_id,
            channel_name=channel.name,
            endpoint=endpoint(channel),
            number=channel.number,
            name=channel.owner,
            up=channel.up,
            alone=not mates,
            parked=standing.parked(channel_id),
            holding=channel_id in standing.holding,
            on_hold=standing.on_hold(channel_id, mates),
        )


def _call_id(caller: ChannelFact) -> CallId:
    """Return an id by what Asterisk gives to one channel alone.

    Ids of channels are unique in one Asterisk, and several may have one store: with the time, in
    milliseconds, nobody else's is the same. A masquerade swaps the id alone (channel.c).
    """
    text = f"{caller.id} {caller.created:.3f}"
    return CallId(hashlib.blake2b(text.encode(), digest_size=6).hexdigest())


def _order(call: LiveCall) -> tuple[float, str]:
    return call.since, call.call_id


def _by_call(call: LiveCall, selector: str) -> bool:
    return call.call_id == selector


def _by_channel(call: LiveCall, selector: str) -> bool:
    return any(selector in {p.channel_id, p.channel_name} for p in call.parties)


def _by_endpoint(call: LiveCall, selector: str) -> bool:
    return bool(call.at(selector))


def _by_number(call: LiveCall, selector: str) -> bool:
    # Of who has no number it is empty, and nothing means him.
    return bool(selector) and any(selector == p.number for p in call.parties)


_MEANINGS: Final = (_by_call, _by_channel, _by_endpoint, _by_number)
"""What a selector may mean; the first that fits any call is meant."""


def _listed(calls: Iterable[LiveCall]) -> str:
    shown = [str(call) for call in calls]
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return "; ".join(shown[:_LISTED]) + more
