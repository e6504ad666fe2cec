from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bridge.api.auth.keys import new_key
from bridge.daemon.config import (
    Configuration,
    ConfigurationFaultsError,
    example_config,
    load,
    parse,
)
from bridge.model.errors import ConfigurationError
from bridge.protocol.permissions import Role

NAME = "callbridge.toml"
KEY = new_key("admin", Role.ADMIN, "*", now=0.0)[1]


def faults(text: str, environment: dict[str, str] | None = None) -> dict[str, str]:
    """Return what is wrong, by ``place key``."""
    with pytest.raises(ConfigurationFaultsError) as raised:
        parse(text, NAME, environment or {})
    found = {f"{fault.where} {fault.key}".strip(): fault.message for fault in raised.value.faults}
    assert len(found) == len(raised.value.faults)
    for fault in raised.value.faults:
        assert str(fault) in raised.value.error_message
    return found


def test_without_anything_the_defaults_hold() -> None:
    configuration = parse("", NAME, {})
    assert configuration == Configuration()
    assert (configuration.server.host, configuration.server.port) == ("127.0.0.1", 8100)
    assert configuration.asterisk.application == "callbridge"


def test_every_error_is_told_with_its_line() -> None:
    text = """\
[server]
port = 70000
hots = "0.0.0.0"

[asterisk]
url = "pbx.example"
password = "secret"

[auth]
reads_per_second = "many"

[[auth.tenants]]
tenant = "acme"
dialled = "49*"

[[auth.tenants]]
tenant = "other"

[loggin]
level = "info"
"""
    found = faults(text)
    assert found["callbridge.toml:2 server.port"].startswith("must be less than")
    assert found["callbridge.toml:3 server.hots"] == "there is no such key; did you mean host?"
    assert "username missing" in found["callbridge.toml:5 asterisk"]
    assert "http://127.0.0.1:8088/ari" in found["callbridge.toml:6 asterisk.url"]
    assert "a number" in found["callbridge.toml:10 auth.reads_per_second"]
    assert "says nothing of its calls" in found["callbridge.toml:16 auth.tenants.2"]
    assert "did you mean log?" in found["callbridge.toml:19 loggin"]
    assert len(found) == 7


def test_the_faults_of_the_environment_are_told_beside_those_of_the_file() -> None:
    environment = {
        "CALLBRIDGE__LOG__LEVEL": "loud",
        "CALLBRIDGE__LOGG__LEVEL": "info",
        "CALLBRIDGE__SPEECH__COMMAND": "[",
        "CALLBRIDGE_CONFIG": "other.toml",
        "PATH": "/bin",
    }
    found = faults("[server]\nport = -1\n", environment)
    assert "'debug'" in found["CALLBRIDGE__LOG__LEVEL log.level"]
    assert "did you mean log?" in found["CALLBRIDGE__LOGG__LEVEL logg"]
    assert "no TOML value" in found["CALLBRIDGE__SPEECH__COMMAND"]
    assert len(found) == 4


def test_the_environment_stands_above_the_file() -> None:
    text = '[server]\nport = 1\nhost = "::1"\n'
    environment = {
        "CALLBRIDGE__SERVER__PORT": "8200",
        "CALLBRIDGE__SPEECH__COMMAND": '["say", "-"]',
        "CALLBRIDGE__METRICS__ENABLED": "false",
    }
    configuration = parse(text, NAME, environment)
    assert (configuration.server.port, configuration.server.host) == (8200, "::1")
    assert configuration.speech.command == ["say", "-"]
    assert configuration.metrics.enabled is False


def test_a_fault_below_a_table_of_the_file_by_a_variable_names_the_variable() -> None:
    found = faults("[server]\nport = 1\n", {"CALLBRIDGE__SERVER__PORT": "x"})
    assert list(found) == ["CALLBRIDGE__SERVER__PORT server.port"]


def test_a_file_that_is_no_toml_is_told_with_its_line() -> None:
    found = faults("[server]\nport = = 3\n")
    assert list(found) == ["callbridge.toml:2"]
    assert "not TOML" in found["callbridge.toml:2"]


def test_secrets_come_from_files_and_the_environment_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n")
    monkeypatch.setenv("ADMIN_KEY", KEY)
    text = f"""\
[asterisk]
url = "http://pbx:8088"
username = "callbridge"
password = "file:{secret}"
[auth]
bootstrap_key = "env:ADMIN_KEY"
"""
    configuration = parse(text, NAME, {})
    password, key = configuration.asterisk.password, configuration.auth.bootstrap_key
    assert password is not None
    assert password.get_secret_value() == "hush"
    assert key is not None
    assert key.get_secret_value() == KEY
    assert "hush" not in repr(configuration)
    assert KEY not in repr(configuration)


