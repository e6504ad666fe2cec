"""Programs and calls in any order: at most one has a call, and every call ends up somewhere."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.api.auth.principal import Principal
from bridge.api.programs.leases import (
    OFFER_SECONDS,
    Abandon,
    Activate,
    FallBack,
    Grant,
    Leases,
    Offer,
    ProgramId,
    Silence,
    StandBy,
    Terms,
    Withdraw,
)
from bridge.api.programs.routes import Facts
from bridge.protocol.frames import Route
from bridge.protocol.permissions import Role

WAIT = 20.0
TENANTS = ("here", "there")
NUMBERS = ("100", "101", "200")
PATTERNS = ("100", "10*", "*", None)


def principal(tenant: str) -> Principal:
    """Return a program's key."""
    return Principal(name=f"key-{tenant}", role=Role.PROGRAM, tenant=tenant)


@dataclass
class Known:
    """What a test knows of one connection."""

    program: ProgramId
    client: str = ""
    active: bool = False
    offers: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """Anything that can happen to the leases."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases(wait_seconds=WAIT)
        self.now = 0.0
        self.serial = 0
        self.lines: dict[int, Known] = {}
        self.live: dict[str, Facts] = {}
        self.owned: dict[str, ProgramId] = {}
        self.nobodys: set[str] = set()
        self.silent: set[str] = set()

    # --- what happens ---------------------------------------------------------------------------

    @rule(
        tenant=st.sampled_from(TENANTS),
        name=st.sampled_from("ab"),
        pattern=st.sampled_from(PATTERNS),
        lease=st.sampled_from([1.0, 10.0]),
        gone=st.sampled_from(["leave", "hang_up"]),
        instance=st.sampled_from("xy"),
        client=st.sampled_from(["", "p", "q"]),
    )
    def comes(
        self,
        *,
        tenant: str,
        name: str,
        pattern: str | None,
        lease: float,
        gone: str,
        instance: str,
        client: str,
    ) -> None:
        self.serial += 1
        who = principal(tenant)
        program = ProgramId.of(name, who)
        old = [n for n, one in self.lines.items() if (one.program, one.client) == (program, client)]
        for number in old if client else ():
            del self.lines[number]
        self.lines[self.serial] = Known(program, client)
        terms = Terms(
            (Route(dialled=pattern),),
            lease,
            "leave" if gone == "leave" else "hang_up",
            instance,
            client,
        )
        self.leases.attach(self.serial, name, who, terms, self.now)
        self._take()

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lines)))
        program = self.lines[number].program
        self.lines[number].client = ""
        self.leases.attach(number, program.name, principal(program.tenant), Terms(), self.now)
        self._take()

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lines)))
        del self.lines[number]
        self.leases.lost(number, self.now)
        self._take()

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lines)))
        self.lines[number].active = False
        self.leases.hand_over(number, self.now)
        self._take()

    @rule(tenant=st.sampled_from(TENANTS), dialled=st.sampled_from(NUMBERS))
    def incoming(self, tenant: str, dialled: str) -> None:
        self.serial += 1
        call_id = f"call{self.serial}"
        self.live[call_id] = Facts(tenant=tenant, dialled=dialled)
        self.leases.incoming(call_id, self.live[call_id], self.now)
        self._take()

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def rung(self, data: st.DataObject) -> None:
        program = self.lines[data.draw(st.sampled_from(sorted(self.lines)))].program
        self.serial += 1
        call_id = f"call{self.serial}"
        if self.leases.assign(call_id, program):
            self.live[call_id] = Facts(tenant=program.tenant)
            self._take()
            assert self.owned[call_id] == program, "it is told so"
        else:
            assert self.leases.holder(program) is None

    @precondition(lambda self: self.live and self.lines)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lines)))
        call_id = data.draw(st.sampled_from(sorted(self.live)))
        self.leases.accept(number, call_id, self.now)
        self._take()

    @precondition(lambda self: any(line.offers for line in self.lines.values()))
    @rule(data=st.data())
    def accept_what_is_offered(self, data: st.DataObject) -> None:
        offered = sorted((n, c) for n, line in self.lines.items() for c in line.offers)
        number, call_id = data.draw(st.sampled_from(offered))
        self.leases.accept(number, call_id, self.now)
        self._take()
        assert self.owned[call_id] == self.lines[number].program

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def over(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.live)))
        del self.live[call_id]
        self.leases.over(call_id)
        self.owned.pop(call_id, None)
        self.nobodys.discard(call_id)
        self._take()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 10.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.leases.next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            self.leases.passed(self.now)
            self._take()
        self.now = end

    # --- what is done about it ------------------------------------------------------------------

    def _take(self) -> None:
        for effect in self.leases.take():
            match effect:
                case Activate() | StandBy() | Offer() | Withdraw():
                    self._told(effect)
                case Grant(number, call_id, program):
                    assert call_id not in self.owned
                    assert self.lines[number].active
                    self.lines[number].offers.discard(call_id)
                    self.owned[call_id] = program
                case Silence(call_id):
                    assert call_id in self.owned
                case FallBack(call_id):
                    assert call_id not in self.owned
                    self._nobodys(call_id)
                case Abandon(call_id, _):
                    del self.owned[call_id]
                    self._nobodys(call_id)

    def _told(self, effect: Activate | StandBy | Offer | Withdraw) -> None:
        match effect:
            case Activate(number, calls):
                line = self.lines[number]
                line.active = True
                for call_id in calls:
                    assert self.owned[call_id] == line.program
            case StandBy(number):
                assert not self.lines[number].active
            case Offer(number, call_id):
                self._offered(number, call_id)
            case Withdraw(number, call_id):
                if number in self.lines:
                    self.lines[number].offers.discard(call_id)

    def _offered(self, number: int, call_id: str) -> None:
        line = self.lines[number]
        assert line.active
        assert call_id not in self.owned
        assert line.program.tenant == self.live[call_id].tenant, "somebody else's call"
        assert not any(call_id in one.offers for one in self.lines.values()), "offered to two"
        line.offers.add(call_id)

    def _nobodys(self, call_id: str) -> None:
        assert call_id in self.live
        assert call_id not in self.nobodys, "handed back twice"
        self.nobodys.add(call_id)

    # --- what holds -----------------------------------------------------------------------------

    @invariant()
    def at_most_one_has_a_lease(self) -> None:
        holders: defaultdict[ProgramId, list[int]] = defaultdict(list)
        for number, line in self.lines.items():
            if line.active:
                holders[line.program].append(number)
        for program, numbers in holders.items():
            assert numbers == [self.leases.holder(program)]
        for shown in self.leases.programs:
            assert shown.connected == (shown.program in holders)

    @invariant()
    def no_call_is_lost(self) -> None:
        for call_id in self.live:
            places = (
                self.leases.is_waiting(call_id),
                call_id in self.owned,
                call_id in self.nobodys,
            )
            assert sum(places) == 1, (call_id, places)
            assert self.leases.owner(call_id) == self.owned.get(call_id)

    @invariant()
    def what_nobody_holds_ends(self) -> None:
        at = self.leases.next_at()
        held = {line.program for line in self.lines.values() if line.active}
        if self.leases.waiting or set(self.owned.values()) - held:
            assert at is not None
            assert at <= self.now + max(WAIT, OFFER_SECONDS)

    def teardown(self) -> None:
        for number in list(self.lines):
            del self.lines[number]
            self.leases.lost(number, self.now)
            self._take()
        self.time_passes(100.0)
        assert not self.owned
        assert set(self.live) == self.nobodys
        assert self.leases.next_at() is None


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLeases = Machine.TestCase
