"""What the pages about the daemon and its APIs say is so: keys, operations, frames, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from prometheus_client import Metric

from bridge import Client, FeatureKeys, errors
from bridge.api.sockets import common
from bridge.daemon.config import Configuration, ConfigurationFaultsError, parse
from bridge.daemon.config.base import Section, section_of
from bridge.daemon.metrics import Metrics
from bridge.daemon.serve import ExitCode
from bridge.protocol import frames
from bridge.protocol.operations import BASE, OPERATIONS, Operation
from bridge.protocol.permissions import PERMISSIONS, Permission, Role
from bridge.protocol.problems import EVERY_OPERATION, STATUS
from bridge.protocol.views import EventView
from scripts.diagrams import configuration, operations
from tests.support.command_line import options

ROOT = Path(__file__).parents[2]
DIALPLAN = {"CALL", "SEAT", "FETCH", "GATE", "OTHERS", "SPARED"}
"""Variables of Asterisk's channels, which nobody sets by hand."""
EXAMPLES = {"ADMIN_KEY", "WEBHOOK_SECRET"}
"""Names of somebody's own, in examples."""
PAGES = ["docs/daemon.md", "docs/access.md"]
COMMANDS_IN = ["README.md", *PAGES, "docs/http-api.md", "docs/remote.md"]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(path), re.MULTILINE | re.DOTALL)


def first_cells(path: str, head: str) -> list[str]:
    """Return the first cells of the rows of the table whose head begins so."""
    text = text_of(path)
    rows = text[text.index(f"\n| {head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


# --- what is generated --------------------------------------------------------------------------


def test_the_configuration_is_written_as_it_is() -> None:
    written = text_of("docs/reference/configuration.md")
    assert written == configuration.render(), "run scripts/generate-diagram"
    assert set(keys(Configuration, "")) == set(keys_written(written))


def keys(section: type[Section], path: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            yield f"{path}{name}"
        else:
            yield from keys(inner, f"{path}{name}.")


def keys_written(text: str) -> Iterator[str]:
    for part in re.split(r"^## `\[+", text, flags=re.MULTILINE)[1:]:
        for key in re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE):
            yield f"{part.split(']')[0]}.{key}"


def test_the_operations_are_written_as_they_are() -> None:
    written = text_of("docs/reference/http-api.md")
    assert written == operations.render(), "run scripts/generate-diagram"
    for one in OPERATIONS:
        assert f"| `{one.method} {one.path}` | {one.summary} |" in written


# --- the daemon ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_configurations_in_the_pages_can_be_used(page: str) -> None:
    found = blocks(page, "toml")
    assert found
    for text in found:
        try:
            parse(text, page, {})
        except ConfigurationFaultsError as error:
            # The files of the examples are not here.
            missing = [one for one in error.faults if "there is no file" in one.message]
            missing += [one for one in error.faults if "cannot be read" in one.message]
            wrong = set(error.faults) - set(missing)
            if wrong:
                pytest.fail(str(error))


def test_every_variable_that_is_read_is_explained() -> None:
    places = [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "scripts").glob("_*.sh")]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in places)
    read = set(re.findall(r"\bCALLBRIDGE_([A-Z][A-Z_]*[A-Z])\b", sources)) - DIALPLAN - EXAMPLES
    assert len(read) >= 10
    pages = text_of("README.md") + "".join(map(text_of, PAGES))
    assert {name for name in read if f"CALLBRIDGE_{name}" not in pages} == set()


def test_every_metric_is_explained() -> None:
    page = text_of("docs/daemon.md")
    names = re.findall(r"`(callbridge_\w+)", page)
    metrics = Metrics()
    told = {metric.name for metric in metrics.registry.collect() if _is_ours(metric)}
    assert told
    assert {name for name in told if name not in names and f"{name}_total" not in names} == set()
    source = (ROOT / "bridge/daemon/metrics.py").read_text(encoding="utf-8")
    standing = re.findall(r'_(gauge|counter)\(\s*"(\w+)"', source)
    assert len(standing) > 5
    for kind, name in standing:
        whole = f"callbridge_{name}{'_total' if kind == 'counter' else ''}"
        assert whole in names, whole


def _is_ours(metric: Metric) -> bool:
    return metric.name.startswith("callbridge_")


def test_every_exit_code_of_the_daemon_is_explained() -> None:
    codes = {int(cell) for cell in first_cells("docs/daemon.md", "Exit code of")}
    # 1 and 2 are those of every command: it failed, and it was called wrongly.
    assert codes == {*ExitCode, 1, 2}


@pytest.mark.parametrize("page", COMMANDS_IN)
def test_commands_in_the_pages_exist_with_their_options(page: str) -> None:
    known = options()
    named = re.findall(r"(?:^|[ `$(])callbridge ([a-z][^`#|&;>)\n]*)", text_of(page), re.MULTILINE)
    assert named
    for text in named:
        words = text.split()
        if not words or f"callbridge {words[0]}" not in known:
            # A sentence about callbridge, and not a command of it.
            assert not any(word.startswith("-") for word in words), text
            continue
        name = f"callbridge {words.pop(0)}"
        while words and f"{name} {words[0]}" in known:
            name += f" {words.pop(0)}"
        given = {word.rstrip(".,:") for word in words if word.startswith("-")}
        assert given <= {*known[name], "--help"}, text


