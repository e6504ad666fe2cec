"""The pages of commands, acceptance runs, webhooks, store and scripts say what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, text

from bridge.cli.command import Exit
from bridge.daemon.config.sections import Webhooks as WebhooksSection
from bridge.lab.acceptance import parse
from bridge.lab.acceptance.model import Head, Hearing, PhoneSpec, Program, Server
from bridge.lab.acceptance.verbs import TOGETHER, VERBS
from bridge.store.migrate import VERSION_TABLE
from bridge.store.tables import Base
from bridge.webhooks import WebhookSettings, sign
from tests.support.command_line import commands, options_of

ROOT = Path(__file__).parents[2]
OF_COMMANDS = ("command-line", "acceptance", "daemon", "access", "webhooks")
"""Pages that explain options of commands."""
USUAL = {"--help", "--json", "--key", "--url"}


def page(name: str) -> str:
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


def rows(of: str, head: str) -> list[list[str]]:
    """Return the rows of all tables of a page whose head begins so."""
    tables = re.findall(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page(of), re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    assert lines, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


COMMANDS = {words: one for words, one in commands().items() if not hasattr(one, "commands")}


def test_every_command_is_explained() -> None:
    cells = [row[0] for row in rows("command-line", "Command")]
    typed = [
        re.sub(r"( \[?[A-Z]+\]?(\.\.\.)?)+$", "", word) for cell in cells for word in words(cell)
    ]
    in_words = {"events", "top"}
    assert sorted(typed) == sorted(COMMANDS.keys() - in_words)
    for name in in_words:
        assert f"\n`{name}` " in page("command-line"), name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_explained(name: str) -> None:
    said = "\n".join(map(page, OF_COMMANDS))
    options = {one for one in options_of(COMMANDS[name]) if one.startswith("--")}
    unsaid = {one for one in options if not re.search(rf"{one}\b", said)}
    assert unsaid - USUAL == set()


def test_every_exit_code_is_explained() -> None:
    assert [int(row[0]) for row in rows("command-line", "Exit code")] == sorted(Exit)


def test_every_step_of_a_run_is_explained_with_its_fields() -> None:
    found: dict[str, list[str]] = {}
    for row in rows("acceptance", "Step"):
        said = re.findall(r"\w+", " ".join(row[1:]))
        for verb in words(row[0]):
            assert verb not in found, verb
            found[verb] = said
    assert sorted(found) == sorted([*VERBS, TOGETHER])
    for verb, kind in VERBS.items():
        fields = [one.encode_name for one in msgspec.structs.fields(kind)]
        if verb == "hears":
            continue
        assert [field for field in fields if field not in found[verb]] == [], verb


def test_all_that_a_run_begins_with_is_explained() -> None:
    found = rows("acceptance", "Before the steps")
    fields = {one.encode_name for one in msgspec.structs.fields(Head)}
    assert {word for row in found for word in words(row[0])} == fields
    said = "\n".join(" ".join(row) for row in found) + page("acceptance").split("## Steps")[0]
    for part in (PhoneSpec, Hearing, Program, Server):
        names = [one.encode_name for one in msgspec.structs.fields(part)]
        assert [name for name in names if not re.search(rf"\b{name}\b", said)] == [], part


def test_the_example_of_a_run_is_one() -> None:
    example = re.findall(r"^```yaml\n(name: .*?)^```", page("acceptance"), re.MULTILINE | re.DOTALL)
    assert [len(parse(one).steps) for one in example] == [10]


def test_every_table_of_the_store_is_explained() -> None:
    named = [word for row in rows("store", "Table") for word in words(row[0])]
    assert sorted(named) == sorted([*Base.metadata.tables, VERSION_TABLE])


def test_the_statements_of_the_store_are_understood_by_its_database() -> None:
    blocks = re.findall(r"^```sql\n(.*?)^```", page("store"), re.MULTILINE | re.DOTALL)
    statements = [one for block in blocks for one in block.split(";") if one.strip()]
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        done = [connection.execute(text(one)).fetchall() for one in statements if "::" not in one]
    engine.dispose()
    assert done == [[], []]


def test_the_settings_of_webhooks_are_those_by_default() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", page("webhooks"), re.MULTILINE | re.DOTALL)
    written = {k: v for block in blocks for k, v in tomllib.loads(block)["webhooks"].items()}
    networks = written.pop("allowed_networks")
    defaults = WebhooksSection().model_dump()
    assert networks
    assert written == {name: value for name, value in defaults.items() if name in written}
    assert written.keys() == defaults.keys() - {"allowed_networks"}


def test_the_bounds_of_webhooks_are_those_by_default() -> None:
    said, settings = page("webhooks"), WebhookSettings()
    at_once = f"{settings.at_once_tenant} for a tenant, {settings.at_once} for all"
    assert f"eight attempts at once for a webhook, {at_once}" in said
    assert settings.at_once_each == 8
    assert f"{settings.pending:,} wait for a webhook" in said
    assert f"A tenant may have {settings.of_one_tenant}." in said


def test_the_signature_is_as_it_is_explained() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page("webhooks"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(next(one for one in blocks if "def is_genuine" in one), names)  # noqa: S102 - our own page
    header = sign("a secret of someone", b'{"seq":1}', at=1_795_191_993)
    assert names["is_genuine"](header, b'{"seq":1}', "a secret of someone")
    assert not names["is_genuine"](header, b'{"seq":2}', "a secret of someone")
    assert not names["is_genuine"](header, b'{"seq":1}', "a secret of another")


def test_every_script_is_explained() -> None:
    said = page("examples")
    there = [one.name for one in (ROOT / "scripts/examples").iterdir() if one.is_file()]
    assert [name for name in there if f"`scripts/examples/{name}`" not in said] == []
