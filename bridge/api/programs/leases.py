"""Who has which call: a pure machine. Time is an argument; what is to be done is taken by ``take``.

Of each program one connection at most holds the lease, and is offered calls; further ones stand by.
Every call that came in is, until it is over, either waiting, or some program's, or nobody's: what
is nobody's has been handed back once by ``FallBack`` or ``Abandon``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from bridge.api.auth.principal import Principal
from bridge.api.programs.routes import Facts, best, headers_of
from bridge.protocol.frames import Route

OFFER_SECONDS: Final = 5.0
"""How long a program may take to accept a call."""

WhenGone: TypeAlias = Literal["leave", "hang_up"]


@dataclass(frozen=True, slots=True)
class ProgramId:
    """A program: the same name under another tenant, or for other queues, is another program."""

    name: str
    tenant: str
    queues: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str]:
        """What programs are sorted by; no two have the same."""
        return self.name, self.tenant, "\0".join(sorted(self.queues))

    def is_for(self, principal: Principal) -> bool:
        """Tell whether it is somebody's business."""
        return principal.covers(self.tenant, self.queues)

    @classmethod
    def of(cls, name: str, principal: Principal) -> ProgramId:
        """Return the program of this name that somebody may be."""
        return cls(name, principal.tenant, principal.queues)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a connection is a program; see ``protocol.frames.Attach``."""

    routes: tuple[Route, ...] = (Route(),)
    lease_seconds: float = 10.0
    when_gone: WhenGone = "leave"
    instance: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class Activate:
    """This connection has the lease now, and these calls."""

    connection: int
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StandBy:
    """This connection waits to take over."""

    connection: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Ask this connection whether it takes a call."""

    connection: int
    call_id: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A call is not for this connection any more."""

    connection: int
    call_id: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A call is this connection's program's."""

    connection: int
    call_id: str
    program: ProgramId


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody speaks for the agent of this call any more."""

    call_id: str


@dataclass(frozen=True, slots=True)
class FallBack:
    """Nobody takes this call."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """The program of this call is gone for good, and nobody has taken over."""

    call_id: str
    when_gone: WhenGone
    program: ProgramId


Effect: TypeAlias = Activate | StandBy | Offer | Withdraw | Grant | Silence | FallBack | Abandon


@dataclass(slots=True)
class _Connection:
    program: ProgramId
    principal: Principal
    terms: Terms
    order: int


@dataclass(slots=True)
class _Program:
    terms: Terms
    """Of who has, or had, the lease."""
    principal: Principal
    holder: int | None = None
    standby: list[int] = field(default_factory=list)
    lease_until: float | None = None
    anyone: bool = False
    """Who had the lease has left it to whoever comes."""
    calls: dict[str, None] = field(default_factory=dict)
    """In the order in which they came."""


@dataclass(slots=True)
class _Waiting:
    facts: Facts
    until: float
    refused_by: set[int] = field(default_factory=set)
    offered_to: int | None = None
    offered_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A program, for people."""

    program: ProgramId
    connected: bool
    standby: int
    lease_until: float | None
    terms: Terms
    """Of who has, or had, the lease."""
    calls: tuple[str, ...]


