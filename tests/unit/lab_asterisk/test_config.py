from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.lab.asterisk.config import make_info, new_secrets, render
from bridge.lab.asterisk.installation import Installation
from bridge.lab.asterisk.ports import Ports

PORTS = Ports(12000)


def installation(root: Path, *modules: str, music: bool = True) -> Installation:
    (root / "modules").mkdir()
    for name in modules:
        (root / "modules" / name).touch()
    (root / "data/moh").mkdir(parents=True)
    if music:
        (root / "data/moh/tune.wav").touch()
    return Installation(
        "22.10.1", ("/usr/sbin/asterisk",), root / "modules", root / "data", Path("/usr/sbin")
    )


def rendered(found: Installation) -> dict[str, str]:
    password, accounts = new_secrets()
    return render(
        installation=found,
        info=make_info(found.version, PORTS, password, accounts),
        ports=PORTS,
        application="an-app",
        state_dir=Path("/state"),
        run_dir=Path("/run/short"),
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return rendered(installation(tmp_path, "chan_pjsip.so", "res_musiconhold.so"))


def settings(text: str) -> list[str]:
    """The lines that say something: neither empty nor comments."""
    lines = (line.partition(";")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def test_ten_accounts_each_with_a_password_of_its_own() -> None:
    _, accounts = new_secrets()
    assert [account.number for account in accounts] == [str(1000 + i) for i in range(1, 11)]
    assert len({account.password for account in accounts}) == 10


def test_secrets_are_new_every_time_and_long() -> None:
    one, other = new_secrets(), new_secrets()
    assert one[0] != other[0]
    assert {a.password for a in one[1]}.isdisjoint(a.password for a in other[1])
    assert len(one[0]) >= 32
    assert all(len(account.password) >= 24 for account in one[1])


def test_every_template_is_rendered_without_leavings(files: dict[str, str]) -> None:
    assert {"asterisk.conf", "pjsip.conf", "http.conf", "ari.conf"} <= files.keys()
    assert not any(name.endswith(".j2") for name in files)
    assert not any("{{" in text or "{%" in text for text in files.values())


def test_every_file_says_why_it_is_there(files: dict[str, str]) -> None:
    assert [name for name, text in files.items() if ";" not in text] == []


def test_everything_is_served_on_loopback_alone(files: dict[str, str]) -> None:
    binds = [
        line
        for text in files.values()
        for line in settings(text)
        if re.match(r"(bind|bindaddr|tlsbindaddr)\s*=", line)
    ]
    assert sorted(binds) == ["bind = 127.0.0.1:12001", "bindaddr = 127.0.0.1"]


def test_the_old_management_interface_is_shut(files: dict[str, str]) -> None:
    assert settings(files["manager.conf"]) == ["[general]", "enabled = no", "webenabled = no"]
    assert not any("manager" in line for line in settings(files["modules.conf"]))


def test_nobody_is_let_in_without_a_password(files: dict[str, str]) -> None:
    lines = settings(files["pjsip.conf"])
    assert not any(
        "anonymous" in line or "identify" in line.split("=")[0]
        for line in lines
        if not line.startswith("endpoint_identifier_order")
    )
    endpoints = [line for line in lines if line.endswith("(phone)")]
    assert len(endpoints) == 10
    assert sum(line.startswith("auth = ") for line in lines) == 10
    assert "endpoint_identifier_order = username,auth_username" in lines


def test_no_browser_is_let_in(files: dict[str, str]) -> None:
    assert "allowed_origins =" in settings(files["ari.conf"])


def test_lossless_audio_comes_first(files: dict[str, str]) -> None:
    assert "allow = slin16,slin,g722,ulaw,alaw" in settings(files["pjsip.conf"])


def test_a_phones_number_reaches_the_application(files: dict[str, str]) -> None:
    assert "exten => _X.,1,Stasis(an-app,incoming,${EXTEN})" in settings(files["extensions.conf"])


def test_modules_that_this_asterisk_lacks_are_left_out(files: dict[str, str]) -> None:
    loaded = [line for line in settings(files["modules.conf"]) if line.startswith("load")]
    assert loaded == ["load = res_musiconhold.so", "load = chan_pjsip.so"]


def test_without_music_there_is_no_music_on_hold(tmp_path: Path) -> None:
    files = rendered(installation(tmp_path, "chan_pjsip.so", "res_musiconhold.so", music=False))
    assert settings(files["musiconhold.conf"]) == []
    assert "load = res_musiconhold.so" not in settings(files["modules.conf"])
