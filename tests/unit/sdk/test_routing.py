"""What is dialled for what was asked for, and what nobody can dial."""

from __future__ import annotations

import pytest

from bridge.model.errors import BadArgumentError
from bridge.sdk.routing import DEFAULT_ENDPOINT, endpoint_for


@pytest.mark.parametrize(
    ("target", "template", "dialled", "endpoint"),
    [
        ("1002", DEFAULT_ENDPOINT, "1002", "PJSIP/1002"),
        ("+49301234", "PJSIP/{number}@trunk", "+49301234", "PJSIP/+49301234@trunk"),
        ("PJSIP/1003", DEFAULT_ENDPOINT, "1002", "PJSIP/1003"),
        ("Local/7@queues", DEFAULT_ENDPOINT, "1002", "Local/7@queues"),
    ],
)
def test_numbers_and_endpoints_that_the_program_names(
    target: str, template: str, dialled: str, endpoint: str
) -> None:
    assert endpoint_for(target, template, dialled=dialled) == endpoint


@pytest.mark.parametrize(
    "dialled",
    [
        "Local/900123@internal",
        "Dongle/x/0049",
        "PJSIP/1003",
        "1002&PJSIP/900123",
        "1002,60",
        "10 02",
        "",
        "1" * 65,
    ],
)
def test_a_caller_cannot_dial_his_way_out(dialled: str) -> None:
    with pytest.raises(BadArgumentError):
        endpoint_for(dialled, DEFAULT_ENDPOINT, dialled=dialled)


@pytest.mark.parametrize("target", ["PJSIP/1002&PJSIP/900123", "PJSIP/", "/1002", "PJSIP/10 02"])
def test_what_the_program_names_must_be_one_endpoint(target: str) -> None:
    with pytest.raises(BadArgumentError):
        endpoint_for(target, DEFAULT_ENDPOINT, dialled="1002")
