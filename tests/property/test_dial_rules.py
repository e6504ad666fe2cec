"""Nothing is dialled that is not on the list, however it is written."""

from __future__ import annotations

import re
from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st

from bridge.api.auth.dialling import DialRule, DialRules, Reservation
from bridge.api.auth.principal import Principal
from bridge.model.errors import BadArgumentError, DialDeniedError
from bridge.protocol.permissions import Role

HARMLESS = re.compile(r"PJSIP/[A-Za-z0-9_.+-]+", re.ASCII)
BREAKING = set("&,;|\"'\\ \t\n\r(){}[]<>$^%?=!~`") | {chr(0), "é", "\uff11"}

pieces = st.sampled_from(
    [
        "PJSIP/",
        "pjsip/",
        "SIP/",
        "Local/",
        "DAHDI/g1/",
        "IAX2/",
        "1002",
        "0900123",
        "+49900",
        "trunk",
        "@",
        "@trunk",
        "@internal",
        "/",
        "/n",
        "&",
        "&PJSIP/0900@trunk",
        ",",
        "sip:",
        "sip:+4990@evil.example",
        ":5060",
        ";transport=tcp",
        "?X=1",
        "${EXTEN}",
        "%40",
        "\\",
        "'",
        '"',
        " ",
        "\n",
        "\x00",
        "*",
        "*21*",
        "#",
        "é",
        "\uff11\uff12",
        "-",
        ".",
    ]
)
adversarial = st.one_of(st.lists(pieces, min_size=1, max_size=6).map("".join), st.text())
SOMEBODY = Principal(name="x", role=Role.PROGRAM, tenant="acme")


def dialled(rules: DialRules, target: str) -> str | None:
    """Return what would be dialled, None if nothing."""
    try:
        with rules.check(target, SOMEBODY) as leg:
            return leg.endpoint
    except (DialDeniedError, BadArgumentError):
        return None


@given(adversarial)
@example("PJSIP/1002/sip:+4990@evil.example")
@example("PJSIP/0900@trunk")
@example("PJSIP/1002&PJSIP/0900@trunk")
@example("1002\n")
@example("*21*0900#")
def test_by_default_only_an_endpoint_of_the_pbx_is_dialled(target: str) -> None:
    rules = DialRules(DialRule(per_minute=None))
    found = dialled(rules, target)
    assert found is None or HARMLESS.fullmatch(found), found
    # What is dialled is what was asked for, and no second thing.
    assert found is None or found.casefold() in {target.casefold(), f"pjsip/{target}".casefold()}


@given(adversarial)
def test_nothing_that_ends_one_argument_is_ever_dialled(target: str) -> None:
    wide = ("*", "*/*", "*/*@*", "*/*/*", "*/*/*@*", "PJSIP/*/sip:*@*", "Local/*@*/*", "*/*:*")
    rules = DialRules(DialRule(allow=wide, per_minute=None))
    found = dialled(rules, target)
    assert found is None or not BREAKING & set(found), found
    assert found is None or found.isascii()


@given(adversarial, st.sampled_from(["PJSIP/*", "*", "*/*@trunk", "0900*", "*900*", "*@trunk"]))
def test_what_is_denied_stays_denied_whatever_is_allowed(target: str, denied: str) -> None:
    wide = ("*", "*/*", "*/*@*", "*/*/*", "*/*/*@*", "[*]*", "[*]*[*]*")
    everything = DialRules(DialRule(allow=wide, per_minute=None))
    without = DialRules(DialRule(allow=wide, deny=(denied,), per_minute=None))
    found = dialled(without, target)
    if found is not None:
        assert dialled(everything, target) == found
        needle = {
            "PJSIP/*": "pjsip/",
            "*": "",
            "*/*@trunk": "@trunk",
            "0900*": "/0900",
            "*900*": "900",
            "*@trunk": "",
        }[denied]
        if needle:
            assert needle not in found.casefold()


@given(st.text("0123456789", min_size=1, max_size=8), st.data())
def test_separators_hide_no_number(number: str, data: st.DataObject) -> None:
    rules = DialRules(DialRule(allow=("PJSIP/*@trunk",), deny=(f"0900{number}*",), per_minute=None))
    written = "".join(
        digit + data.draw(st.sampled_from(["", "-", ".", "--", ".-"])) for digit in f"0900{number}"
    )
    assert dialled(rules, f"PJSIP/{written}@trunk") is None


@given(st.text("123456789", min_size=1, max_size=8), st.sampled_from(["00", "011", "810"]))
def test_both_ways_to_write_a_country_are_denied(number: str, prefix: str) -> None:
    for denied in (f"+{number}*", f"{prefix}{number}*"):
        rules = DialRules(
            DialRule(allow=("PJSIP/*@trunk",), deny=(denied,), per_minute=None),
            international=prefix,
        )
        for written in (f"+{number}", f"{prefix}{number}", f"+{number}5"):
            assert dialled(rules, f"PJSIP/{written}@trunk") is None
        assert dialled(rules, "PJSIP/0711@trunk") == "PJSIP/0711@trunk"


steps = st.lists(
    st.tuples(
        st.sampled_from(["ring", "release", "die", "wait"]),
        st.integers(0, 5),
        st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)


@given(steps, st.integers(0, 3), st.integers(0, 3))
def test_no_more_legs_than_allowed_and_never_fewer(
    steps: list[tuple[str, int, str]], whole: int, of_key: int
) -> None:
    rules = DialRules(
        DialRule(concurrent=whole, concurrent_by_key=of_key, per_minute=None), clock=lambda: 0.0
    )
    live: list[tuple[str, Reservation, list[bool]]] = []
    for what, which, name in steps:
        if what == "ring":
            who = Principal(name=name, role=Role.PROGRAM, tenant="acme")
            free = len(live) < whole and sum(one == name for one, _, _ in live) < of_key
            try:
                leg = rules.check("1002", who)
            except DialDeniedError:
                assert not free
                continue
            assert free
            alive = [True]
            with leg:
                leg.keep_while(partial(alive.__getitem__, 0))
            live.append((name, leg, alive))
        elif live and what in {"release", "die"}:
            _, leg, alive = live.pop(which % len(live))
            if what == "release":
                leg.release()
                leg.release()
            else:
                alive[0] = False
        assert rules.live("acme") == len(live)
