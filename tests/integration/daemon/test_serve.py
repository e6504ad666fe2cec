"""The daemon from its start to its end, on the fake server."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.daemon import runfile
from bridge.daemon.client import DaemonClient
from bridge.daemon.serve import ExitCode
from bridge.directory import LiveCall
from bridge.lab.fake_ari import Answer, FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import CommandTimeoutError, ConfigurationError
from bridge.sdk import Client
from tests.integration.daemon.running import Running, Server, configured, running
from tests.support.pbx import until_true


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as server:
        yield server


async def test_it_tells_that_it_lives_and_is_ready(fake: FakeAri, tmp_path: Path) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        assert (await one.ask("GET", "/-/live"))[0] == 200
        _, _, health = await one.ask("GET", "/health")
        assert (health["live"], health["ready"], health["draining"]) == (True, True, False)

        async def is_well() -> bool:
            _, _, health = await one.ask("GET", "/health")
            parts = ("ari", "store", "webhooks", "loop")
            return [health["parts"][part] for part in parts] == ["ok"] * 4

        await until_true(is_well, "all its parts are well: webhooks are read after the start")
        status, _, me = await one.ask("GET", "/me")
        assert (status, me["role"], me["tenant"]) == (200, "admin", "*")
        assert await one.end() is ExitCode.DONE
    assert runfile.find() is None
    assert fake.applications == set()


async def test_the_first_key_is_good_and_stays_the_same(fake: FakeAri, tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        async with running(configured(fake, tmp_path)) as one:
            key = (tmp_path / "admin.key").read_text().strip()
            keys.append(key)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
                answer = await session.get(f"{one.daemon.url}/api/v1/me")
                assert answer.status == 200
    assert keys[0] == keys[1]
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600


async def test_commands_go_on_with_the_next_daemon_by_the_same_key(
    fake: FakeAri, tmp_path: Path
) -> None:
    found = []
    for _ in range(2):
        async with running(configured(fake, tmp_path)) as one:
            run = runfile.find()
            assert run is not None
            found.append(run.key)
            assert (await one.ask("GET", "/me"))[0] == 200
    assert found[0] == found[1] != (tmp_path / "admin.key").read_text().strip()
    (tmp_path / "admin.key").unlink()
    async with running(configured(fake, tmp_path)):
        run = runfile.find()
        assert run is not None
        assert run.key != found[0]


async def test_it_starts_without_asterisk_and_finds_it_later(tmp_path: Path, port: int) -> None:
    server = Server(f"http://127.0.0.1:{port}/ari", "callbridge", "not a secret")
    async with running(configured(server, tmp_path)) as one:
        status, _, text = await one.ask("GET", "/-/ready")
        assert (status, text.startswith("ari: ")) == (503, True)
        assert (await one.ask("GET", "/-/live"))[0] == 200
        assert await one.metric("callbridge_ari_up") == 0
        for path in ("/calls", "/endpoints"):
            status, _, problem = await one.ask("GET", path)
            assert (status, problem["code"]) == (503, "SERVER_UNREACHABLE"), path
        status, _, problem = await one.ask("POST", "/calls", {"to": "1002"})
        assert (status, problem["code"]) == (503, "SERVER_UNREACHABLE")
        # What does not need Asterisk is there.
        assert (await one.ask("GET", "/history"))[0] == 200
        late = FakeAri(port=port)
        async with late:
            await one.ready()
            assert await one.metric("callbridge_ari_up") == 1
            assert (await one.ask("GET", "/calls"))[0] == 200
            late.drop_sockets()
            await one.end()


async def test_asterisk_goes_and_comes_back(tmp_path: Path, port: int) -> None:
    first = FakeAri(port=port)
    async with first:
        server = Server(first.url, first.username, first.password)
        daemon = running(configured(server, tmp_path))
        one = await daemon.__aenter__()
        await one.ready()
    try:
        await until(lambda: one.daemon.parts and one.daemon.parts.client.link != "ok", "it is gone")
        assert (await one.ask("GET", "/-/ready"))[0] == 503
        assert (await one.ask("GET", "/-/live"))[0] == 200
        assert await one.metric("callbridge_ari_up") == 0
        again = FakeAri(port=port)
        async with again:
            await one.ready()
            assert await one.metric("callbridge_ari_up") == 1
            assert await one.end() is ExitCode.DONE
    finally:
        await daemon.__aexit__(None, None, None)


async def test_it_starts_without_its_database(fake: FakeAri, tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody:hush@127.0.0.1:{deaf.getsockname()[1]}/callbridge"
        async with running(configured(fake, tmp_path, f'[store]\nurl = "{url}"\n')) as one:
            await one.ready()
            _, _, health = await one.ask("GET", "/health")
            assert health["parts"]["store"] != "ok"
            assert "hush" not in str(health)
            status, _, problem = await one.ask("GET", "/history")
            assert (status, problem["code"]) == (503, "STORE_UNAVAILABLE")


async def test_draining_waits_for_commands_and_takes_no_new_ones(
    fake: FakeAri, tmp_path: Path
) -> None:
    fake.world.phones["1002"].answer = Answer.RING
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        ringing = asyncio.create_task(one.ask("POST", "/calls", {"to": "1002"}))
        await until(lambda: _rung(fake), "the phone rings")
        one.daemon.stop.ask()
        await until(lambda: one.daemon.parts and one.daemon.parts.service.draining, "it drains")
        status, headers, problem = await one.ask("POST", "/calls", {"to": "1001"})
        assert (status, problem["code"]) == (503, "DRAINING")
        assert int(headers["Retry-After"]) > 0
        status, _, text = await one.ask("GET", "/-/ready")
        assert (status, text.startswith("the daemon is about to stop")) == (503, True)
        assert (await one.ask("GET", "/health"))[2]["draining"] is True
        assert not one.task.done()
        fake.channel_answers(_rung(fake)[0])
        status, _, call = await ringing
        assert (status, call["state"]) == (201, "ANSWERED")
        async with asyncio.timeout(5):
            assert await one.task is ExitCode.DONE
    # His call stands as it is, for the daemon that comes next.
    assert fake.world.channels


def _rung(fake: FakeAri) -> list[str]:
    return [one.id for one in fake.world.channels.values() if one.state in {"Ring", "Ringing"}]


async def test_asked_twice_it_waits_for_nobody(fake: FakeAri, tmp_path: Path) -> None:
    fake.world.phones["1002"].answer = Answer.RING
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        ringing = asyncio.create_task(one.ask("POST", "/calls", {"to": "1002"}))
        await until(lambda: _rung(fake), "the phone rings")
        one.daemon.stop.ask()
        await until(lambda: one.daemon.parts and one.daemon.parts.service.draining, "it drains")
        one.daemon.stop.ask()
        async with asyncio.timeout(4):
            assert await one.task is ExitCode.DONE
        await asyncio.gather(ringing, return_exceptions=True)


async def test_a_call_is_left_to_the_next_daemon(
    fake: FakeAri, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        waiting = fake.incoming_call(caller="1003")
        await _calls(one, 1)
        talking = fake.incoming_call(caller="1001", number="1002")
        [call_id] = set(await _calls(one, 2)) - set(await _calls(one, 2, of="1003"))
        for command in ("answer", "connect"):
            status, _, _ = await one.ask("POST", f"/calls/{call_id}/{command}", {})
            assert status == 200
        status, _, _ = await one.ask("POST", f"/calls/{call_id}/observers", {})
        assert status == 201
        assert await one.end() is ExitCode.DONE
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    assert {waiting.id, talking.id} <= fake.world.channels.keys()
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        # Who waited is offered to programs again; those who talk are the call that they were.
        assert call_id in await _calls(one, 2)
        fake.channel_hangs_up(waiting.id)
        fake.channel_hangs_up(talking.id)
        await _calls(one, 0)


async def test_who_was_rung_is_not_rung_again_by_the_next_daemon(
    fake: FakeAri, tmp_path: Path
) -> None:
    async def originate(one: Running, connect: str) -> tuple[int, Any]:
        async with one.session.post(
            f"{one.daemon.url}/api/v1/calls",
            json={"to": "1001", "connect": connect},
            headers={"Idempotency-Key": "order-4711"},
        ) as answer:
            return answer.status, await answer.json()

    configuration = configured(fake, tmp_path, '[dialling]\nallow = ["PJSIP/100?"]')
    async with running(configuration) as one:
        await one.ready()
        status, made = await originate(one, "1002")
        assert (status, made["state"]) == (201, "CONNECTED")
        assert await one.end() is ExitCode.DONE
    async with running(configuration) as one:
        await one.ready()
        status, again = await originate(one, "1002")
        assert (status, again["call_id"], again["state"]) == (201, made["call_id"], "CONNECTED")
        status, refused = await originate(one, "1003")
        assert (status, refused["code"]) == (422, "BAD_ARGUMENT")
        assert await _calls(one, 1) == [made["call_id"]]
        await one.ask("DELETE", f"/calls/{made['call_id']}")
        await _calls(one, 0)


async def test_a_call_of_the_pbx_is_one_record_whichever_daemon_looks(
    fake: FakeAri, tmp_path: Path
) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await _calls(one, 0)
        gone, placed = fake.place_call("1003", "1004"), fake.place_call("1001", "1002")
        [call_id] = await _calls(one, 2, of="1001")
        began = (await _history(one, ended=0))[call_id]
    assert placed.callee is not None
    fake.channel_hangs_up(gone.caller.id)
    # He goes on with another callee, of whom the next daemon learns.
    fake.channel_transfers(placed.callee.id, "1005")
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        assert await _calls(one, 1) == [call_id]
        fake.channel_hangs_up(placed.caller.id)
        await _calls(one, 0)
        ended = await _history(one, ended=2)
    assert ended[call_id]["began_at"] == began["began_at"]
    assert ended.pop(call_id)["end_reason"] != "unknown"
    assert [c["end_reason"] for c in ended.values()] == ["unknown"]


async def _history(one: Running, *, ended: int) -> dict[str, dict[str, Any]]:
    """Wait until two calls are recorded, so many with an end; return them by their ids."""
    items: list[dict[str, Any]] = []

    async def recorded() -> bool:
        items[:] = (await one.ask("GET", "/history"))[2]["items"]
        return len(items) == 2 and sum(c["ended_at"] is not None for c in items) == ended

    await until_true(recorded, f"two calls are recorded, {ended} with an end")
    return {c["call_id"]: c for c in items}


async def test_calls_are_left_as_they_stand_by_a_daemon_that_cannot_look_at_them_yet(
    fake: FakeAri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        waiting = fake.incoming_call()
        await _calls(one, 1)
        await one.end()
    failures, look = [CommandTimeoutError("no answer in time")], DaemonClient.live_calls
    looked = asyncio.Event()

    async def fails_once(client: DaemonClient) -> tuple[LiveCall, ...]:
        if failures:
            raise failures.pop()
        looked.set()
        return await look(client)

    monkeypatch.setattr(DaemonClient, "live_calls", fails_once)
    async with running(configured(fake, tmp_path)) as one:
        await looked.wait()
        await _calls(one, 1)
        assert waiting.id in fake.world.channels


async def test_or_it_is_left_for_good(fake: FakeAri, tmp_path: Path) -> None:
    async with running(configured(fake, tmp_path, of_server='when_stopped = "leave"')) as one:
        await one.ready()
        channel = fake.incoming_call()
        await _calls(one, 1)
    await until(lambda: channel.id not in fake.world.channels, "the lone caller is hung up")


async def _calls(one: Running, count: int, *, of: str = "") -> list[str]:
    """Wait until there are so many calls; return their ids, or those of a caller."""
    items: list[dict[str, Any]] = []

    async def there_are() -> bool:
        status, _, said = await one.ask("GET", "/calls")
        # 503 until Asterisk is reached.
        items[:] = said["items"] if status == 200 else []
        return status == 200 and len(items) == count

    await until_true(there_are, f"there are {count} calls")
    return [c["call_id"] for c in items if of in {"", c["caller_number"]}]


async def test_another_program_takes_the_application(fake: FakeAri, tmp_path: Path) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        async with Client(fake.url, fake.username, fake.password, probe=False):
            async with asyncio.timeout(5):
                assert await one.task is ExitCode.REPLACED
    assert runfile.find() is None


async def test_a_port_that_is_taken_is_told(fake: FakeAri, tmp_path: Path) -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        taken = f"CALLBRIDGE__SERVER__PORT={there.getsockname()[1]}"
        configuration = configured(fake, tmp_path)
        port = int(taken.partition("=")[2])
        server = configuration.server.model_copy(update={"port": port})
        configuration = configuration.model_copy(update={"server": server})
        with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port} cannot.*server.port"):
            async with running(configuration):
                pass
    assert runfile.find() is None
    assert fake.applications == set()


@pytest.mark.parametrize(
    ("host", "warnings"),
    [("0.0.0.0", 1), ("127.0.0.2", 0), ("localhost", 0)],  # noqa: S104 - what it warns of
)
async def test_keys_that_others_can_read_on_their_way_are_warned_of(
    host: str, warnings: int, fake: FakeAri, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(configured(fake, tmp_path, of_server=f'host = "{host}"')):
        pass
    told = [one.getMessage() for one in caplog.records]
    assert [f"API at {host} speaks plain HTTP" in one for one in told].count(True) == warnings


async def test_figures(fake: FakeAri, tmp_path: Path) -> None:
    async with running(configured(fake, tmp_path)) as one:
        await one.ready()
        fake.incoming_call()
        [call_id] = await _calls(one, 1)
        assert await one.metric('callbridge_calls{state="PENDING"}') == 1
        status, _, _ = await one.ask("POST", f"/calls/{call_id}/answer")
        assert status == 200
        assert await one.metric('callbridge_calls{state="ANSWERED"}') == 1
        assert await one.metric('callbridge_calls{state="PENDING"}') == 0
        answers = 'callbridge_requests_total{operation="answer",status="200"}'
        assert await one.metric(answers) == 1
        assert await one.metric('callbridge_request_seconds_count{operation="answer"}') == 1
        assert await one.metric('callbridge_events_total{type="CALL_ANSWERED"}') == 1
        await one.ask("POST", "/calls/nobody/answer")
        assert await one.metric('callbridge_requests_total{operation="answer",status="404"}') == 1
        assert await one.metric("process_open_fds") > 3
        async with asyncio.timeout(5):
            while not await one.metric("callbridge_loop_lag_seconds_count"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_figures_at_a_port_of_their_own(fake: FakeAri, tmp_path: Path, port: int) -> None:
    async with running(configured(fake, tmp_path, f"[metrics]\nport = {port}\n")) as one:
        assert (await one.ask("GET", "/-/metrics"))[0] == 404
        async with one.session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
            assert "callbridge_ari_up" in await answer.text()


async def test_figures_are_told_to_nobody_when_they_are_off(fake: FakeAri, tmp_path: Path) -> None:
    async with running(configured(fake, tmp_path, "[metrics]\nenabled = false\n")) as one:
        assert (await one.ask("GET", "/-/metrics"))[0] == 404
