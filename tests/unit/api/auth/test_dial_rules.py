from __future__ import annotations

import pytest

from bridge.api.auth.dialling import DialRule, DialRules
from bridge.api.auth.principal import Principal
from bridge.model.errors import BadArgumentError, ConfigurationError, DialDeniedError
from bridge.protocol.permissions import EVERY_TENANT, Role

ALICE = Principal(name="alice", role=Role.PROGRAM, tenant="acme", key_id="a")
BOB = Principal(name="bob", role=Role.PROGRAM, tenant="acme", key_id="b")
ADMIN = Principal(name="root", role=Role.ADMIN, tenant=EVERY_TENANT, key_id="r")


@pytest.mark.parametrize(
    ("target", "endpoint"),
    [
        ("1002", "PJSIP/1002"),
        ("PJSIP/1002", "PJSIP/1002"),
        ("pjsip/desk-2", "PJSIP/desk-2"),
        ("+49711", "PJSIP/+49711"),
        ("desk_2.b", "PJSIP/desk_2.b"),
    ],
)
def test_by_default_the_endpoints_of_the_pbx_may_be_dialled(target: str, endpoint: str) -> None:
    with DialRules().check(target, ALICE) as leg:
        assert leg.endpoint == endpoint


@pytest.mark.parametrize(
    "target",
    [
        "PJSIP/0900@trunk",
        "PJSIP/trunk/sip:0900@provider",
        "PJSIP/1002/sip:1002@10.0.0.5:5060",
        "Local/1002@internal",
        "LOCAL/1002@internal",
        "SIP/1002",
        "DAHDI/g1/0900",
        "IAX2/trunk/0900",
        "*21*0900#",
        "PJSIP/*72",
        "AudioSocket/10.0.0.1:9092/1",
        "Message/ast_msg_queue",
    ],
)
def test_by_default_nothing_else_may(target: str) -> None:
    rules = DialRules()
    with pytest.raises(DialDeniedError, match="not on the list"):
        rules.check(target, ALICE)
    assert not rules.allows(target, tenant="acme")
    assert rules.live("acme") == 0


@pytest.mark.parametrize(
    "target",
    [
        "PJSIP/1002&PJSIP/1003",
        "PJSIP/1002,30,tT",
        "PJSIP/1002;x=1",
        "PJSIP/1002 ",
        "PJSIP/${EXTEN}",
        "PJSIP/%31",
        "PJSIP/",
        "/1002",
        "",
        "1002\n",
        "10 02",
        "\uff11002",
        "PJSIP/" + "1" * 201,
        "1" * 65,
    ],
)
def test_what_is_no_endpoint_is_refused_whatever_is_allowed(target: str) -> None:
    rules = DialRules(DialRule(allow=("*", "*/*", "*/*@*", "*/*/*")))
    with pytest.raises(BadArgumentError):
        rules.check(target, ADMIN)
    assert not rules.allows(target, tenant="acme")


@pytest.mark.parametrize(
    ("allow", "target", "expected"),
    [
        ("PJSIP/+49*@trunk", "PJSIP/+49711@trunk", True),
        ("PJSIP/+49*@trunk", "PJSIP/+49711@other", False),
        ("PJSIP/+49*@trunk", "PJSIP/+48711@trunk", False),
        ("PJSIP/+49*@trunk", "PJSIP/+49711@trunk/x", False),
        ("PJSIP/+49*@trunk", "PJSIP/+49@evil@trunk", False),
        ("PJSIP/+49*@trunk", "PJSIP/+49*21@trunk", False),
        ("PJSIP/[*]21[*]*[#]@trunk", "PJSIP/*21*0711#@trunk", True),
        ("Local/1???@internal", "Local/1002@internal", True),
        ("local/1???@internal", "Local/1002@internal", True),
        ("Local/1???@internal", "Local/1002@internal/n", False),
        ("Local/1???@internal", "Local/10020@internal", False),
        ("PJSIP/100?@trunk", "PJSIP/100-@trunk", False),
        ("PJSIP/100?@trunk", "PJSIP/1002@trunk", True),
        ("PJSIP/1002", "PJSIP/1002", True),
        ("PJSIP/1002", "PJSIP/1003", False),
        ("PJSIP/desk", "PJSIP/DESK", False),
        ("1[0-4]??", "1299", True),
        ("1[0-4]??", "1599", False),
    ],
)
def test_an_allowed_pattern_means_what_it_says(allow: str, target: str, *, expected: bool) -> None:
    assert DialRules(DialRule(allow=(allow,))).allows(target, tenant="acme") is expected


@pytest.mark.parametrize(
    ("deny", "target"),
    [
        ("0900*", "PJSIP/0900123@trunk"),
        ("0900*", "PJSIP/0-900.123@trunk"),
        ("0900*", "PJSIP/trunk/sip:0900123@provider"),
        ("0900*", "PJSIP/0900123"),
        ("+881*", "PJSIP/00881123@trunk"),
        ("00881*", "PJSIP/+881123@trunk"),
        ("00881*", "PJSIP/+8-8-1123@trunk"),
        ("PJSIP/*@expensive", "PJSIP/1@expensive"),
        ("pjsip/*@EXPENSIVE", "PJSIP/1@expensive"),
        ("Local/*", "LOCAL/1002@internal/n"),
        ("PJSIP/trunk*", "PJSIP/trunk1"),
    ],
)
def test_what_is_denied_is_denied_in_every_way_of_writing_it(deny: str, target: str) -> None:
    allow = ("PJSIP/*", "PJSIP/*@*", "PJSIP/*/sip:*@*", "Local/*@*/n")
    assert DialRules(DialRule(allow=allow)).allows(target, tenant="acme")
    assert not DialRules(DialRule(allow=allow, deny=(deny,))).allows(target, tenant="acme")


