"""Who has incoming calls: the machine of ``leases`` on the clock, with sockets and calls."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from typing import Final, Literal, Protocol

import msgspec

from bridge.api.auth.principal import Principal
from bridge.api.hub import EventHub, sees
from bridge.api.programs.facts import FactFinder
from bridge.api.programs.fates import connect, hang_up, leave, silence, tried, turn_away
from bridge.api.programs.leases import (
    Abandon,
    Activate,
    Effect,
    FallBack,
    Grant,
    Leases,
    Offer,
    ProgramId,
    Shown,
    Silence,
    StandBy,
    Terms,
    WhenGone,
    Withdraw,
)
from bridge.api.programs.owners import Noted, read
from bridge.api.programs.routes import Facts
from bridge.model.errors import CallbridgeError, NotFoundError
from bridge.model.states import CallState
from bridge.protocol import frames
from bridge.protocol.permissions import Role
from bridge.protocol.views import CallView, EventView
from bridge.runtime.tasks import Tasks
from bridge.sdk import ActiveCall, Client, events

_log = logging.getLogger(__name__)

LABEL: Final = "program"
"""Of a call: whose it is, for the next life of this daemon."""
TOGETHER_SECONDS: Final = 0.05
"""Calls that go on again within so long are told of together: each time all of them are."""
PAST: Final = 2_000
"""Calls that are over whose transfers and recordings are still told of."""
_LATER: Final = frozenset({events.RECORDING_ENDED, events.RECORDING_FAILED, events.TRANSFER_ENDED})
_TAKEN: Final = frozenset({events.CALL_ANSWERED, events.CALL_CONNECTED})
_NUMBERS: Final = itertools.count(1)


class Calls(Protocol):
    """Shows calls."""

    program_of: Callable[[str], str]

    def call(self, call_id: str) -> CallView | None:
        """Return a live call as it is now, or None."""
        ...


class Line(Protocol):
    """One program's socket. Writing never waits; who does not read is cut off.

    missed: of what was before it attached, however much: nobody can have read it.
    """

    def send(self, frame: frames.ServerFrame, *, missed: bool = False) -> None:
        """Send a frame."""

    def put(self, frame: bytes, *, missed: bool = False) -> None:
        """Send a whole WebSocket frame."""


class Programs:
    """Gives incoming calls to programs; to be made before the client connects.

    wait_seconds: how long a call rings while no program takes it. fallback: what then: ``hang_up``,
    or ``connect``, which rings whom the caller dialled and leaves the two alone, if ``may_dial``
    says yes to (whom, the call's tenant), or is not given. An agent whose program is lost is
    silent at once, and leaves when nobody has taken over within the lease.
    """

    def __init__(
        self,
        client: Client,
        views: Calls,
        hub: EventHub,
        *,
        wait_seconds: float = 20.0,
        fallback: Literal["hang_up", "connect"] = "hang_up",
        may_dial: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._client = client
        self._views = views
        self._hub = hub
        self._fallback = fallback
        self._may_dial = may_dial
        self._leases = Leases(wait_seconds=wait_seconds)
        self._lines: dict[int, Line] = {}
        self._after: dict[int, frames.Position | None] = {}
        """What each has seen before it attached."""
        self._past: OrderedDict[str, ProgramId] = OrderedDict()
        self._facts = FactFinder(views.call, self._leases.headers_for)
        self._changing: set[str] = set()
        self._told: dict[str, int] = {}
        """The revision of each call that its program has."""
        self._tasks = Tasks()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        """When that is done which need not be done at once."""
        self._closed = False
        views.program_of = self.program_of
        hub.listeners.append(self._happened)
        client.on(events.INCOMING_CALL, self._incoming)
        client.on(events.CALL_RESUMED, self._resumed)

    async def close(self) -> None:
        """Give nothing to anybody any more, and do nothing about programs that are lost."""
        self._closed = True
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        await self._tasks.end()

    # --- what others ask ------------------------------------------------------------------------

    def program_of(self, call_id: str) -> str:
        """Return the name of the program that has a call; empty for none."""
        owner = self._leases.owner(call_id)
        return "" if owner is None else owner.name

    def may_control(self, principal: Principal, call_id: str) -> bool:
        """Tell whether somebody may command a call: a program, only its own, and nobody's."""
        if principal.role is not Role.PROGRAM:
            return True
        owner = self._leases.owning_principal(call_id)
        return owner is None or owner.identity == principal.identity

    def who_is(self, principal: Principal, name: str) -> Principal:
        """Return who is the program of this name. Raises NotFoundError when nobody is.

        It is that of the same tenant, or, of who sees all tenants, whatever is called so.
        """
        holder = self._leases.holder(self._find(principal, name))
        if holder is None:
            raise self._unknown(principal, name)
        return self._leases.principal_of(holder)

    def assign(self, call: ActiveCall, principal: Principal, name: str) -> None:
        """Give a call that was originated to a program, as ``who_is`` finds it, which is told so.

        Raises NotFoundError when it is not there.
        """
        program = self._find(principal, name)
        if not self._leases.assign(call.call_id, program):
            raise self._unknown(principal, name)
        self._note(call, program)
        self._do()

    def shown(self, principal: Principal) -> tuple[Shown, ...]:
        """Return the programs that somebody may see."""
        return tuple(one for one in self._leases.programs if one.program.is_for(principal))

    # --- sockets --------------------------------------------------------------------------------

    def connected(self, line: Line) -> int:
        """Take a program's socket; return its number."""
        number = next(_NUMBERS)
        self._lines[number] = line
        return number

    def attach(self, number: int, name: str, principal: Principal, asked: frames.Attach) -> None:
        """Let a socket be a program, or stand by."""
        terms = Terms(
            asked.routes, asked.lease_seconds, asked.when_gone, asked.instance, asked.client
        )
        self._after[number] = asked.after
        self._leases.attach(number, name, principal, terms, self._now())
        self._do()
        if missing := self._leases.headers:
            for call_id in self._leases.waiting:
                if self._facts.lacks(call_id, missing):
                    self._spawn(call_id, self._learn, "is learnt of")

    def accept(self, number: int, call_id: str) -> None:
        """A socket takes a call that it was offered."""
        self._leases.accept(number, call_id, self._now())
        self._do()

    def hand_over(self, number: int) -> None:
        """A socket leaves its lease to the next one."""
        self._leases.hand_over(number, self._now())
        self._do()

    def lost(self, number: int) -> None:
        """A socket is gone."""
        self._lines.pop(number, None)
        self._after.pop(number, None)
        self._leases.lost(number, self._now())
        self._do()

    # --- calls ----------------------------------------------------------------------------------

    async def _incoming(self, call: ActiveCall) -> None:
        facts = await self._facts.of(call)
        if facts is None or call.state is not CallState.PENDING:
            return
        self._leases.incoming(call.call_id, facts, self._now())
        self._do()
        while facts is not None and not facts.tenant and self._leases.is_waiting(call.call_id):
            facts = await self._learn(call)

    async def _learn(self, call: ActiveCall) -> Facts | None:
        """Find out what is not known yet of a call that waits."""
        facts = await self._facts.of(call)
        if facts is not None:
            self._leases.learn(call.call_id, facts, self._now())
            self._do()
        return facts

    def take_up(self) -> None:
        """Note whose the calls are that an earlier daemon had, before anybody attaches."""
        for call in self._client.calls:
            self._restore(call)

    async def _resumed(self, call: ActiveCall) -> None:
        """A call of an earlier life of this daemon goes on."""
        if not self._restore(call) and not call.originated and call.parked_in is None:
            _log.info("call %s: no program had it, the agent leaves", call.call_id)
            await call.close(cut=True)

    def _restore(self, call: ActiveCall) -> bool:
        """Note whose a call is, once; tell whether it is a program's."""
        noted = read(call.labels.get(LABEL, ""))
        if noted is None:
            return False
        if self._leases.owner(call.call_id) is None:
            program = ProgramId(noted.name, noted.tenant, frozenset(noted.queues))
            principal = Principal(
                name=noted.by,
                role=Role.PROGRAM,
                tenant=noted.tenant,
                queues=program.queues,
                key_id=noted.key_id,
            )
            terms = Terms((), noted.lease_seconds, noted.when_gone)
            self._leases.restore(call.call_id, program, principal, terms, self._now())
            self._do_soon()
        return True

    def _happened(self, event: EventView) -> None:
        """Tell the program of a call what befalls it."""
        call_id = event.call_id
        if call_id is None:
            if event.type in {events.SERVER_LOST, events.SERVER_BACK}:
                for number in list(self._lines):
                    self._tell(number, event)
            return
        owner = self._leases.owner(call_id)
        if owner is None and event.type in _LATER:
            owner = self._past.get(call_id)
        holder = None if owner is None else self._leases.holder(owner)
        if holder is not None:
            self._tell(holder, event)
        if event.type == events.CALL_TERMINATED:
            self._over(call_id)
        elif event.type in _TAKEN and self._leases.is_waiting(call_id):
            # Somebody else has him: who waits for a program is nobody's call yet.
            self._over(call_id)

    def _over(self, call_id: str) -> None:
        self._facts.forget(call_id)
        self._told.pop(call_id, None)
        program = self._leases.over(call_id)
        if program is not None:
            self._remember(call_id, program)
        self._do()

    def _remember(self, call_id: str, program: ProgramId) -> None:
        """Note whose a call was that is nobody's any more."""
        self._past[call_id] = program
        while len(self._past) > PAST:
            self._past.popitem(last=False)

    def _tell(self, number: int, event: EventView, *, missed: bool = False) -> None:
        line = self._lines.get(number)
        if line is None or not self._leases.is_connected(number):
            return
        if sees(self._leases.principal_of(number), event):
            kept = self._hub.kept(event.seq)
            if kept is not None:
                line.put(kept.frame, missed=missed)
            if event.call is not None and self._leases.owner(event.call.call_id) is not None:
                self._told[event.call.call_id] = event.call.revision

    # --- what is to be done ---------------------------------------------------------------------

    def _do(self) -> None:
        """Carry out what the machine wants, and come back when time changes something."""
        if self._closed:
            return
        while effects := self._leases.take():
            for effect in effects:
                self._carry_out(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (at := self._leases.next_at()) is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._passed)

    def _do_soon(self) -> None:
        """Do so in a moment, once for all that comes until then."""
        if self._soon is None and not self._closed:
            self._soon = asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._do_now)

    def _do_now(self) -> None:
        self._soon = None
        self._do()

    def _passed(self) -> None:
        self._timer = None
        self._leases.passed(self._now())
        self._do()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Activate(number, calls):
                self._activate(number, calls)
            case StandBy(number):
                # What befalls its calls from now on is told to somebody else.
                self._after.pop(number, None)
                self._say(number, self._attached(active=False))
            case Offer(number, call_id):
                if (view := self._views.call(call_id)) is not None:
                    self._say(number, frames.Offer(call=view))
            case Grant(number, call_id, program):
                self._granted(number, call_id, program)
            case Withdraw(number, call_id):
                self._say(number, frames.Withdrawn(call_id=call_id))
            case Silence(call_id):
                self._spawn(call_id, silence, "is silent")
            case FallBack(call_id):
                self._facts.forget(call_id)
                _log.warning("call %s: no program takes it: %s", call_id, self._fallback)
                work = self._connect if self._fallback == "connect" else turn_away
                self._spawn(call_id, work, "falls back")
            case Abandon(call_id, when_gone, program):
                self._remember(call_id, program)
                self._abandon(call_id, when_gone)

    async def _connect(self, call: ActiveCall) -> None:
        """Ring whom the caller dialled; hang up when that may not be."""
        await connect(call, self._may_ring)

    async def _may_ring(self, call: ActiveCall) -> bool:
        """Tell whether whom the caller dialled may be rung."""
        if self._may_dial is None:
            return True
        view, target = self._views.call(call.call_id), await call.target()
        if self._may_dial(target, "" if view is None else view.tenant):
            return True
        _log.warning("call %s: %s may not be dialled for it", call.call_id, target)
        return False

    def _activate(self, number: int, calls: tuple[str, ...]) -> None:
        after = self._after.pop(number, None)
        resumes = after is not None and self._hub.can_resume(after)
        views = [view for one in calls if (view := self._views.call(one)) is not None]
        attached = self._attached(active=True, calls=tuple(views), resumed=resumes)
        self._say(number, attached, missed=True)
        if after is not None and resumes:
            for event in self._missed(number, after):
                self._tell(number, event, missed=True)
        for call_id in calls:
            if (call := self._client.get_call(call_id)) is not None:
                owner = self._leases.owner(call_id)
                if owner is not None:
                    self._note(call, owner)

    def _missed(self, number: int, after: frames.Position) -> Iterator[EventView]:
        """Return what befell the calls of a program since an event that it has seen."""
        for event in list(self._hub.since(after.seq)):
            owner = self._leases.owner(event.call_id or "") or self._past.get(event.call_id or "")
            if owner is not None and self._leases.holder(owner) == number:
                yield event

    def _attached(
        self, *, active: bool, calls: tuple[CallView, ...] = (), resumed: bool = False
    ) -> frames.Attached:
        return frames.Attached(
            active=active,
            sample_rate=self._client.sample_rate,
            calls=calls,
            resumed=resumed,
            at=self._hub.position,
        )

    def _granted(self, number: int, call_id: str, program: ProgramId) -> None:
        if (call := self._client.get_call(call_id)) is None:
            self._over(call_id)
            self._say(number, frames.Withdrawn(call_id=call_id))
            return
        self._note(call, program)
        if (view := self._views.call(call_id)) is not None:
            self._say(number, frames.Granted(call=view))

    def _abandon(self, call_id: str, when_gone: WhenGone) -> None:
        call = self._client.get_call(call_id)
        if call is None:
            return
        call.labels.pop(LABEL, None)
        if call.state is CallState.PENDING:
            # Nobody has spoken to him yet: somebody else may.
            self._tasks.spawn(self._incoming(call), f"call {call_id} is offered again")
            return
        _log.warning("call %s: its program is gone: %s", call_id, when_gone)
        self._spawn(call_id, hang_up if when_gone == "hang_up" else leave, when_gone)

    def _spawn(
        self, call_id: str, work: Callable[[ActiveCall], Coroutine[None, None, object]], what: str
    ) -> None:
        if (call := self._client.get_call(call_id)) is not None:
            self._tasks.spawn(tried(call, work), f"call {call_id} {what}")

    def _watch(self, call: ActiveCall) -> None:
        """Tell its program of every change of a call, once for all changes of one turn."""
        if self._changed not in call.watchers:
            call.watchers.append(self._changed)
            # Its program deals with who is back: of a call at which nobody listens he stays parked.
            call.on(events.PARKING_TIMED_OUT, _told_elsewhere)

    def _changed(self, call: ActiveCall) -> None:
        if call.call_id not in self._changing:
            self._changing.add(call.call_id)
            asyncio.get_running_loop().call_soon(self._show, call.call_id)

    def _show(self, call_id: str) -> None:
        self._changing.discard(call_id)
        owner = self._leases.owner(call_id)
        holder = None if owner is None else self._leases.holder(owner)
        view = None if holder is None else self._views.call(call_id)
        if holder is None or view is None or self._told.get(call_id, 0) >= view.revision:
            return
        self._told[call_id] = view.revision
        self._say(holder, frames.Changed(call=view))

    def _note(self, call: ActiveCall, program: ProgramId) -> None:
        """Note at a call whose it is: it outlives this daemon."""
        self._watch(call)
        principal = self._leases.owning_principal(call.call_id)
        shown = next((one for one in self._leases.programs if one.program == program), None)
        if principal is None or shown is None:
            return
        noted = Noted(
            name=program.name,
            tenant=program.tenant,
            queues=tuple(sorted(program.queues)),
            lease_seconds=shown.terms.lease_seconds,
            when_gone=shown.terms.when_gone,
            by=principal.name,
            key_id=principal.key_id,
        )
        try:
            call.labels[LABEL] = msgspec.json.encode(noted).decode()
        except CallbridgeError as error:
            _log.warning("call %s is not noted as %s's: %s", call.call_id, program.name, error)

    def _say(self, number: int, frame: frames.ServerFrame, *, missed: bool = False) -> None:
        if (line := self._lines.get(number)) is not None:
            line.send(frame, missed=missed)

    def _find(self, principal: Principal, name: str) -> ProgramId:
        own = ProgramId.of(name, principal)
        if self._leases.holder(own) is not None:
            return own
        for one in self.shown(principal):
            if one.connected and one.program.name == name:
                return one.program
        return own

    def _unknown(self, principal: Principal, name: str) -> NotFoundError:
        there = [one.program.name for one in self.shown(principal) if one.connected]
        known = ", ".join(there) or "none"
        return NotFoundError(f"no program {name!r} is connected; there are: {known}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _told_elsewhere() -> None:
    """Nothing is to be done here: the program hears of it by its socket."""