def test_a_secret_that_cannot_be_had_is_an_error_without_the_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    text = f"""\
[asterisk]
url = "http://pbx:8088"
username = "callbridge"
password = "file:{tmp_path}/empty"
[auth]
bootstrap_key = "env:NOWHERE"
[store]
url = 4711
"""
    found = faults(text)
    assert "is empty" in found["callbridge.toml:4 asterisk.password"]
    assert "NOWHERE is not set" in found["callbridge.toml:6 auth.bootstrap_key"]
    assert "4711" not in found["callbridge.toml:8 store.url"]
    assert len(found) == 3


def test_tls_needs_all_its_parts(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch()
    found = faults(f'[server]\ntls_cert = "{tmp_path}/cert.pem"\n')
    assert "tls_key is missing" in found["callbridge.toml:2 server.tls_cert"]


def test_the_example_is_valid_and_says_the_defaults() -> None:
    text = example_config()
    assert parse(text, NAME, {}) == Configuration()
    assert set(tomllib.loads(text)) == set(Configuration.model_fields)


def test_every_key_of_the_example_is_valid_when_it_is_given() -> None:
    """What stands behind a # is taken out of it: nothing but missing files may be wrong then."""
    text = re.sub(r"^# (\[.*\]|\w+ = .*)$", r"\1", example_config(), flags=re.MULTILINE)
    lines = text.splitlines()
    keys = [line.partition(" = ")[0] for line in lines]
    # A default that is followed by an example gives way to it.
    once = [line for at, line in enumerate(lines) if keys[at] != (keys[at + 1 :] or [""])[0]]
    with pytest.raises(ConfigurationFaultsError) as raised:
        parse("\n".join(once), NAME, {})
    for fault in raised.value.faults:
        assert re.search(r"there is no file|cannot be read|is not set", fault.message), fault


@pytest.mark.parametrize(
    "endpoint", ["PJSIP/1002", "PJSIP/{number}@{trunk}", "{number", "{number.x}"]
)
def test_an_endpoint_that_dials_no_number_is_refused(endpoint: str) -> None:
    found = faults(f'[asterisk]\nendpoint = "{endpoint}"\n')
    assert "{number}" in found["callbridge.toml:2 asterisk.endpoint"]


def test_the_file_is_looked_for_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}).file is None or load(environment={}).file == Path(
        "/etc/callbridge/callbridge.toml"
    )
    (tmp_path / "callbridge.toml").write_text("[server]\nport = 1\n")
    (tmp_path / "named.toml").write_text("[server]\nport = 2\n")
    (tmp_path / "given.toml").write_text("[server]\nport = 3\n")
    named = {"CALLBRIDGE_CONFIG": str(tmp_path / "named.toml")}
    assert load(environment={}).configuration.server.port == 1
    assert load(environment=named).configuration.server.port == 2
    assert load(tmp_path / "given.toml", named).configuration.server.port == 3


@pytest.mark.parametrize(
    "place", [Path("callbridge.toml"), Path("/etc/callbridge/callbridge.toml")]
)
def test_in_a_folder_that_may_not_be_looked_into_there_is_no_file_unless_it_is_the_systems(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    def look(path: Path) -> bool:
        if path == place:
            raise PermissionError(13, "Permission denied", str(path))
        return False

    monkeypatch.setattr(Path, "is_file", look)
    if not place.is_absolute():
        assert load(environment={}).file is None
        return
    with pytest.raises(ConfigurationError, match=r"/etc/callbridge/callbridge.toml cannot be read"):
        load(environment={})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No such file.*example-config"):
        load(tmp_path / "nothing.toml", {})


def test_patterns_that_are_none_are_told_where_they_stand() -> None:
    found = faults(
        '[dialling]\nallow = ["PJSIP/[!a]"]\n[[dialling.tenants]]\ntenant = "a"\ndeny = [""]\n'
    )
    assert "PJSIP/[!a]" in found["callbridge.toml:2 dialling.allow"]
    assert "no pattern" in found["callbridge.toml:5 dialling.tenants.1.deny"]


def test_what_the_parts_are_made_from() -> None:
    text = """\
[dialling]
allow = ["PJSIP/1*"]
[[dialling.tenants]]
tenant = "acme"
allow = ["PJSIP/2*"]
[[auth.tenants]]
tenant = "acme"
queue = "sales"
dialled = "77*"
"""
    configuration = parse(text, NAME, {})
    rules = configuration.dialling.rules("PJSIP/{number}")
    assert rules.allows("1002", tenant="default")
    assert not rules.allows("2002", tenant="default")
    assert rules.allows("2002", tenant="acme")
    assert configuration.auth.tenancy().of("771", "", "") == ("acme", "sales")
    assert configuration.auth.tenancy().of("781", "", "") == ("default", "")
