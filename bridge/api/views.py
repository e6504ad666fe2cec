"""Every live call of the PBX, ours or not, as the API shows it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from bridge.api.archive import Archive
from bridge.api.attendance import ABSENT_SECONDS, Attendance
from bridge.api.auth.principal import Principal
from bridge.api.auth.tenancy import Tenancy
from bridge.api.belonging import NOT_CONNECTED, Belonging, Home, labels_of
from bridge.api.shown import observer_of, own_party_of, party_of, state_of, transfer_of
from bridge.directory import LiveCall
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    InvalidStateError,
    ServerError,
)
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits
from bridge.model.states import CallState, EndReason
from bridge.protocol.permissions import EVERY_TENANT, Permission, Role
from bridge.protocol.views import CallView, ObserverView, TransferView
from bridge.runtime.tasks import Tasks
from bridge.sdk import ActiveCall, Client, Observer, events
from bridge.sdk.events import ObserverNews
from bridge.sdk.transfer import Transfer

_log = logging.getLogger(__name__)

_PLACED_BY: Final = "observer."
"""With an observer's name, the label that says who placed him."""
_MICROSECONDS: Final = 1_000_000
_TRANSFERS: Final = 100
"""Of one call that are known by their ids."""
_WHOSE_SECONDS: Final = 1.0
"""How old a call is at most of which it is waited until it is known whose it is, and how long that
is waited for: somewhere another one always begins."""
_LOOK_SECONDS: Final = 0.02


class _Placed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who placed an observer on a phone, as it is noted with him."""

    by: str
    role: Role
    tenant: str
    queues: frozenset[str] = frozenset()


class _Known:
    """What is remembered of one call as long as it lives."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.home = Home()
        self.view: CallView | None = None
        """As it was shown last, without what changes all the time."""
        self.transfers: dict[str, Transfer] = {}