class Leases:
    """All programs and all calls. wait_seconds: how long a call waits for a program."""

    def __init__(self, *, wait_seconds: float = 20.0) -> None:
        self._wait_seconds = wait_seconds
        self._connections: dict[int, _Connection] = {}
        self._programs: dict[ProgramId, _Program] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._owners: dict[str, ProgramId] = {}
        self._effects: list[Effect] = []
        self._order = 0

    # --- what is known --------------------------------------------------------------------------

    def take(self) -> list[Effect]:
        """Return what is to be done, in order, once."""
        effects, self._effects = self._effects, []
        return effects

    def owner(self, call_id: str) -> ProgramId | None:
        """Return the program that has a call."""
        return self._owners.get(call_id)

    def owning_principal(self, call_id: str) -> Principal | None:
        """Return who is, or was last, the program that has a call."""
        owner = self._owners.get(call_id)
        return None if owner is None else self._programs[owner].principal

    def holder(self, program: ProgramId) -> int | None:
        """Return the connection that has a program's lease."""
        known = self._programs.get(program)
        return None if known is None else known.holder

    def principal_of(self, connection: int) -> Principal:
        """Return who is at the other end."""
        return self._connections[connection].principal

    def is_connected(self, connection: int) -> bool:
        """Tell whether a connection is known."""
        return connection in self._connections

    def is_waiting(self, call_id: str) -> bool:
        """Tell whether a call waits for a program."""
        return call_id in self._waiting

    @property
    def waiting(self) -> tuple[str, ...]:
        """Calls that wait."""
        return tuple(self._waiting)

    @property
    def programs(self) -> tuple[Shown, ...]:
        """All programs, by name."""
        shown = (
            Shown(
                program,
                known.holder is not None,
                len(known.standby),
                known.lease_until if known.holder is None else None,
                known.terms,
                tuple(known.calls),
            )
            for program, known in self._programs.items()
        )
        return tuple(sorted(shown, key=lambda one: one.program.key))

    @property
    def headers(self) -> frozenset[str]:
        """SIP headers that routes of connected programs ask for."""
        return headers_of(route for one in self._connections.values() for route in one.terms.routes)

    def headers_for(self, tenant: str, queue: str) -> frozenset[str]:
        """SIP headers that those ask for who may get a call of a tenant and a queue."""
        there = (one for one in self._connections.values() if one.principal.sees(tenant, queue))
        return headers_of(route for one in there for route in one.terms.routes)

    def next_at(self) -> float | None:
        """Return when time itself changes something; None for never."""
        times = [
            known.lease_until
            for known in self._programs.values()
            if known.holder is None and known.lease_until is not None
        ]
        times += [
            call.until if call.offered_to is None else call.offered_until
            for call in self._waiting.values()
        ]
        return min(times, default=None)

    # --- connections ----------------------------------------------------------------------------

    def attach(
        self, connection: int, name: str, principal: Principal, terms: Terms, now: float
    ) -> None:
        """A connection wants to be a program; one that is already says its terms again."""
        known = self._connections.get(connection)
        is_back = False
        if known is None:
            self._order += 1
            known = _Connection(ProgramId.of(name, principal), principal, terms, self._order)
            is_back = bool(terms.client) and self._leaves_old(known)
            self._connections[connection] = known
        known.terms, known.principal = terms, principal
        there = self._programs.setdefault(known.program, _Program(terms, principal))
        may_have = (
            is_back or there.anyone or not there.calls or terms.instance == there.terms.instance
        )
        if there.holder == connection or (there.holder is None and may_have):
            self._hold(known.program, connection, now)
            return
        if connection not in there.standby:
            there.standby.append(connection)
        self._effects.append(StandBy(connection))

    def hand_over(self, connection: int, now: float) -> None:
        """A connection leaves the lease, and its calls, to whoever comes next."""
        known = self._connections.get(connection)
        there = None if known is None else self._programs.get(known.program)
        if known is None or there is None or there.holder != connection:
            return
        there.anyone = True
        self._let_go(known.program, connection, now)

    def lost(self, connection: int, now: float) -> None:
        """A connection is gone."""
        known = self._connections.pop(connection, None)
        if known is None:
            return
        if (there := self._programs.get(known.program)) is not None:
            if connection in there.standby:
                there.standby.remove(connection)
            if there.holder == connection:
                self._let_go(known.program, connection, now)
            self._forget(known.program)
        for call_id, waiting in list(self._waiting.items()):
            waiting.refused_by.discard(connection)
            if waiting.offered_to == connection:
                waiting.offered_to = None
                self._route(call_id, now)

    # --- calls ----------------------------------------------------------------------------------

    def incoming(self, call_id: str, facts: Facts, now: float) -> None:
        """A call has come, or is nobody's any more before it was answered."""
        if call_id in self._waiting or call_id in self._owners:
            return
        self._waiting[call_id] = _Waiting(facts, now + self._wait_seconds)
        self._route(call_id, now)

    def learn(self, call_id: str, facts: Facts, now: float) -> None:
        """More is known of a call that waits."""
        if (waiting := self._waiting.get(call_id)) is not None:
            waiting.facts = facts
            self._route(call_id, now)

    def accept(self, connection: int, call_id: str, now: float) -> None:
        """A connection takes a call that it was offered."""
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.offered_to != connection or now > waiting.offered_until:
            known = self._connections.get(connection)
            if known is not None and self._owners.get(call_id) != known.program:
                self._effects.append(Withdraw(connection, call_id))
            return
        del self._waiting[call_id]
        self._own(call_id, self._connections[connection].program)
        self._effects.append(Grant(connection, call_id, self._connections[connection].program))

    def assign(self, call_id: str, program: ProgramId) -> bool:
        """Give a call to a program that is connected; tell whether it is."""
        holder = self.holder(program)
        if holder is None:
            return False
        self._own(call_id, program)
        self._effects.append(Grant(holder, call_id, program))
        return True

    def restore(
        self, call_id: str, program: ProgramId, principal: Principal, terms: Terms, now: float
    ) -> None:
        """A call of an earlier life of this daemon goes on: its program has its lease to come."""
        there = self._programs.setdefault(program, _Program(terms, principal, anyone=True))
        self._own(call_id, program)
        if there.holder is not None:
            last = self._effects[-1] if self._effects else None
            if isinstance(last, Activate) and last.connection == there.holder:
                # It names all calls: of many that are restored at once it is told together.
                self._effects.pop()
            self._effects.append(Activate(there.holder, tuple(there.calls)))
        elif there.lease_until is None:
            there.lease_until = now + terms.lease_seconds

    def over(self, call_id: str) -> ProgramId | None:
        """A call is over, or the agent has left it; return whose it was."""
        waiting = self._waiting.pop(call_id, None)
        if waiting is not None and waiting.offered_to is not None:
            self._effects.append(Withdraw(waiting.offered_to, call_id))
        program = self._owners.pop(call_id, None)
        if program is not None:
            self._programs[program].calls.pop(call_id, None)
            self._forget(program)
        return program

    # --- time -----------------------------------------------------------------------------------

    def passed(self, now: float) -> None:
        """Time has passed."""
        for program, there in list(self._programs.items()):
            if there.holder is None and there.lease_until is not None and there.lease_until <= now:
                self._run_out(program, now)
        for call_id, waiting in list(self._waiting.items()):
            if waiting.offered_to is not None and waiting.offered_until <= now:
                self._effects.append(Withdraw(waiting.offered_to, call_id))
                waiting.refused_by.add(waiting.offered_to)
                waiting.offered_to = None
                self._route(call_id, now)
            if waiting.offered_to is None and waiting.until <= now:
                del self._waiting[call_id]
                self._effects.append(FallBack(call_id))

    # --- inside ---------------------------------------------------------------------------------

    def _leaves_old(self, new: _Connection) -> bool:
        """Forget the connections that the same client had; tell whether one of them had the lease.

        He goes on as if it had not broken: his agents are not silenced.
        """
        there = self._programs.get(new.program)
        old = [
            number
            for number, one in self._connections.items()
            if (one.program, one.terms.client) == (new.program, new.terms.client)
        ]
        had = False
        for number in old:
            del self._connections[number]
            if there is not None and number in there.standby:
                there.standby.remove(number)
            if there is not None and there.holder == number:
                there.holder, had = None, True
            for waiting in self._waiting.values():
                waiting.refused_by.discard(number)
                if waiting.offered_to == number:
                    waiting.offered_to = None
        return had

    def _hold(self, program: ProgramId, connection: int, now: float) -> None:
        there, known = self._programs[program], self._connections[connection]
        there.holder, there.lease_until, there.anyone = connection, None, False
        there.terms, there.principal = known.terms, known.principal
        if connection in there.standby:
            there.standby.remove(connection)
        self._effects.append(Activate(connection, tuple(there.calls)))
        for call_id in list(self._waiting):
            self._route(call_id, now)

    def _let_go(self, program: ProgramId, connection: int, now: float) -> None:
        """Nobody holds the lease of a program: those who may have it at once do."""
        there = self._programs[program]
        there.holder = None
        self._effects += [Silence(call_id) for call_id in there.calls]
        may_have = [
            one
            for one in there.standby
            if there.anyone
            or not there.calls
            or self._connections[one].terms.instance == there.terms.instance
        ]
        if may_have:
            self._hold(program, may_have[0], now)
        else:
            there.lease_until = now + there.terms.lease_seconds
        for call_id, waiting in list(self._waiting.items()):
            if waiting.offered_to == connection and connection in self._connections:
                self._effects.append(Withdraw(connection, call_id))
                waiting.offered_to = None
                self._route(call_id, now)

    def _run_out(self, program: ProgramId, now: float) -> None:
        there = self._programs[program]
        there.lease_until = None
        if there.standby:
            self._hold(program, there.standby[0], now)
            return
        calls, there.calls = tuple(there.calls), {}
        for call_id in calls:
            del self._owners[call_id]
            self._effects.append(Abandon(call_id, there.terms.when_gone, program))
        self._forget(program)

    def _own(self, call_id: str, program: ProgramId) -> None:
        if (before := self._owners.get(call_id)) is not None:
            self._programs[before].calls.pop(call_id, None)
        self._waiting.pop(call_id, None)
        self._owners[call_id] = program
        self._programs[program].calls[call_id] = None

    def _forget(self, program: ProgramId) -> None:
        """Forget a program that is nobody, and has nothing."""
        there = self._programs.get(program)
        if there is None or there.holder is not None or there.standby or there.calls:
            return
        del self._programs[program]

    def _route(self, call_id: str, now: float) -> None:
        """Offer a waiting call to whoever means it most specifically, and has not let it pass."""
        waiting = self._waiting[call_id]
        if waiting.offered_to is not None:
            return
        chosen = self._best(self._candidates(waiting), waiting.facts)
        if chosen is not None:
            waiting.offered_to, waiting.offered_until = chosen, now + OFFER_SECONDS
            self._effects.append(Offer(chosen, call_id))

    def _candidates(self, waiting: _Waiting) -> Iterable[int]:
        facts = waiting.facts
        for connection, known in self._connections.items():
            if (
                self.holder(known.program) == connection
                and connection not in waiting.refused_by
                and known.principal.sees(facts.tenant, facts.queue)
            ):
                yield connection

    def _best(self, connections: Iterable[int], facts: Facts) -> int | None:
        ranked = [
            (rank, -self._connections[one].order, one)
            for one in connections
            if (rank := best(self._connections[one].terms.routes, facts)) is not None
        ]
        return max(ranked, default=(None, 0, None))[2]
