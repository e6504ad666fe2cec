"""What is printed, and how commands end."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from bridge.cli.command import Exit, carried_out, exit_code, failure
from bridge.cli.connection import daemon
from bridge.cli.main import app
from bridge.cli.output import escape, lasting
from bridge.cli.top import Board
from bridge.daemon import runfile
from bridge.daemon.runfile import RunFile
from bridge.model import errors
from bridge.model.errors import CallbridgeError, ErrorCode, ServerUnreachableError
from bridge.model.states import CallState
from bridge.protocol import frames
from bridge.protocol.views import CallView, EventView, PartyView


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


def test_every_command_has_help_and_the_common_options() -> None:
    runner = CliRunner()
    for name in ("calls", "listen", "events", "webhooks list", "transfer", "record"):
        result = runner.invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert all(option in result.stdout for option in ("--url", "--key", "--json")), name
    names = [command.name or "" for command in app.registered_commands]
    assert len(names) == len(set(names) - {""}) + names.count("")


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


def view(call_id: str, revision: int = 0, **how: object) -> CallView:
    return CallView(
        call_id=call_id,
        tenant="default",
        own=True,
        since=float(revision),
        state=CallState(str(how.get("state", "CONNECTED"))),
        parties=(PartyView(name="caller", endpoint="PJSIP/1001"),),
        revision=revision,
    )


def told(call: CallView | None, event_type: str = "CALL_CONNECTED") -> EventView:
    call_id = None if call is None else call.call_id
    return EventView(seq=1, epoch="e", at=0.0, type=event_type, call_id=call_id, call=call)


def chosen(board: Board) -> str | None:
    return None if board.chosen is None else board.chosen.call_id


def test_the_board_shows_what_is_newest() -> None:
    board = Board()
    assert chosen(board) is None
    snapshot = frames.Snapshot(at=frames.Position(epoch="e", seq=0), calls=(view("a", 3),))
    board.take(snapshot)
    board.take(told(view("a", 2, state="ANSWERED")))
    assert [call.state for call in board.calls] == ["CONNECTED"], "an older view changes nothing"
    board.take(told(view("b", 4)))
    assert chosen(board) == "a"
    board.move(1)
    assert chosen(board) == "b"
    board.move(1)
    assert chosen(board) == "a", "round and round"
    board.take(told(view("a", 5, state="DISCONNECTED"), "CALL_TERMINATED"))
    assert [call.call_id for call in board.calls] == ["b"]
    board.take(told(view("b", 5), "LIVE_CALL_ENDED"))
    assert board.calls == []
