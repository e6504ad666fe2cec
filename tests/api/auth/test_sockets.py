"""The three sockets by every role and reach, and what befalls them when a key is revoked."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bridge.api.auth.principal import Principal
from bridge.api.sockets import audio
from bridge.api.sockets import events as event_sockets
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.protocol.frames import (
    CLOSE_BAD_FRAME,
    CLOSE_FORBIDDEN,
    CLOSE_NOT_FOUND,
    CLOSE_UNAUTHENTICATED,
    EVENTS_SOCKET,
    PROGRAM_SOCKET,
    Accept,
    Attach,
    Attached,
    AudioReady,
    Authenticate,
    Offer,
    Route,
    Snapshot,
    Subscribe,
    Withdrawn,
)
from bridge.protocol.permissions import Role
from tests.api.auth.scene import REACHES, Scene, arranged, key_of
from tests.support.daemon import RunningApi
from tests.support.sockets import Ended, FarEnd, audio_path, far_end

SEES: Final = {"all": "scf", "own": "sc", "own queue": "c", "other queue": "s"}
"""Whose calls are in a snapshot: of support, of the one in question, foreign; else foreign ones."""
REFUSED: Final = (ErrorCode.FORBIDDEN, CLOSE_FORBIDDEN)
NOT_THERE: Final = (ErrorCode.CALL_NOT_FOUND, CLOSE_NOT_FOUND)
NOBODY: Final = (ErrorCode.UNAUTHENTICATED, CLOSE_UNAUTHENTICATED)


@pytest.fixture
async def scene(fake: FakeAri, tmp_path: Path) -> AsyncIterator[Scene]:
    async with arranged(fake, tmp_path) as scene:
        yield scene


def reason(ended: object) -> tuple[ErrorCode, int]:
    """Return why a socket was closed, as its last words and its code say."""
    assert isinstance(ended, Ended), ended
    assert ended.cut_off is not None, ended
    assert ended.code is not None
    return ended.cut_off.code, ended.code


@pytest.mark.parametrize("reach", REACHES)
async def test_events_are_of_what_one_sees(scene: Scene, reach: str) -> None:
    sees = SEES.get(reach, "f")
    calls = {"s": scene.support_call, "c": scene.call, "f": scene.foreign_call}
    for role in Role:
        key = key_of(role, reach)
        async with far_end(scene.api, EVENTS_SOCKET, key=key) as far:
            first = await far.subscribe()
            assert isinstance(first, Snapshot)
            assert {call.call_id for call in first.calls} == {calls[one] for one in sees}
        for one, call_id in calls.items():
            async with far_end(scene.api, EVENTS_SOCKET, key=key) as far:
                await far.say(Subscribe(call_id=call_id))
                got = await far.next()
                if one in sees:
                    assert isinstance(got, Snapshot), (key, one, got)
                else:
                    assert reason(got) == NOT_THERE, (key, one)


@pytest.mark.parametrize("reach", REACHES)
async def test_audio_is_his_who_placed_the_observer(scene: Scene, reach: str) -> None:
    for role in Role:
        key = key_of(role, reach)
        for name in ("listener", "ai"):
            # The listener was placed by another admin.
            lets_in = role is Role.ADMIN or (name == "ai" and role is not Role.OBSERVER)
            async with far_end(
                scene.api, audio_path(scene.call), key=key, query={"as": name}
            ) as far:
                got = await far.next()
                if reach not in {"all", "own", "own queue"}:
                    assert reason(got) == NOT_THERE, (key, name)
                elif lets_in:
                    assert isinstance(got, AudioReady), (key, name, got)
                else:
                    assert reason(got) == REFUSED, (key, name)


async def test_programs_are_programs_and_admins(scene: Scene) -> None:
    for role in Role:
        for reach in REACHES:
            path = PROGRAM_SOCKET.format(name=f"{role} {reach}".replace(" ", "-"))
            async with far_end(scene.api, path, key=key_of(role, reach)) as far:
                await far.say(Attach())
                got = await far.next()
                if role in {Role.PROGRAM, Role.ADMIN}:
                    assert isinstance(got, Attached), (role, reach, got)
                    assert got.active
                    assert got.calls == ()
                else:
                    assert reason(got) == REFUSED, (role, reach)


async def test_no_socket_without_a_good_key(scene: Scene) -> None:
    keys = [await key_that_is(scene.api, kind) for kind in ("wrong", "revoked")]
    ways = itertools.product(("events", "audio", "program"), keys, ("header", "frame"))
    for path, key, shown in ways:
        async with opened(scene, path, key if shown == "header" else None) as far:
            if shown == "frame":
                await far.say(Authenticate(key=key))
            assert reason(await far.next()) == NOBODY, (path, shown)


async def key_that_is(api: RunningApi, kind: str) -> str:
    """Return a key that is good for nothing."""
    made = await api.done("POST", "/keys", {"name": "x", "role": "admin", "tenant": "*"})
    if kind == "wrong":
        return str(made["secret"][:-1] + ("A" if made["secret"][-1] != "A" else "B"))
    await api.done("DELETE", f"/keys/{made['key_id']}")
    return str(made["secret"])


def opened(scene: Scene, path: str, key: str | None) -> AbstractAsyncContextManager[FarEnd]:
    """Open one of the sockets."""
    query = {"as": "ai"} if path == "audio" else None
    paths = {
        "events": EVENTS_SOCKET,
        "audio": audio_path(scene.call),
        "program": PROGRAM_SOCKET.format(name="bot"),
    }
    return far_end(scene.api, paths[path], key=key, query=query)


async def test_a_revoked_key_closes_what_it_has_open(scene: Scene) -> None:
    api = scene.api
    gone, stays = [
        await api.done("POST", "/keys", {"name": name, "role": "program", "tenant": "default"})
        for name in ("gone", "stays")
    ]
    paths = ("events", "audio", "program")
    async with AsyncExitStack() as stack:
        ends = [
            await stack.enter_async_context(opened(scene, path, key["secret"]))
            for path, key in (*((path, gone) for path in paths), ("events", stays))
        ]
        *closed, other = ends
        for far in (closed[0], other):
            await far.subscribe()
        await closed[1].ready()
        await closed[2].say(Attach())
        assert isinstance(await closed[2].next(), Attached)
        async with asyncio.timeout(5.0):
            await api.done("DELETE", f"/keys/{gone['key_id']}")
            for far in closed:
                assert reason(await far.ended()) == NOBODY
        api.service.hub.publish("NEWS", call_id=scene.call)
        while (await other.event()).type != "NEWS":
            pass
    # Nobody is told of keys any more who is gone.
    await until(lambda: not api.service.authenticator.revoked, "all sockets are closed")


async def test_a_key_that_is_revoked_before_the_work_begins_closes_what_it_opens(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, waiting = asyncio.Event(), asyncio.Event()

    async def taken_up() -> None:
        waiting.set()
        await reached.wait()

    key = await api.done("POST", "/keys", {"name": "gone", "role": "program", "tenant": "default"})
    monkeypatch.setattr(api.service, "taken_up", taken_up)
    async with far_end(api, EVENTS_SOCKET, key=key["secret"]) as far:
        await waiting.wait()
        await api.done("DELETE", f"/keys/{key['key_id']}")
        reached.set()
        async with asyncio.timeout(5.0):
            assert reason(await far.next()) == NOBODY


async def test_a_program_commands_its_own_calls_and_nobodys(scene: Scene) -> None:
    api = scene.api
    api.keys |= {
        name: (
            await api.done("POST", "/keys", {"name": name, "role": "program", "tenant": "default"})
        )["secret"]
        for name in ("one", "two")
    }
    async with far_end(api, PROGRAM_SOCKET.format(name="bot"), key="one") as far:
        await far.say(Attach())
        assert isinstance(await far.next(), Attached)
        call_id = await take(scene, far)
        path = f"/calls/{call_id}"
        for method, what, body in (
            ("POST", "/answer", None),
            ("PUT", "/mode", {"mode": "barge"}),
            ("POST", "/leave", {}),
            ("POST", "/connect", {"to": "1003"}),
            ("POST", "/parties", {"to": "1003"}),
            ("PATCH", "/parties/caller", {"muted": True}),
            ("DELETE", "/parties/caller", None),
            ("POST", "/transfers", {"to": [["1003"]]}),
            ("POST", "/recordings", {}),
            ("POST", "/say", {"text": "x"}),
            ("POST", "/parking", {}),
            ("DELETE", "", None),
        ):
            reply = await api.ask(method, path + what, body, key="two")
            assert (reply.status, reply.code) == (403, "FORBIDDEN"), (method, what, reply.raw)
            assert "the program bot has this call" in reply.json["detail"]
        for key in ("two", "supervisor"):
            async with far_end(api, audio_path(call_id), key=key, query={"as": "ai"}) as other:
                assert reason(await other.next()) == REFUSED, key
        # It sees it and may listen; the program itself, and a supervisor, may command it.
        assert (await api.done("GET", path, key="two"))["program"] == "bot"
        await api.done("POST", f"{path}/observers", {"name": "boss"}, key="supervisor")
        await api.done("POST", f"{path}/observers", {"name": "spy"}, key="two")
        coaching: tuple[tuple[str, str, object], ...] = (
            ("POST", "", {"mode": "barge"}),
            ("PUT", "/spy/mode", {"mode": "whisper", "to": ["caller"]}),
            ("POST", "/spy/takeover", {}),
            ("PUT", "/boss/mode", {"mode": "spy"}),
            ("POST", "/boss/move", {}),
            ("DELETE", "/boss", None),
        )
        for method, what, wanted in coaching:
            reply = await api.ask(method, f"{path}/observers{what}", wanted, key="two")
            assert (reply.status, reply.code) == (403, "FORBIDDEN"), (what, reply.raw)
        seen = {one["name"] for one in (await api.done("GET", f"{path}/observers"))["items"]}
        assert seen == {"boss", "spy"}
        await api.done("PUT", f"{path}/observers/spy/mode", {"mode": "spy"}, key="two")
        await api.done("DELETE", f"{path}/observers/spy", key="two")
        await api.done("POST", f"{path}/answer", key="one")
        async with far_end(api, audio_path(call_id), key="one", query={"as": "ai"}) as own:
            await own.ready()
        await api.done("DELETE", path, key="supervisor")
        nobodys = {"music": "default"}
        await api.done("PUT", f"/calls/{scene.call}/music", nobodys, key="two")


async def test_who_watches_leaves_room_for_who_has_calls(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_sockets, "MOST_WATCHERS", 1)
    async with (
        far_end(api, EVENTS_SOCKET) as first,
        far_end(api, EVENTS_SOCKET) as second,
        far_end(api, PROGRAM_SOCKET.format(name="bot"), key="program") as program,
    ):
        assert isinstance(await first.subscribe(), Snapshot)
        assert reason(await second.next()) == (ErrorCode.RATE_LIMITED, 1013)
        await program.say(Attach())
        assert isinstance(await program.next(), Attached)


async def test_who_had_the_audio_of_nobodys_call_has_it_until_a_program_has_the_call(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "SEEN_SECONDS", 0.05)
    api, program = scene.api, Principal("bot", Role.PROGRAM, "default")
    async with (
        far_end(api, PROGRAM_SOCKET.format(name="bot"), key="program") as bot,
        far_end(api, audio_path(scene.call), key="program", query={"as": "ai"}) as own,
        far_end(api, audio_path(scene.call), key="supervisor", query={"as": "ai"}) as other,
    ):
        await bot.say(Attach())
        await bot.nearest(Attached)
        for far in (own, other):
            await far.ready()
        api.service.programs.assign(scene.active(scene.call), program, "bot")
        assert reason(await other.ended()) == REFUSED
        # Whether it is still his business is looked at before he is told how far it is.
        await own.ws.send_bytes(bytes(640))
        assert (await own.progress()).received == 640


@pytest.mark.parametrize("name", ["", "X Y", "X)", "X,1", "X\n", "é", "X" * 65])
async def test_a_route_by_no_header_is_refused_and_disturbs_nobody(scene: Scene, name: str) -> None:
    bad, good = (PROGRAM_SOCKET.format(name=one) for one in ("bad", "good"))
    async with far_end(scene.api, bad, key="program") as far:
        frame = {"type": "attach", "routes": [{"header": [name, "*"]}]}
        await far.ws.send_str(msgspec.json.encode(frame).decode())
        assert reason(await far.next()) == (ErrorCode.BAD_ARGUMENT, CLOSE_BAD_FRAME)
    async with far_end(scene.api, good, key="program") as far:
        await far.say(Attach(routes=(Route(header=("X-Queue", "*")), Route())))
        assert isinstance(await far.next(), Attached)
        await scene.ring("1002")
        assert isinstance(await far.next(), Offer)


async def test_nobodys_calls_wait_for_the_headers_of_another_tenants_program(scene: Scene) -> None:
    def asked(name: str) -> bool:
        return any(name in one.query.get("variable", "") for one in scene.fake.received)

    async with AsyncExitStack() as stack:
        foreign, own = [
            await stack.enter_async_context(
                far_end(scene.api, PROGRAM_SOCKET.format(name="bot"), key=key_of(role, reach))
            )
            for role, reach in ((Role.PROGRAM, "foreign"), (Role.PROGRAM, "own"))
        ]
        await foreign.say(Attach(routes=(Route(header=("X-Theirs", "*")),)))
        await own.say(Attach(routes=(Route(header=("X-Own", "*")),)))
        for far in (foreign, own):
            assert isinstance(await far.next(), Attached)
        await take(scene, own)
        assert asked("X-Own")
        assert not asked("X-Theirs")
        await scene.ring("1004")
        assert isinstance(await foreign.next(), Offer)
        assert asked("X-Theirs")


async def take(scene: Scene, far: FarEnd) -> str:
    """Let a call come in for a program, which takes it."""
    call_id = await scene.ring("1002")
    assert (await far.nearest(Offer)).call.call_id == call_id
    await far.say(Accept(call_id=call_id))
    await until(
        lambda: scene.api.service.programs.program_of(call_id) == "bot", "the program has the call"
    )
    return call_id


async def test_a_program_gets_no_call_of_another_tenant(scene: Scene) -> None:
    api = scene.api
    keys = [key_of(Role.PROGRAM, reach) for reach in ("foreign", "own")]
    async with AsyncExitStack() as stack:
        foreign, own = [
            await stack.enter_async_context(
                far_end(api, PROGRAM_SOCKET.format(name="bot"), key=key)
            )
            for key in keys
        ]
        for far in (foreign, own):
            await far.say(Attach())
            # Of the same name, but another tenant's: both are active.
            attached = await far.next()
            assert isinstance(attached, Attached)
            assert attached.active
        call_id = await take(scene, own)
        # Nothing was offered to it: this is the first that it is told.
        await foreign.say(Accept(call_id=call_id))
        assert await foreign.next() == Withdrawn(call_id=call_id)
        reply = await api.ask("POST", f"/calls/{call_id}/answer", key=keys[0])
        assert reply.code == "CALL_NOT_FOUND"
        assert (await api.done("GET", f"/calls/{call_id}", key=keys[1]))["program"] == "bot"
