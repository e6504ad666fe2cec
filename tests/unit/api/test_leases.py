"""What becomes of leases where the daemon knows less than the program does."""

from __future__ import annotations

from bridge.api.auth.principal import Principal
from bridge.api.programs.leases import Activate, Leases, Offer, ProgramId, StandBy, Terms
from bridge.api.programs.routes import Facts
from bridge.protocol.permissions import Role

WHO = Principal(name="key", role=Role.PROGRAM, tenant="here")
DESK = ProgramId.of("desk", WHO)


def leases() -> Leases:
    """Return leases of which one connection has one, with a call."""
    known = Leases()
    known.attach(1, "desk", WHO, Terms(instance="host", client="me"), 0.0)
    known.incoming("call1", Facts(tenant="here"), 0.0)
    known.accept(1, "call1", 0.0)
    known.take()
    return known


def test_who_attaches_again_goes_on_before_his_old_socket_is_known_to_be_lost() -> None:
    known = leases()
    known.attach(2, "desk", WHO, Terms(instance="host", client="me"), 1.0)
    assert known.take() == [Activate(2, ("call1",))], "and his agents are not silenced"
    known.lost(1, 40.0)
    assert (known.take(), known.holder(DESK), known.owner("call1")) == ([], 2, DESK)


def test_what_was_offered_to_the_old_socket_is_offered_to_the_new_one() -> None:
    known = leases()
    known.incoming("call2", Facts(tenant="here"), 1.0)
    assert known.take() == [Offer(1, "call2")]
    known.attach(2, "desk", WHO, Terms(instance="host", client="me"), 2.0)
    assert known.take() == [Activate(2, ("call1",)), Offer(2, "call2")]


def test_another_process_of_the_host_stands_by_as_long_as_the_first_is_there() -> None:
    known = leases()
    known.attach(2, "desk", WHO, Terms(instance="host", client="another"), 1.0)
    assert known.take() == [StandBy(2)]
    assert known.holder(DESK) == 1


def test_calls_that_are_restored_at_once_are_told_of_together() -> None:
    known = leases()
    for number in range(3):
        known.restore(f"old{number}", DESK, WHO, Terms(), 1.0)
    assert known.take() == [Activate(1, ("call1", "old0", "old1", "old2"))]
    known.restore("old3", DESK, WHO, Terms(), 1.0)
    known.incoming("call2", Facts(tenant="here"), 1.0)
    known.restore("old4", DESK, WHO, Terms(), 1.0)
    calls = ("call1", "old0", "old1", "old2", "old3")
    assert known.take() == [Activate(1, calls), Offer(1, "call2"), Activate(1, (*calls, "old4"))]
