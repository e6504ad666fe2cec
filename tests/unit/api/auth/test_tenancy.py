from __future__ import annotations

import pytest

from bridge.api.auth.tenancy import Tenancy, TenantRule
from bridge.model.errors import ConfigurationError

RULES = (
    TenantRule(tenant="acme", queue="sales", dialled="4920[0-4]?"),
    TenantRule(tenant="acme", dialled="492*"),
    TenantRule(tenant="globex", caller="PJSIP/globex-*"),
    TenantRule(tenant="globex", queue="vip", header=("X-Queue", "vip*"), callee="PJSIP/2*"),
    TenantRule(tenant="initech", header=("X-Tenant", "initech")),
)


@pytest.mark.parametrize(
    ("dialled", "caller", "callee", "headers", "expected"),
    [
        ("492031", "", "", {}, ("acme", "sales")),
        ("492051", "", "", {}, ("acme", "")),
        ("4920311", "PJSIP/globex-1", "", {}, ("acme", "")),
        ("1", "PJSIP/globex-1", "", {}, ("globex", "")),
        ("1", "PJSIP/1", "PJSIP/2001", {"x-queue": "vip1"}, ("globex", "vip")),
        ("1", "PJSIP/1", "PJSIP/1001", {"x-queue": "vip1"}, ("default", "")),
        ("1", "PJSIP/1", "PJSIP/2001", {}, ("default", "")),
        ("1", "PJSIP/1", "PJSIP/2001", {"X-TENANT": "initech"}, ("initech", "")),
        ("1", "PJSIP/1", "PJSIP/2001", {"X-TENANT": "initech2"}, ("default", "")),
        ("", "", "", {}, ("default", "")),
    ],
)
def test_the_first_rule_that_matches_says_whose_it_is(
    dialled: str, caller: str, callee: str, headers: dict[str, str], expected: tuple[str, str]
) -> None:
    assert Tenancy(RULES).of(dialled, caller, callee, headers) == expected


def test_what_is_not_known_matches_nothing() -> None:
    tenancy = Tenancy([TenantRule(tenant="acme", dialled="*")], default="rest")
    assert tenancy.of("", "PJSIP/1", "PJSIP/2", None) == ("rest", "")
    assert tenancy.of("1", "", "", None) == ("acme", "")


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        (("", "", ""), True),
        (("", "PJSIP/1", ""), True),  # what was dialled may be acme's
        (("492031", "", ""), False),  # it is, whoever dialled it
        (("1", "", ""), True),  # the caller may be globex's
        (("1", "PJSIP/1", ""), False),  # whoever is called, if anybody is
        (("", "PJSIP/globex-1", ""), True),  # acme's rules come first
        (("", "PJSIP/globex-1", "PJSIP/2"), True),
    ],
)
def test_a_call_is_nobodys_until_it_is_known_who_dialled_what(
    facts: tuple[str, str, str], *, waits: bool
) -> None:
    assert Tenancy(RULES).waits(*facts) is waits
    assert not Tenancy().waits(*facts)


def test_it_waits_for_nobody_who_is_not_called() -> None:
    tenancy = Tenancy([TenantRule(tenant="acme", callee="PJSIP/2*")])
    assert not tenancy.waits("", "", "")
    both = Tenancy([TenantRule(tenant="acme", callee="PJSIP/2*", dialled="2*")])
    assert both.waits("", "", "PJSIP/21")
    assert not both.waits("", "", "PJSIP/31")


def test_it_says_which_headers_it_needs() -> None:
    assert Tenancy(RULES).headers == {"x-queue", "x-tenant"}
    assert Tenancy().headers == frozenset()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (TenantRule(tenant="acme", queue="sales"), "says nothing of its calls"),
        (TenantRule(tenant="", dialled="1"), "cannot be a tenant's name"),
        (TenantRule(tenant="*", dialled="1"), "cannot be a tenant's name"),
        (TenantRule(tenant="acme", dialled="1[0-"), "a bracket stands alone"),
        (TenantRule(tenant="acme", dialled="[!0]"), "not which not"),
        (TenantRule(tenant="acme", dialled="[9-0]"), "wrong way round"),
        (TenantRule(tenant="acme", dialled=""), "is no pattern"),
        (TenantRule(tenant="acme", caller="PJSIP/é"), "is no pattern"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: TenantRule, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Tenancy([rule])