# --- who may do what ----------------------------------------------------------------------------


def test_every_role_is_explained() -> None:
    assert [cell.strip("`") for cell in first_cells("docs/access.md", "Role ")] == list(Role)
    # What the words of that table stand on.
    assert PERMISSIONS[Role.OBSERVER] == {Permission.SEE_CALLS, Permission.LISTEN}
    assert Permission.SEE_AUDIT in PERMISSIONS[Role.SUPERVISOR] - PERMISSIONS[Role.PROGRAM]
    assert Permission.ORIGINATE in PERMISSIONS[Role.PROGRAM] - PERMISSIONS[Role.SUPERVISOR]
    admins = {Permission.SEE_PBX, Permission.ADMINISTER}
    assert {p for p in Permission if all(p not in PERMISSIONS[r] for r in list(Role)[:3])} == admins


# --- HTTP ---------------------------------------------------------------------------------------


def meant(method: str, path: str) -> Operation:
    """Return the operation that an example asks for."""
    for one in OPERATIONS:
        pattern = re.sub(r"{\w+}", "[^/]+", one.path)
        if one.method == method and re.fullmatch(pattern, path):
            return one
    pytest.fail(f"there is no {method} {path}")


def test_requests_in_the_page_are_taken() -> None:
    rows = re.findall(
        r"`(GET|POST|PUT|PATCH|DELETE) (/[^` ?]+)(?:\?[^`]*)?`(?: `({[^`]*})`)?",
        text_of("docs/http-api.md"),
    )
    assert len(rows) > 10
    for method, path, body in rows:
        operation = meant(method, path.removeprefix(BASE))
        if body:
            assert operation.body is not None, path
            msgspec.json.decode(body, type=operation.body)


def test_every_status_is_explained() -> None:
    text = " ".join(first_cells("docs/http-api.md", "Status "))
    explained = {int(status) for status in re.findall(r"\d{3}", text)}
    assert {STATUS[code] for code in {*STATUS, *EVERY_OPERATION}} <= explained


# --- programs by URL ----------------------------------------------------------------------------

DAEMONS: dict[str, Any] = {
    "supervisors": ["1003"],
    "keys": {"4": "spy"},
    "feature_keys": FeatureKeys(),
    "transfer_policy": lambda _request: True,
    "phone_transfers": True,
    "parking_slots": ["7200"],
    "endpoint": "PJSIP/{number}@trunk",
    "application": "another",
    "send_buffer_seconds": 1.0,
    "instance": "another",
}
"""Arguments that are the daemon's alone, each with some value."""


def test_what_only_the_daemon_can_be_told_is_refused_as_the_page_says() -> None:
    (row,) = re.findall(r"^\| (`supervisors`[^|]*) \|", text_of("docs/remote.md"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(DAEMONS)
    for name, value in DAEMONS.items():
        with pytest.raises(errors.ConfigurationError, match=name):
            Client(url="http://127.0.0.1:1", key="cbk_x", **{name: value})
    # Whatever else there is may be given.
    rest: dict[str, Any] = {
        "music": "jazz",
        "probe": False,
        "sample_rate": 8000,
        "program": "p",
        "routes": ["1*"],
    }
    Client(url="http://127.0.0.1:1", key="cbk_x", **rest)


# --- WebSockets ---------------------------------------------------------------------------------


def kinds(union: object) -> dict[str, type[msgspec.Struct]]:
    found = {}
    for kind in get_args(union):
        tag = kind.__struct_config__.tag
        assert isinstance(tag, str)
        found[tag] = kind
    return found


@pytest.mark.parametrize("union", [frames.ClientMessage, frames.ServerMessage])
def test_every_message_of_the_sockets_is_explained(union: object) -> None:
    page = text_of("docs/websockets.md")
    for tag, kind in kinds(union).items():
        assert re.search(rf'[`"]{tag}[`"]', page), tag
        for field in msgspec.structs.fields(kind):
            named = field.encode_name
            assert re.search(rf'[`"]{named}[`"]', page), f"{tag}.{named}"


def test_messages_in_the_page_are_taken() -> None:
    found = blocks("docs/websockets.md", "json")
    assert len(found) > 1
    for text in found:
        msgspec.json.decode(text, type=frames.ClientMessage)


def test_every_field_of_an_event_is_explained() -> None:
    cells = " ".join(first_cells("docs/websockets.md", "Field "))
    assert set(re.findall(r"`(\w+)`", cells)) == {
        field.encode_name for field in msgspec.structs.fields(EventView)
    }


def test_every_close_code_is_explained() -> None:
    cells = " ".join(first_cells("docs/websockets.md", "Close code "))
    written = {int(code) for code in re.findall(r"\d{4}", cells)}
    named = {
        value
        for module in (frames, common)
        for name, value in vars(module).items()
        if name.startswith(("CLOSE_", "_CLOSE_NORMAL")) and isinstance(value, int)
    }
    assert written == named
