"""What goes wrong ends in one line that says what to do, and an exit code; never in a traceback."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import typer
from aiohttp import web

from bridge.cli import main
from bridge.cli.command import Exit, carried_out
from bridge.cli.connection import connected, daemon
from bridge.model.errors import (
    CallbridgeError,
    ConfigurationError,
    RequestFailedError,
    ServerUnreachableError,
)
from bridge.protocol import operations as ops


def end_of(work: Callable[[], Awaitable[None]]) -> int:
    with pytest.raises(typer.Exit) as raised:
        carried_out(work)
    return raised.value.exit_code


@asynccontextmanager
async def answering(reply: Callable[[], web.Response]) -> AsyncIterator[str]:
    """Run a server that answers everything so; yield its address."""

    async def answer(_request: web.Request) -> web.Response:
        return reply()

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()

    async def work() -> None:
        (tmp_path / "file" / "below").mkdir(parents=True)

    assert end_of(work) == Exit.FAILED
    said = capsys.readouterr().err
    assert said == f"callbridge: {tmp_path / 'file' / 'below'}: Not a directory\n"


def test_a_file_of_a_command_that_asks_no_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        (tmp_path / "none" / "file").write_text("", encoding="utf-8")

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == Exit.FAILED
    said = capsys.readouterr().err
    assert said == f"callbridge: {tmp_path / 'none' / 'file'}: No such file or directory\n"


def test_a_disk_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert end_of(work) == Exit.FAILED
    assert capsys.readouterr().err == "callbridge: No space left on device\n"


@pytest.mark.parametrize(
    "reply",
    [
        lambda: web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html"),
        lambda: web.Response(text="<h1>It works!</h1>", content_type="text/html"),
        lambda: web.json_response({"error": "none of ours"}),
    ],
    ids=["an error of another server", "a page of another server", "JSON of another server"],
)
async def test_what_is_no_daemon_is_said_without_its_pages(
    reply: Callable[[], web.Response],
) -> None:
    async with answering(reply) as url, connected(url, "cbk_any") as api:
        with pytest.raises(RequestFailedError, match=f"whether {url} is the address") as raised:
            await api.calls()
    assert "<h1>" not in raised.value.error_message


async def test_a_daemon_that_is_not_there_is_told_without_repeating_its_address() -> None:
    async with connected("http://127.0.0.1:9", "cbk_any") as api:
        with pytest.raises(ServerUnreachableError) as raised:
            await api.calls()
    said = raised.value.error_message
    assert said == "the daemon at http://127.0.0.1:9 cannot be reached: Connection refused"


def test_an_address_that_is_none_is_told_with_the_option() -> None:
    with pytest.raises(ConfigurationError, match=r"'pbx' is no address .* by --url"):
        daemon("pbx", "cbk_any")


@pytest.mark.parametrize(("link", "is_told"), [("ok", False), ("nobody listens there", True)])
async def test_no_calls_of_a_daemon_without_asterisk_is_no_answer(
    link: str, *, is_told: bool
) -> None:
    health = {"live": True, "ready": not is_told, "version": "0", "parts": {"ari": link}}
    reply = web.json_response
    async with (
        answering(lambda: reply({"items": [], **health})) as url,
        connected(url, "cbk_any") as api,
    ):
        if is_told:
            with pytest.raises(ServerUnreachableError, match="has no Asterisk: nobody listens"):
                await api.calls()
        else:
            assert await api.calls() == []


async def test_an_answer_of_another_shape_is_none_of_a_daemon() -> None:
    async with (
        answering(lambda: web.json_response({"live": "perhaps"})) as url,
        connected(url, "cbk_any") as api,
    ):
        with pytest.raises(CallbridgeError, match="is not understood"):
            await api.ask(ops.SHOW_HEALTH)


def test_without_a_key_the_option_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALLBRIDGE_KEY", raising=False)
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="give one by --key, or CALLBRIDGE_KEY"):
        daemon("http://127.0.0.1:9", None)