class Views:
    """Shows calls, observers and transfers by what they are called, and says whose they are.

    Made before the client connects, and before whatever else taps it. recordings: the folder that
    recordings go to. Where rules of ``tenancy`` are about SIP headers, a call is of no tenant until
    its headers were read. absent_seconds: how long an observer whom the API placed, and who is a
    program, stays while nobody has his audio open.
    """

    def __init__(
        self,
        client: Client,
        tenancy: Tenancy,
        *,
        recordings: Path,
        absent_seconds: float = ABSENT_SECONDS,
    ) -> None:
        self.archive = Archive(recordings)
        self.program_of: Callable[[str], str] = lambda _call_id: ""
        """Says which program has a call, by its id; empty for none."""
        self._client = client
        self._belonging = Belonging(client, tenancy, settled=self.call)
        self._known: dict[str, _Known] = {}
        self._by: dict[Observer, str] = {}
        self._seen: WeakKeyDictionary[Observer, ObserverView] = WeakKeyDictionary()
        """Observers as they were shown last."""
        self._revision = int(time.time() * _MICROSECONDS)
        """Of the view that was made last: greater than those of an earlier life of the daemon."""
        self._tasks = Tasks()
        self.attendance = Attendance(self._absent, seconds=absent_seconds)
        """Of observers who are programs."""
        client.tap(self._happened)
        client.on(events.OBSERVER_RESUMED, self._resumed)
        client.limits_of = self._limits_of

    async def close(self) -> None:
        """End what is under way."""
        self.attendance.close()
        await self._belonging.close()
        await self._tasks.end()

    # --- calls ----------------------------------------------------------------------------------

    def call(self, call_id: str) -> CallView | None:
        """Return a live call as it is now, or None."""
        active, live = self._client.get_call(call_id), self._live(call_id)
        call = active or live
        if call is None:
            if not self._lingers(call_id):
                self._known.pop(call_id, None)
            return None
        return self._shown(call, live)

    def last(self, call_id: str) -> CallView | None:
        """Return a call as it was shown last; None for one that is over and forgotten, too."""
        known = self._known.get(call_id)
        return None if known is None else known.view

    def calls(self) -> tuple[CallView, ...]:
        """Return all live calls as they are now, the eldest first."""
        try:
            known = self._client.known_calls
        except InvalidStateError:
            known = ()
        live = {call.call_id: call for call in known if not self._is_over(call)}
        own = {CallId(call.call_id): call for call in self._client.calls}
        for over in self._known.keys() - {call.call_id for call in known} - own.keys():
            del self._known[over]
        shown = (self._shown(call, live.get(call_id)) for call_id, call in (live | own).items())
        return tuple(sorted(shown, key=lambda view: (view.since, view.call_id)))

    async def settled(self, principal: Principal) -> None:
        """Return when calls are shown as they are now, and whose those are that have just begun.

        Not for long: what does not become known is not waited for.
        """
        with suppress(InvalidStateError, ServerError):
            await self._client.live_calls()
            until = time.monotonic() + _WHOSE_SECONDS
            while time.monotonic() < until:
                now = time.time()
                calls = () if principal.tenant == EVERY_TENANT else self.calls()
                if all(one.tenant or now - one.since > _WHOSE_SECONDS for one in calls):
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    # --- observers ------------------------------------------------------------------------------

    def placed(self, observer: Observer, by: str) -> None:
        """Note who placed an observer."""
        self._by = {one: who for one, who in self._by.items() if one.left is None}
        self._by[observer] = by
        if not observer.phone:
            self.attendance.expect(observer)
        labels = labels_of(self._client, observer.call_id)
        if labels is not None:
            with suppress(BadArgumentError):
                # There are so many labels already: after a restart it is not known.
                labels[_PLACED_BY + observer.name] = by

    def limits(self, principal: Principal) -> KeyLimits:
        """Return what the keys of somebody's phone may not do whom a principal lets observe.

        He is heard, and goes to calls, as far as the principal may.
        """
        placed = _Placed(principal.name, principal.role, principal.tenant, principal.queues)
        return KeyLimits(
            heard=principal.may(Permission.COACH),
            reaches=lambda call_id: self._is_seen(principal, call_id),
            note=msgspec.json.encode(placed, order="deterministic").decode(),
        )

    def placed_by(self, observer: Observer) -> str:
        """Return who placed an observer; empty when that is not known, or was nobody here."""
        return self._by.get(observer, "")

    def observer(self, call_id: str, name: str) -> Observer | None:
        """Return one who takes part in a call, or None."""
        return next((one for one in self._observers(call_id) if one.name == name), None)

    def observers(self, call_id: str) -> tuple[ObserverView, ...]:
        """Return who observes a call, by name."""
        return tuple(self.observer_view(one, call_id) for one in self._observers(call_id))

    def observer_view(self, observer: Observer, call_id: str) -> ObserverView:
        """Return an observer as he is now."""
        view = observer_of(observer, call_id, self._by.get(observer, ""))
        before = self._seen.get(observer)
        if before is None or view != msgspec.structs.replace(before, revision=0):
            self._revision += 1
            before = self._seen[observer] = msgspec.structs.replace(view, revision=self._revision)
        return before

    # --- transfers ------------------------------------------------------------------------------

    def transfer(self, call_id: str, transfer_id: str) -> Transfer | None:
        """Return a transfer of a live call, or None."""
        known = self._known.get(call_id)
        return None if known is None else known.transfers.get(transfer_id)

    def transfer_view(self, call_id: str, transfer: Transfer) -> TransferView:
        """Return a transfer as it is now; from now on it has an id."""
        known = self._known.setdefault(call_id, _Known(time.time()))
        for transfer_id, one in known.transfers.items():
            if one is transfer:
                return transfer_of(transfer, transfer_id, call_id)
        while len(known.transfers) >= _TRANSFERS:
            del known.transfers[next(iter(known.transfers))]
        transfer_id = secrets.token_hex(6)
        known.transfers[transfer_id] = transfer
        return transfer_of(transfer, transfer_id, call_id)

    # --- as far as there is a connection -------------------------------------------------------

    def _live(self, call_id: str) -> LiveCall | None:
        try:
            live = self._client.live_call(call_id)
        except InvalidStateError:
            # Nobody watches the PBX: not connected, or not any more.
            return None
        return None if live is None or self._is_over(live) else live

    def _is_over(self, live: LiveCall) -> bool:
        """Tell whether a call of ours has ended, though its channels' ends are not told yet.

        On their way out they are nobody's, each by itself.
        """
        known = self._known.get(live.call_id)
        was_own = known is not None and known.view is not None and known.view.own
        ends = live.own or (was_own and all(party.alone for party in live.parties))
        return ends and not self._client.looks_after(live.call_id)

    def _lingers(self, call_id: str) -> bool:
        with suppress(*NOT_CONNECTED):
            return self._client.live_call(call_id) is not None
        return False

    def _observers(self, call_id: str) -> tuple[Observer, ...]:
        with suppress(*NOT_CONNECTED):
            return self._client.observers(call_id)
        return ()

    # --- inside ---------------------------------------------------------------------------------

    def _shown(self, call: ActiveCall | LiveCall, live: LiveCall | None) -> CallView:
        """Show a call: one that an agent of ours is on, or else as it is known of the PBX."""
        call_id = call.call_id
        known = self._known.setdefault(call_id, _Known(time.time()))
        if live is not None:
            known.since = live.since
        tenant, queue = self._belonging.scope(call, live, known.home)
        if isinstance(call, LiveCall):
            view = self._foreign(call, known)
        else:
            for recording in call.recordings:
                self.archive.follow(recording, tenant, queue)
            view = self._own(call, live, known)
        recordings = self.archive.of_call(call_id)
        observers = self.observers(call_id)
        view = msgspec.structs.replace(
            view,
            tenant=tenant,
            queue=queue,
            program=self.program_of(call_id),
            observers=observers,
            recordings=tuple(msgspec.structs.replace(one, seconds=0.0) for one in recordings),
        )
        before = known.view
        if before is not None:
            view = msgspec.structs.replace(view, revision=before.revision)
        if view != before:
            # Of all calls together: one that is forgotten, and seen again, is newer even so.
            self._revision += 1
            view = msgspec.structs.replace(view, revision=self._revision)
        known.view = view
        return view if not recordings else msgspec.structs.replace(view, recordings=recordings)

    def _own(self, call: ActiveCall, live: LiveCall | None, known: _Known) -> CallView:
        shown = {str(party.role): party for party in live.parties} if live else {}
        transfer = call.last_transfer
        parked = self._parked_of(call)
        return CallView(
            call_id=call.call_id,
            tenant="",
            own=True,
            since=known.since,
            state=call.state,
            mode=call.mode,
            whispers_to=tuple(sorted(call.whispers_to)),
            caller_number=call.caller_number,
            caller_name=call.caller_name,
            caller_endpoint=call.caller_endpoint,
            callee_number=call.callee_number,
            originated=call.originated,
            parties=tuple(
                own_party_of(one, shown.get(one.name), parked=one.name == parked)
                for one in call.parties
            ),
            transfer=None if transfer is None else self.transfer_view(call.call_id, transfer),
            parked_in=call.parked_in,
            parked_until=call.parked_until,
            taken_over_by=call.taken_over_by,
            end_reason=call.end_reason,
        )

    def _parked_of(self, call: ActiveCall) -> str | None:
        """Return who of a call is parked."""
        if call.parked_in is None:
            return None
        with suppress(*NOT_CONNECTED):
            found = (p.party for p in self._client.parked if p.call_id == call.call_id)
            return next(found, None)
        return None

    def _foreign(self, live: LiveCall, known: _Known) -> CallView:
        """Show a call that no agent of ours is on: not ours at all, or left."""
        caller, callee, state = live.caller, live.callee, state_of(live)
        last = known.view if known.view is not None and known.view.own and live.own else None
        # To one that nobody has answered the agent is still to come.
        is_left = live.own and state is not CallState.PENDING
        return CallView(
            call_id=live.call_id,
            tenant="",
            own=live.own,
            since=known.since,
            state=state,
            caller_number=last.caller_number if last else caller.number if caller else "",
            caller_name=last.caller_name if last else caller.name if caller else "",
            originated=last.originated if last else False,
            callee_number=last.callee_number if last else callee.number if callee else "",
            parties=tuple(map(party_of, live.parties)),
            transfer=self._last_transfer(live.call_id, known),
            end_reason=EndReason.AGENT_LEFT if is_left else None,
        )

    def _last_transfer(self, call_id: str, known: _Known) -> TransferView | None:
        if not known.transfers:
            return None
        transfer_id, transfer = next(reversed(known.transfers.items()))
        return transfer_of(transfer, transfer_id, call_id)

    # --- what happens ---------------------------------------------------------------------------

    def _happened(self, event: str, *arguments: object) -> None:
        about = arguments[0] if arguments else None
        if event == events.OBSERVER_LEFT and isinstance(about, ObserverNews):
            self.attendance.forget_left()
            labels = labels_of(self._client, about.call_id) if about.call_id else None
            if labels is not None:
                labels.pop(_PLACED_BY + about.name, None)
        elif (
            event == events.LIVE_CALL_ENDED
            and isinstance(about, LiveCall)
            and self._client.get_call(about.call_id) is None
        ):
            self._known.pop(about.call_id, None)

    def _absent(self, observer: Observer) -> None:
        work = self._let_go(observer)
        self._tasks.spawn(work, f"{observer.name} leaves call {observer.call_id}")

    async def _let_go(self, observer: Observer) -> None:
        """Let an observer leave whose client has gone; what fails is tried again later."""
        try:
            seconds = f"{self.attendance.seconds:g} s"
            what = f"dismissed: nobody has had his audio open for {seconds}"
            self._client.audit.note(CallId(observer.call_id), observer.name, what, by="callbridge")
            await observer.leave(cut=True)
        except CallbridgeError as error:
            _log.warning("%s stays on call %s: %s", observer.name, observer.call_id, error)
            if observer.left is None:
                self.attendance.expect(observer)

    def _is_seen(self, principal: Principal, call_id: str) -> bool:
        view = self.call(call_id)
        return view is not None and principal.sees(view.tenant, view.queue)

    def _limits_of(self, note: str) -> KeyLimits:
        """Make limits again of what was noted in an earlier life of this daemon."""
        try:
            placed = msgspec.json.decode(note, type=_Placed)
        except msgspec.MsgspecError as error:
            _log.warning("what an observer may do is not understood: %s", error)
            return KeyLimits.strictest(note)
        return self.limits(Principal(placed.by, placed.role, placed.tenant, placed.queues))

    def _resumed(self, observer: Observer) -> None:
        """An observer of an earlier program is there again: who placed him is noted at his call."""
        labels = labels_of(self._client, observer.call_id)
        by = "" if labels is None else labels.get(_PLACED_BY + observer.name, "")
        self._by[observer] = by
