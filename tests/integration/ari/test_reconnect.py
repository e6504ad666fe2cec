"""What the connection does when the link, the server or another program gets in its way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bridge.ari import AriConnection, AriSettings, Backoff, LinkState, LinkStatus, events
from bridge.ari.http import PARALLEL_REQUESTS
from bridge.ari.media_door import door_of
from bridge.lab.fake_ari import FakeAri
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.model.errors import (
    AuthenticationError,
    CommandTimeoutError,
    ErrorCode,
    InvalidStateError,
    MediaError,
    RequestFailedError,
    ServerUnreachableError,
)

if TYPE_CHECKING:
    from tests.integration.ari.conftest import Line


def over_websocket(line: Line) -> list[bool]:
    """Tell of every list of channels whether it was asked for on the WebSocket."""
    return [r.over_websocket for r in line.fake.received if r.resource == "channels"]


async def test_a_cut_link_comes_back_and_says_that_events_were_lost(line: Line) -> None:
    await line.proxy.cut()
    again = await line.status(LinkStatus.UP, 2)
    assert [s.status for s in line.states] == [LinkStatus.UP, LinkStatus.DOWN, LinkStatus.UP]
    assert again.reconnected
    assert not again.restarted
    assert not line.states[1].refused
    assert line.states[0].reconnected is False
    channel = line.fake.incoming_call()
    await until(lambda: line.events, "an event on the new socket")
    assert line.events[-1].channel_ids() == (channel.id,)


async def test_an_application_that_asterisk_has_forgotten_is_registered_again(line: Line) -> None:
    line.fake.world.applications.known.clear()
    again = await line.status(LinkStatus.UP, 2)
    assert again.reconnected
    channel = line.fake.incoming_call()
    await until(lambda: line.events, "an event on the new socket")
    assert line.events[-1].channel_ids() == (channel.id,)


async def test_rest_over_websocket_is_probed_again_on_the_new_socket(line: Line) -> None:
    await line.connection.channels.list()
    line.fake.rest_over_websocket = False
    await line.proxy.cut()
    await line.status(LinkStatus.UP, 2)
    await line.connection.channels.list()
    assert over_websocket(line) == [True, False]
    await until(
        lambda: not line.connection.capabilities.rest_over_websocket, "the verdict of the probe"
    )


async def test_a_server_that_is_gone_is_tried_again_for_ever(line: Line) -> None:
    await line.proxy.refuse()
    await until(lambda: any(s.refused for s in line.states), "a refused attempt")
    down = [s for s in line.states if s.status is LinkStatus.DOWN]
    # Many attempts, but each state is reported once.
    assert [s.refused for s in down] == [False, True]
    with pytest.raises(ServerUnreachableError, match="cannot connect"):
        await line.connection.channels.list()
    await line.proxy.resume()
    assert (await line.status(LinkStatus.UP, 2)).reconnected
    assert await line.connection.channels.list() == ()


async def test_a_restarted_server_is_told_from_a_dropped_link(line: Line) -> None:
    line.fake.incoming_call()
    line.fake.server.startup_time = "2026-02-02T00:00:00.000+0000"
    line.fake.server.modules = ("chan_pjsip.so",)
    assert line.connection.capabilities.snoop
    line.fake.drop_sockets()
    assert (await line.status(LinkStatus.UP, 2)).restarted
    assert not line.connection.capabilities.snoop


async def test_what_was_measured_survives_a_restart_but_not_an_upgrade(line: Line) -> None:
    connection = line.connection
    connection.note_whisper_to_silent_leg(verdict=False, source="measured")
    line.fake.server.startup_time = "2026-02-02T00:00:00.000+0000"
    line.fake.drop_sockets()
    await line.status(LinkStatus.UP, 2)
    assert connection.capabilities.whisper_to_silent_leg is False
    assert connection.capabilities.sources["whisper_to_silent_leg"] == "measured"
    line.fake.server.startup_time = "2026-03-03T00:00:00.000+0000"
    line.fake.server.version = "22.11.0"
    line.fake.drop_sockets()
    await line.status(LinkStatus.UP, 3)
    assert connection.capabilities.whisper_to_silent_leg is None


async def test_a_stalled_link_is_noticed_by_the_heartbeat(line: Line) -> None:
    line.proxy.stall()
    down = await line.status(LinkStatus.DOWN)
    assert "WebSocket" in down.reason
    await line.proxy.resume()
    await line.status(LinkStatus.UP, 2)


async def test_a_request_without_an_answer_ends_by_its_deadline(line: Line) -> None:
    line.fake.failures.delay("GET", "channels", 0.3)
    with pytest.raises(CommandTimeoutError, match="GET channels: no answer in time") as caught:
        await line.connection.request("GET", "channels", within_s=0.05)
    assert caught.value.error_code is ErrorCode.COMMAND_TIMEOUT
    # The answer that comes too late is nobody's, and does no harm.
    assert await line.connection.channels.list() == ()
    assert line.connection.state.is_up


async def test_a_drop_fails_everybody_who_waits_with_an_unknown_outcome(line: Line) -> None:
    line.fake.failures.delay("GET", "channels", 5)
    waiting = [asyncio.create_task(line.connection.request("GET", "channels")) for _ in range(20)]
    await until(lambda: line.fake.count("GET", "channels"), "the first request at the server")
    await line.proxy.cut()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert len(errors) == 20
    assert all(isinstance(e, ServerUnreachableError) for e in errors)
    assert "whether Asterisk did it is unknown" in str(errors[0])


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_command_is_sent_once_even_when_the_link_drops(
    line: Line,
    carried_out: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    line.fake.failures.drop("POST", "bridges/b-1", carried_out=carried_out)
    with pytest.raises(ServerUnreachableError, match="unknown"):
        await line.connection.bridges.create_with_id(bridge_id="b-1")
    await line.status(LinkStatus.UP, 2)
    assert line.fake.count("POST", "bridges/b-1") == 1
    assert len(await line.connection.bridges.list()) == carried_out


async def test_what_waited_to_go_out_as_the_link_broke_is_not_sent_again(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.proxy.stall()
    # More than the buffers on the way take.
    commands = [
        asyncio.create_task(
            line.connection.request("POST", f"bridges/b-{n}", body={"name": "x" * 50_000})
        )
        for n in range(400)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    await line.proxy.cut()
    errors = await asyncio.gather(*commands, return_exceptions=True)
    assert {type(error) for error in errors} == {ServerUnreachableError}
    assert all("whether Asterisk did it is unknown" in str(error) for error in errors)
    assert "never retrieved" not in caplog.text
    await line.proxy.resume()
    await line.status(LinkStatus.UP, 2)
    # Behind whatever would be sent again.
    await line.connection.channels.list()
    assert [one for one in line.fake.received if one.method == "POST"] == []


async def test_while_the_socket_is_down_requests_take_plain_rest(line: Line) -> None:
    line.fake.failures.refuse("GET", "asterisk/info", status=503, times=10**6)
    line.fake.drop_sockets()
    await line.status(LinkStatus.DOWN, 2)
    assert await line.connection.channels.list() == ()
    assert over_websocket(line) == [False]
    line.fake.failures.rules.clear()
    await line.status(LinkStatus.UP, 2)


async def test_another_program_with_our_name_ends_the_reconnecting(line: Line) -> None:
    other_states: list[object] = []
    other = AriConnection(
        replace(line.connection.settings, url=line.fake.url),
        on_event=lambda _: None,
        on_state=other_states.append,
    )
    await other.open()
    replaced = await line.status(LinkStatus.REPLACED)
    assert "a name of its own" in replaced.reason
    assert line.connection.state.status is LinkStatus.REPLACED
    assert isinstance(line.events[-1], events.ApplicationReplaced)
    accepted = line.proxy.accepted
    # Commands still go out, by plain REST; the socket is not opened again.
    assert await line.connection.channels.list() == ()
    await other.channels.list()
    assert line.proxy.accepted <= accepted + 1
    assert line.states[-1].status is LinkStatus.REPLACED
    assert len(other_states) == 1
    await other.close()


async def test_close_ends_the_reconnecting(line: Line) -> None:
    await line.proxy.refuse()
    await until(lambda: any(s.refused for s in line.states), "a refused attempt")
    await line.connection.close()
    await line.proxy.resume()
    assert line.connection.state.status is LinkStatus.CLOSED
    with pytest.raises(InvalidStateError, match="not open"):
        await line.connection.channels.list()
    assert line.fake.applications == set()
    await line.connection.close()


async def test_close_fails_who_waits(line: Line) -> None:
    line.fake.failures.delay("GET", "channels", 5)
    waiting = asyncio.create_task(line.connection.request("GET", "channels"))
    await until(lambda: line.fake.count("GET", "channels"), "the request at the server")
    await line.connection.close()
    with pytest.raises(ServerUnreachableError):
        await waiting


async def test_a_request_as_another_program_takes_our_name_is_answered(
    fake: FakeAri, unopened: Line
) -> None:
    asked: list[asyncio.Task[object]] = []

    def ask(event: object) -> None:
        if isinstance(event, events.ApplicationReplaced):
            asked.append(asyncio.create_task(connection.request("GET", "channels", within_s=0.5)))

    connection = AriConnection(unopened.connection.settings, on_event=ask)
    await connection.open()
    await unopened.connection.open()
    await until(lambda: asked, "it is replaced")
    assert await asked[0] == []
    assert not fake.received[-1].over_websocket
    await connection.close()


async def test_close_ends_an_open_that_is_under_way(fake: FakeAri) -> None:
    turns = 0
    while True:
        states: list[LinkState] = []
        connection = AriConnection(
            AriSettings(fake.url, fake.username, fake.password),
            on_event=lambda _: None,
            on_state=states.append,
        )
        opening = asyncio.create_task(connection.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        is_open = opening.done()
        await connection.close()
        if is_open:
            await opening
            break
        with pytest.raises(InvalidStateError):
            await opening
        assert states[-1].status is connection.state.status is LinkStatus.CLOSED
        turns += 1
    assert turns


async def test_a_close_that_is_given_up_leaves_nothing_open(line: Line) -> None:
    closing = asyncio.create_task(line.connection.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    await until(lambda: line.fake.applications == set(), "Asterisk sees it, too")


async def test_close_fails_who_waits_for_his_turn(line: Line) -> None:
    line.fake.failures.delay("GET", "channels", 5, times=PARALLEL_REQUESTS)
    requests = [
        asyncio.create_task(line.connection.request("GET", "channels", plain=True))
        for _ in range(PARALLEL_REQUESTS + 1)
    ]
    await until(
        lambda: line.fake.count("GET", "channels") == PARALLEL_REQUESTS, "all but one are sent"
    )
    await line.connection.close()
    errors = await asyncio.gather(*requests, return_exceptions=True)
    assert {type(error) for error in errors} == {ServerUnreachableError}
    assert "closed before it went out" in str(errors[-1])


async def test_close_fails_who_waits_to_connect_to_a_media_channel(line: Line) -> None:
    async with door_of(line.connection.settings.root).changing():
        connecting = asyncio.create_task(line.connection.open_media_socket("m-1"))
        await asyncio.sleep(0)
        await line.connection.close()
    with pytest.raises(MediaError, match="closed before it went out"):
        await connecting


async def test_a_media_channel_that_is_refused_is_not_remembered(line: Line) -> None:
    line.fake.failures.refuse("POST", "channels/externalMedia", nth=2)
    for name in ("made", "refused"):
        making = line.connection.channels.external_media(
            channel_id=name,
            app="callbridge",
            external_host="INCOMING",
            transport="websocket",
            encapsulation="none",
            connection_type="server",
            format="slin16",
        )
        (outcome,) = await asyncio.gather(making, return_exceptions=True)
        assert isinstance(outcome, RequestFailedError) is (name == "refused")
    assert door_of(line.connection.settings.root).channels == {"made"}


async def test_a_link_that_is_looked_after_no_more_says_so(
    fake: FakeAri, proxy: BreakableProxy, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> float:
        raise RuntimeError("no dice")

    states: list[LinkState] = []
    settings = AriSettings(f"http://127.0.0.1:{proxy.port}/ari", fake.username, fake.password)
    connection = AriConnection(
        settings,
        on_event=lambda _: None,
        on_state=states.append,
        backoff=Backoff(random=broken),
    )
    await connection.open()
    await proxy.refuse()
    await until(lambda: "no dice" in states[-1].reason, "it is told")
    assert "looked after no more" in caplog.text
    await connection.close()
    assert [s.status for s in states[-2:]] == [LinkStatus.DOWN, LinkStatus.CLOSED]


async def test_open_says_that_nobody_is_there(unopened: Line) -> None:
    await unopened.proxy.refuse()
    with pytest.raises(ServerUnreachableError, match="is Asterisk running there"):
        await unopened.connection.open()
    assert unopened.connection.state.status is LinkStatus.CLOSED


async def test_open_says_that_the_password_is_wrong(unopened: Line) -> None:
    unopened.fake.password = "another one"
    with pytest.raises(AuthenticationError, match=r"ari\.conf") as caught:
        await unopened.connection.open()
    assert "not a secret" not in str(caught.value)
    assert "not a secret" not in repr(unopened.connection.settings)


async def test_open_says_that_it_is_no_ari(unopened: Line) -> None:
    fake = unopened.fake
    settings = AriSettings(f"{fake.url}/elsewhere", fake.username, fake.password)
    connection = AriConnection(settings, on_event=lambda _: None)
    with pytest.raises(ServerUnreachableError, match="not as ARI"):
        await connection.open()


async def test_open_does_not_wait_for_a_server_that_stalls(unopened: Line) -> None:
    unopened.proxy.stall()
    with pytest.raises(CommandTimeoutError):
        await unopened.connection.open()


async def test_open_twice(line: Line) -> None:
    with pytest.raises(InvalidStateError, match="opened before"):
        await line.connection.open()


async def test_before_open(unopened: Line) -> None:
    with pytest.raises(InvalidStateError, match="await open"):
        await unopened.connection.channels.list()


async def test_an_older_server_gets_plain_rest() -> None:
    async with FakeAri(rest_over_websocket=False) as fake:
        connection = AriConnection(
            AriSettings(fake.url, fake.username, fake.password), on_event=lambda _: None
        )
        await connection.open()
        assert not connection.capabilities.rest_over_websocket
        await connection.bridges.create_with_id(bridge_id="b-1")
        assert [r.over_websocket for r in fake.received if r.method == "POST"] == [False]
        await connection.close()


async def test_modules_that_are_not_shown_are_judged_by_the_version(unopened: Line) -> None:
    unopened.fake.server.version = "20.15.2"
    unopened.fake.failures.refuse("GET", "asterisk/modules", status=403, reason="Forbidden")
    await unopened.connection.open()
    found = unopened.connection.capabilities
    assert not found.websocket_media
    assert found.snoop
    assert found.sources["websocket_media"] == "version 20.15.2"


async def test_a_refusal_carries_status_resource_and_reason(line: Line) -> None:
    line.fake.failures.refuse("POST", "bridges/b-1", status=500, reason="no memory left", nth=2)
    await line.connection.bridges.create_with_id(bridge_id="b-1")
    with pytest.raises(RequestFailedError) as caught:
        await line.connection.bridges.create_with_id(bridge_id="b-1")
    error = caught.value
    assert (error.status, error.resource, error.reason) == (500, "bridges/b-1", "no memory left")
