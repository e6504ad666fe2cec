"""What a receiver can be sure of."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys

import pytest

from bridge.webhooks import sign, verify

SECRET = "sixteen or more characters"
BODY = b'{"type":"CALL_CONNECTED"}'
NOW = 1_700_000_000.0


def test_a_signature_is_good_for_its_body_secret_and_time() -> None:
    header = sign(SECRET, BODY, at=NOW)
    assert verify(header, BODY, SECRET, now=NOW + 299)
    assert not verify(header, BODY + b" ", SECRET, now=NOW)
    assert not verify(header, BODY, SECRET + "x", now=NOW)
    assert not verify(header, BODY, SECRET, now=NOW + 301)
    assert not verify(header, BODY, SECRET, now=NOW - 301)


def test_it_is_what_the_documentation_says() -> None:
    digest = hmac.new(SECRET.encode(), b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, at=NOW + 0.9) == f"t=1700000000,v1={digest}"


def test_one_of_several_signatures_is_enough() -> None:
    time, _, good = sign(SECRET, BODY, at=NOW).partition(",")
    assert verify(f"{time},v1=00,{good},v2=x", BODY, SECRET, now=NOW)


@pytest.mark.parametrize(
    "header",
    ["", "t=1700000000", "v1=00", "t=,v1=", "t=x,v1=00", "t=1700000000,v1=é", "t=1,t=2,v1=00"],
)
def test_nonsense_is_no_signature(header: str) -> None:
    assert not verify(header, BODY, SECRET, now=NOW)


def test_another_time_is_not_given_to_an_old_signature() -> None:
    _, _, digest = sign(SECRET, BODY, at=NOW).partition(",")
    assert not verify(f"t={int(NOW) + 100},{digest}", BODY, SECRET, now=NOW + 100)


def test_a_receiver_needs_no_server() -> None:
    program = (
        "import sys; from bridge.webhooks import verify; "
        "sys.exit(bool({'aiohttp', 'sqlalchemy', 'bridge.store'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
