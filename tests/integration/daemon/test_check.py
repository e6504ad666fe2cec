"""``callbridge check`` on an Asterisk that is well, and on one that is broken in many ways."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from bridge.daemon.check import Finding, Verdict, run_checks
from bridge.daemon.config import Configuration, parse
from bridge.sdk import Client, events
from bridge.sdk.call import ActiveCall
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk
EXTENSION = "100@phones"


def configured(pbx: Pbx, folder: Path, more: str = "", **asterisk: str) -> Configuration:
    ari = pbx.instance.info.ari
    given = {"url": ari.url, "username": ari.username, "password": ari.password, **asterisk}
    lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    text = "\n".join(
        ["[asterisk]", *lines, "[server]", "port = 0", f'state_folder = "{folder}"', more]
    )
    return parse(text, "callbridge.toml", {})


async def found(configuration: Configuration, extension: str | None = EXTENSION) -> list[Finding]:
    return [finding async for finding in run_checks(configuration, extension=extension)]


def of(findings: list[Finding], part: str) -> Finding:
    """Return the worst finding of a part."""
    order = list(Verdict)
    return max(
        (one for one in findings if one.part == part), key=lambda one: order.index(one.verdict)
    )


def assert_all_say_what_to_do(findings: list[Finding]) -> None:
    for finding in findings:
        assert (finding.change == "") == (finding.verdict is Verdict.OK), finding


async def test_all_is_well(pbx: Pbx, tmp_path: Path) -> None:
    # Any free port is configured: whoever else has the usual one changes nothing.
    findings = await found(configured(pbx, tmp_path))
    assert_all_say_what_to_do(findings)
    said = {one.part: one.verdict for one in findings}
    for part in (
        "ari",
        "modules",
        "capabilities",
        "clock",
        "application",
        "media",
        "observers",
        "music",
        "dialplan",
        "hangup handlers",
        "state",
        "store",
        "recordings",
        "tls",
        "dial rules",
        "address",
    ):
        assert said[part] is Verdict.OK, of(findings, part)
    # No phone is registered, and nothing speaks here unless it is installed.
    assert said["endpoints"] is Verdict.WARN
    assert "10, none of them registered" in of(findings, "endpoints").said


async def test_a_running_program_is_offered_no_call_and_keeps_its_application(
    pbx: Pbx, tmp_path: Path
) -> None:
    ari = pbx.instance.info.ari
    came: list[ActiveCall] = []
    async with Client(ari.url, ari.username, ari.password, probe=False) as client:
        client.on(events.INCOMING_CALL, came.append)
        findings = await found(configured(pbx, tmp_path))
        assert of(findings, "dialplan").verdict is Verdict.OK
        assert "a daemon is running" in of(findings, "application").said
        assert client.calls == ()
        assert client.capabilities.version
    assert came == []


async def test_the_dialplan_leads_elsewhere(pbx: Pbx, tmp_path: Path) -> None:
    other = configured(pbx, tmp_path, application="elsewhere")
    assert "handed to callbridge, not to elsewhere" in of(await found(other), "dialplan").said
    configuration = configured(pbx, tmp_path)
    for extension, said in {
        "98@nowhere": "there is no extension 98 in [nowhere]",
        "fetched@callbridge-fetch": "callbridge",
        "s@callbridge-release": "is hung up without being handed over",
    }.items():
        finding = of(await found(configuration, extension), "dialplan")
        assert said in finding.said
        if extension.startswith("fetched"):
            assert finding.verdict is Verdict.OK
        else:
            assert finding.verdict is Verdict.FAIL
            assert f"Stasis({configuration.asterisk.application})" in finding.change
    assert of(await found(configuration, None), "dialplan").verdict is Verdict.WARN


async def test_what_the_configuration_names_is_not_there(pbx: Pbx, tmp_path: Path) -> None:
    more = '[supervisors]\nendpoints = ["1001", "4711"]\n[dialling]\nallow = ["PJSIP/*@trunk"]\n'
    findings = await found(configured(pbx, tmp_path, more, music="jazz"))
    assert "no class jazz" in of(findings, "music").said
    assert any("there is no PJSIP/4711" in one.said for one in findings)
    assert not any("PJSIP/1001" in one.said for one in findings)
    assert "PJSIP/+881612345678@trunk" in of(findings, "dial rules").said


async def test_the_password_is_wrong(pbx: Pbx, tmp_path: Path) -> None:
    findings = await found(configured(pbx, tmp_path, password="wrong"))
    first = findings[0]
    assert (first.part, first.verdict) == ("ari", Verdict.FAIL)
    assert "ari.conf" in first.change
    assert "wrong" not in first.said
    # What does not need Asterisk is tested all the same.
    assert of(findings, "store").verdict is Verdict.OK


async def test_nobody_is_there(pbx: Pbx, tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/ari"
        findings = await found(configured(pbx, tmp_path, url=url))
    assert (findings[0].part, findings[0].verdict) == ("ari", Verdict.FAIL)
    assert "start Asterisk" in findings[0].change


@pytest.mark.parametrize(
    ("module", "broken"),
    [
        ("chan_websocket.so", {"modules", "capabilities", "media", "observers"}),
        ("res_musiconhold.so", {"modules", "music"}),
        ("bridge_softmix.so", {"modules", "capabilities", "media", "observers"}),
    ],
)
async def test_a_module_does_not_run(
    own_pbx: Pbx, tmp_path: Path, module: str, broken: set[str]
) -> None:
    await own_pbx._observer.asterisk.unload_module(module_name=module)
    findings = await found(configured(own_pbx, tmp_path))
    assert_all_say_what_to_do(findings)
    assert any(module in one.said for one in findings if one.part == "modules")
    for part in broken:
        assert of(findings, part).verdict is not Verdict.OK, of(findings, part)
    assert of(findings, "ari").verdict is Verdict.OK
    assert of(findings, "clock").verdict is Verdict.OK
