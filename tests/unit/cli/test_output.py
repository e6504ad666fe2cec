"""What is printed, and how commands end."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from types import SimpleNamespace

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from bridge.cli.command import Exit, carried_out, exit_code, failure
from bridge.cli.connection import Shown, daemon
from bridge.cli.main import app
from bridge.cli.output import Out, escape, escape_line, lasting
from bridge.daemon import runfile
from bridge.daemon.runfile import RunFile
from bridge.model import errors
from bridge.model.errors import CallbridgeError, ErrorCode, ServerUnreachableError
from bridge.protocol.views import ProgramView


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (65, "1:05"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_lengths_of_time(seconds: float, shown: str) -> None:
    assert lasting(100.0, 100.0 + seconds) == shown


@pytest.mark.parametrize("control", ["\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\r", "\x08", "\x7f"])
def test_what_somebody_is_called_does_nothing_to_a_terminal(control: str) -> None:
    shown = escape(f"a{control}b[red]ü\nc")
    assert shown.replace("\n", "").isprintable()
    assert shown.startswith("a\N{REPLACEMENT CHARACTER}")
    assert shown.endswith("b\\[red]ü\nc")


@pytest.mark.parametrize("turn", ["\u202e", "\u2067", "\u200f"])
def test_what_somebody_is_called_turns_nothing_round(turn: str) -> None:
    assert escape(f"1001{turn}2001") == "1001\N{REPLACEMENT CHARACTER}2001"


def test_nobodys_note_begins_a_row_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    out = Out()
    out.console.print(out.table(("by", "note"), [("anna", "paid\nboss  [red]fired\u2028him")]))
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["by", "note"]
    assert row.split() == ["anna", "paid", "boss", "[red]fired", "him"]
    assert escape_line("a\tb\nc") == "a b c"


def test_programs_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [
        ProgramView(name="desk", connected=True, tenant="acme"),
        ProgramView(name="desk", connected=True, tenant="acme", queues=("sales", "service")),
    ]

    async def listed(_operation: object) -> list[Shown]:
        return [Shown(msgspec.Raw(msgspec.json.encode(view)), view) for view in views]

    def connected(*_: object) -> AbstractAsyncContextManager[SimpleNamespace]:
        return nullcontext(SimpleNamespace(listed=listed))

    monkeypatch.setattr("bridge.cli.command.connected", connected)
    head, *rows = CliRunner().invoke(app, ["programs"]).stdout.splitlines()
    begin, end = head.index("tenant"), head.index("connected")
    assert [row[begin:end].strip().split(maxsplit=1) for row in rows] == [
        ["acme", "all"],
        ["acme", "sales, service"],
    ]


def test_every_command_has_help_and_the_common_options() -> None:
    runner = CliRunner()
    for name in ("calls", "listen", "events", "webhooks list", "transfer", "record"):
        result = runner.invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert all(option in result.stdout for option in ("--url", "--key", "--json")), name
    names = [command.name or "" for command in app.registered_commands]
    assert len(names) == len(set(names) - {""}) + names.count("")


def test_in_a_pipe_no_line_of_a_table_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    out = Out()
    out.show(out.table(("call", "queue"), [("1b445509ef4c", ""), ("2", "sales")]))
    assert capsys.readouterr().out == "call          queue\n1b445509ef4c\n2             sales\n"


def test_a_secret_is_not_asked_for_where_nobody_can_answer() -> None:
    said = CliRunner().invoke(app, ["webhooks", "add", "https://crm.example/x"], input="")
    assert isinstance(said.exception, errors.BadArgumentError)
    assert "CALLBRIDGE_WEBHOOK_SECRET" in said.exception.error_message
    assert said.output == ""


@pytest.mark.parametrize("typed", [["--help"], ["serve", "--help"], ["events", "--limit", "0"]])
def test_in_a_pipe_help_and_mistakes_have_no_frames_and_are_whole(typed: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "bridge.cli.main", *typed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == (0 if "--help" in typed else Exit.USAGE)
    text = said.stdout + said.stderr
    assert "Usage: " in text
    assert not set("╭─│") & set(text)
    assert "..." not in text.partition("Commands:")[2], "no line of the list is cut"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CallNotFoundError("x"), 3),
        (errors.NotFoundError("x"), 3),
        (errors.ForbiddenError("x"), 4),
        (errors.UnauthenticatedError("x"), 4),
        (errors.DialDeniedError("x"), 4),
        (errors.ServerUnreachableError("x"), 5),
        (errors.DrainingError("x"), 5),
        (errors.BadArgumentError("x"), 2),
        (errors.InvalidStateError("x"), 1),
        (errors.ConnectFailedError("x", code=ErrorCode.CALL_BUSY), 1),
        (errors.StoreError("x"), 1),
    ],
)
def test_failures_have_exit_codes(error: CallbridgeError, code: int) -> None:
    assert exit_code(error) == code
    assert failure(error).startswith(f"callbridge: x [{error.error_code}]\n")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (errors.CallNotFoundError("x"), Exit.NOT_FOUND),
        (ExceptionGroup("several", [errors.ForbiddenError("x")]), Exit.NOT_PERMITTED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_what_is_raised_ends_in_an_exit_code(
    raised: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        raise raised

    with pytest.raises(typer.Exit) as ended:
        carried_out(work)
    assert ended.value.exit_code == code
    assert capsys.readouterr().out == ""


def test_other_errors_are_not_hidden() -> None:
    async def work() -> None:
        raise ExceptionGroup("several", [errors.ForbiddenError("x"), ValueError("a bug")])

    with pytest.raises(ExceptionGroup):
        carried_out(work)


def test_a_daemon_of_this_user_is_found_by_its_run_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CALLBRIDGE_URL", "CALLBRIDGE_KEY", "CALLBRIDGE_CA"):
        monkeypatch.delenv(name, raising=False)
    here = RunFile(url="https://127.0.0.1:8100/", key="k", pid=1, started_at=0.0, certificate="c")
    monkeypatch.setattr(runfile, "find", lambda: here)
    address, certificate = daemon(None, None)
    assert (address.url, address.key, certificate) == ("https://127.0.0.1:8100", "k", "c")
    address, certificate = daemon("http://elsewhere:8100", "other")
    assert (address.url, address.key, certificate) == ("http://elsewhere:8100", "other", "")
    with pytest.raises(errors.ConfigurationError, match="CALLBRIDGE_KEY"):
        daemon("http://elsewhere:8100", None)
    address, _ = daemon("https://127.0.0.1:8100", None)
    assert address.key == "k", "the same daemon by its address"
    monkeypatch.setattr(runfile, "find", lambda: None)
    with pytest.raises(ServerUnreachableError, match="callbridge serve"):
        daemon(None, None)