def test_numbers_are_judged_by_what_they_become() -> None:
    by_trunk = DialRules(endpoint="PJSIP/{number}@trunk")
    with pytest.raises(DialDeniedError):
        by_trunk.check("0900", ALICE)
    allowed = DialRules(DialRule(allow=("07??",)), endpoint="PJSIP/{number}@trunk")
    with allowed.check("0711", ALICE) as leg:
        assert leg.endpoint == "PJSIP/0711@trunk"
    assert not allowed.allows("PJSIP/0711", tenant="acme")
    assert not allowed.allows("0900", tenant="acme")


def test_each_tenant_has_its_own_rule() -> None:
    rules = DialRules(tenants={"acme": DialRule(allow=("PJSIP/*@trunk",))})
    with rules.check("PJSIP/1@trunk", ALICE):
        pass
    with pytest.raises(DialDeniedError):
        rules.check("PJSIP/1@trunk", ADMIN)
    # Whoever may see every tenant dials by the rule of the one whose call it is.
    with rules.check("PJSIP/1@trunk", ADMIN, tenant="acme"):
        assert rules.live("acme") == 1


def test_a_leg_counts_until_it_is_over() -> None:
    rules = DialRules(DialRule(concurrent=1))
    alive = [True]
    with rules.check("1002", ALICE) as leg:
        leg.keep_while(lambda: alive[0])
    with pytest.raises(DialDeniedError, match="has 1 outbound legs"):
        rules.check("1003", BOB)
    alive[0] = False
    with rules.check("1003", BOB):
        assert rules.live("acme") == 1
    assert rules.live("acme") == 0


def test_a_leg_that_was_not_had_counts_no_longer() -> None:
    rules = DialRules(DialRule(concurrent=1))

    def ring() -> None:
        with rules.check("1002", ALICE) as leg:
            leg.keep_while(lambda: True)
            assert rules.live("acme") == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        ring()
    assert rules.live("acme") == 0


def test_each_key_has_a_limit_of_its_own() -> None:
    rules = DialRules(DialRule(concurrent=2, concurrent_by_key=1))
    rules.check("1002", ALICE)
    with pytest.raises(DialDeniedError, match="the key alice"):
        rules.check("1003", ALICE)
    rules.check("1003", BOB)
    with pytest.raises(DialDeniedError, match="the tenant acme"):
        rules.check("1004", ADMIN, tenant="acme")


def test_attempts_count_for_a_minute_had_or_not() -> None:
    now = [0.0]
    rules = DialRules(DialRule(per_minute=2, per_minute_by_key=2), clock=lambda: now[0])
    for _ in range(2):
        rules.check("1002", ALICE).release()
        now[0] += 20.0
    with pytest.raises(DialDeniedError, match="2 times within a minute"):
        rules.check("1002", ALICE)
    now[0] = 59.9
    with pytest.raises(DialDeniedError):
        rules.check("1002", ALICE)
    now[0] = 60.0
    rules.check("1002", ALICE).release()


def test_of_several_all_count_or_none() -> None:
    rules = DialRules(DialRule(concurrent=2))
    with pytest.raises(DialDeniedError):
        rules.check_all(["1002", "PJSIP/0900@trunk"], ALICE)
    with pytest.raises(DialDeniedError):
        rules.check_all(["1002", "1003", "1004"], ALICE)
    assert rules.live("acme") == 0
    had = {"PJSIP/1003"}
    with rules.check_all(["1002", "1003"], ALICE) as legs:
        assert legs.endpoints == ("PJSIP/1002", "PJSIP/1003")
        assert rules.live("acme") == 2
        legs.keep_while(lambda endpoint: endpoint in had)
    assert rules.live("acme") == 1
    had.clear()
    assert rules.live("acme") == 0


def test_who_dials_nothing_is_forgotten() -> None:
    rules = DialRules(clock=lambda: 0.0)
    for number in range(1500):
        who = Principal(name=str(number), role=Role.PROGRAM, tenant=f"t{number}")
        rules.check("1002", who).release()
    assert len(rules._by_key) <= 1500
    now = DialRules(
        DialRule(per_minute=None), clock=iter(float(x * 61) for x in range(9000)).__next__
    )
    for number in range(1500):
        who = Principal(name=str(number), role=Role.PROGRAM, tenant=f"t{number}")
        now.check("1002", who).release()
    assert len(now._by_key) <= 1001
    assert len(now._by_tenant) <= 1001


def test_limits_below_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="less than 0"):
        DialRule(concurrent=-1)
    with pytest.raises(ConfigurationError, match="bracket"):
        DialRules(DialRule(allow=("PJSIP/[",)))


def test_what_nobody_asked_for_counts_as_an_attempt() -> None:
    now = [0.0]
    rules = DialRules(DialRule(per_minute=2, deny=("1666",)), clock=lambda: now[0])

    def attempt(target: str, tenant: str = "acme") -> bool:
        return rules.attempt(target, tenant=tenant, by="phones")

    assert [attempt(one) for one in ("1002", "1666", "PJSIP/1@x", "1003", "1004")] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert attempt("1004", "other")
    assert rules.live("acme") == 0, "no leg counts that nobody tells the end of"
    now[0] = 61.0
    assert attempt("1004")
