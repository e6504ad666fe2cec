"""A variable of some channels that is kept in step with what is to be remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.ari import AriConnection
from bridge.directory import LiveCall
from bridge.lab.waiting import until
from bridge.model.errors import (
    CommandTimeoutError,
    RequestFailedError,
    ServerError,
    ServerUnreachableError,
)
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits, KeyMap
from bridge.model.modes import SPY
from bridge.model.participants import CALLEE, Participant
from bridge.runtime import memory as memory_module
from bridge.runtime.admission import Admission
from bridge.runtime.memory import (
    CALL_VARIABLE,
    LARGEST,
    Memory,
    Remembered,
    RememberedObserver,
    RememberedSeat,
    decode_call,
    decode_seat,
    encode,
    recall_call,
    recall_seat,
)
from bridge.runtime.notes import Notes
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.pulse import Pulses
from bridge.runtime.remembering import remembered_seat
from bridge.runtime.seat import AccessPolicy, Sat
from bridge.runtime.supervision import Supervision
from bridge.session.observer import Stage
from bridge.session.outline import Outline
from bridge.session.state import Phase

CALL = CallId("0123456789ab")


def remembered(**notes: str) -> Remembered:
    return Remembered(CALL, "1", "PJSIP/1001-1", Outline(Phase.CONNECTED), {}, notes=notes)


class Server:
    """Channels with one variable each; writes may be held up, or fail."""

    def __init__(self, *channels: str) -> None:
        self.values: dict[str, str] = dict.fromkeys(channels, "")
        self.writes = 0
        self.fails: ServerError | None = None
        self.stuck = ""
        self.go = asyncio.Event()
        self.go.set()
        self.channels = self

    async def request(
        self, method: str, resource: str, *, query: Mapping[str, str], body: Any, **_how: object
    ) -> None:
        assert (method, query) == ("POST", {"variable": CALL_VARIABLE})
        self.writes += 1
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        self.values[resource.split("/")[1]] = body["value"]

    async def get_channel_var(self, *, channel_id: str, variable: str) -> Any:
        del variable
        if channel_id == self.stuck:
            raise CommandTimeoutError("no answer in time")
        if channel_id not in self.values:
            raise RequestFailedError(status=404, method="GET", resource="", reason="not found")

        class Answer:
            value = self.values[channel_id]

        return Answer

    @property
    def ari(self) -> AriConnection:
        return cast("AriConnection", self)

    def read(self, channel: str) -> Remembered:
        memory = decode_call(self.values[channel])
        assert memory is not None
        return memory


def memory_of(server: Server, notes: Notes, serial: int = 0) -> Memory:
    made = Memory(
        server.ari,
        CALL_VARIABLE,
        lambda: remembered(**notes),
        lambda: tuple(server.values),
        serial=serial,
    )
    notes.listeners.append(made.changed)
    return made


async def test_every_channel_gets_it_and_only_what_changed_is_written() -> None:
    server, notes = Server("a", "b"), Notes()
    memory = memory_of(server, notes, serial=4)
    await memory.flush()
    assert (server.read("a").serial, server.read("b").serial, server.writes) == (5, 5, 2)
    await memory.flush()
    assert server.writes == 2
    server.values["c"] = ""
    await memory.flush()
    assert (server.read("c").serial, server.writes) == (5, 3)
    notes["music.caller"] = "jazz"
    await memory.flush()
    assert server.writes == 6
    assert {server.read(channel).serial for channel in "abc"} == {6}
    assert server.read("b").notes == {"music.caller": "jazz"}


async def test_the_latest_wins_while_one_is_being_written() -> None:
    server, notes = Server("a"), Notes()
    memory = memory_of(server, notes)
    running = asyncio.create_task(memory.run())
    try:
        server.go.clear()
        notes["n"] = "0"
        await until(lambda: server.writes == 1, "the first is being written")
        for number in range(1, 10):
            notes["n"] = str(number)
        server.go.set()
        await until(lambda: server.values["a"] and server.read("a").notes == {"n": "9"}, "written")
        assert server.writes == 2
    finally:
        running.cancel()


async def test_the_first_time_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "_PAUSE_SECONDS", 3600.0)
    server, notes = Server("a"), Notes()
    running = asyncio.create_task(memory_of(server, notes).run())
    try:
        notes["n"] = "1"
        await until(lambda: server.values["a"], "it is written")
        notes["n"] = "2"
        await asyncio.sleep(0)
        assert server.writes == 1
    finally:
        running.cancel()


async def test_what_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "_AGAIN_SECONDS", 0.01)
    server, notes = Server("a"), Notes()
    server.fails = ServerUnreachableError("no")
    memory = memory_of(server, notes)
    running = asyncio.create_task(memory.run())
    try:
        notes["n"] = "1"
        await until(lambda: server.writes > 2, "it is tried again")
        server.fails = None
        await until(lambda: server.values["a"] and server.read("a").notes == {"n": "1"}, "written")
    finally:
        running.cancel()


@pytest.mark.parametrize("status", [404, 409, 500])
async def test_a_refusal_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(memory_module, "_AGAIN_SECONDS", 0.0)
    server, notes = Server("a"), Notes()
    server.fails = RequestFailedError(status=status, method="POST", resource="", reason="no")
    memory = memory_of(server, notes)
    notes["n"] = "1"
    await memory.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not memory._due.is_set()
    server.fails = ServerUnreachableError("no")
    await memory.flush()
    await until(memory._due.is_set, "it is due again")


async def test_notes_that_are_too_long_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    server, notes = Server("a"), Notes()
    notes["n"] = "x" * LARGEST
    await memory_of(server, notes).flush()
    assert server.read("a").notes == {}
    assert "too long" in caplog.text


async def test_what_is_too_long_is_so_in_bytes() -> None:
    server, notes = Server("a"), Notes()
    notes["n"] = "\u4e2d" * (LARGEST // 2)
    await memory_of(server, notes).flush()
    assert server.read("a").notes == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"version":1,"x":' + "[" * 20_000,
        "[" * 20_000,
        '{"version":1,"call_id":"\ud800"}',
        '{"version":1e999}',
        "\x00",
        "{" * LARGEST,
        '{"version":1,"x":"' + "\u4e2d" * LARGEST + '"}',
    ],
)
def test_what_nobody_of_us_wrote_is_forgotten(text: str) -> None:
    assert decode_call(text) is None
    assert decode_seat(text) is None


async def test_a_channel_that_is_stuck_keeps_nobody_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server("a", "stuck")
    await memory_of(server, Notes()).flush()
    server.stuck = "stuck"
    found = await recall_call(server.ari, CALL, ["stuck", "a"])
    assert found is not None
    assert found.serial == 1
    assert "channel stuck: what is remembered there is not known" in caplog.text


async def test_the_newest_of_this_call_is_recalled() -> None:
    server = Server("a", "b", "c", "d")
    for channel, serial in (("a", 3), ("b", 7)):
        notes = Notes({"from": channel})
        alone = Server(channel)
        await memory_of(alone, notes, serial=serial).flush()
        server.values[channel] = alone.values[channel]
    server.values["c"] = encode(remembered()).replace(CALL, "ffffffffffff")
    server.values["d"] = "{"
    found = await recall_call(server.ari, CALL, ["a", "b", "c", "d", "gone"])
    assert found is not None
    assert (found.serial, found.notes) == (8, {"from": "b"})
    assert await recall_call(server.ari, CALL, ["c", "d", "gone"]) is None


async def test_a_seat_is_recalled() -> None:
    server = Server("a", "b")
    seat = RememberedSeat(RememberedObserver(Participant("boss")), CALL, ("1", "2"))
    server.values["a"] = encode(seat)
    assert await recall_seat(server.ari, "a") == seat
    assert await recall_seat(server.ari, "b") is None
    assert decode_seat(encode(seat).replace('"version":1', '"version":9')) is None


@pytest.mark.parametrize("limits", [None, KeyLimits(heard=False, reaches=lambda _call_id: True)])
def test_limits_are_limits_for_the_next_program_though_nothing_is_noted_of_them(
    limits: KeyLimits | None,
) -> None:
    engine = SimpleNamespace(
        name=Participant("boss"),
        state=SimpleNamespace(stage=Stage.PRESENT, mode=SPY),
        hears_coaching=False,
        coaches=CALLEE,
        limits=limits,
    )
    call = SimpleNamespace(call_id=CALL, channels={})
    seat = remembered_seat(cast("ObserverEngine", engine), cast("LiveCall", call))
    assert seat is not None
    read = decode_seat(encode(seat))
    assert read is not None
    admission = Admission(
        cast("AriConnection", None),
        cast("Supervision", SimpleNamespace(admit=lambda *_call, **_desk: engine)),
        cast("Any", None),
        access=AccessPolicy(),
        keys=KeyMap(),
        pulses=cast("Pulses", SimpleNamespace(new=lambda: None)),
    )
    again = admission.seat_again(
        cast("LiveCall", call), read.observer, Sat("1", "PJSIP/1003-1"), CALL
    )
    assert (again.limits is None) is (limits is None)
    assert again.limits is None or not again.limits.reaches(CALL)
