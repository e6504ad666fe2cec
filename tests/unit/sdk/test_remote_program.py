"""What a program by URL makes of what its socket says, without a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bridge.ari import Backoff
from bridge.lab.waiting import until
from bridge.model.errors import (
    CallClosedError,
    CallNotFoundError,
    ConfigurationError,
    InvalidStateError,
    NotFoundError,
    RateLimitedError,
    ServerUnreachableError,
)
from bridge.model.modes import AudioMode
from bridge.model.states import CallState, EndReason
from bridge.protocol import frames, operations
from bridge.protocol.operations import Operation
from bridge.protocol.views import (
    CallView,
    CapabilitiesView,
    EventView,
    ObserverView,
    Page,
    RecordingView,
    TransferView,
)
from bridge.runtime.recorder import RecordingState
from bridge.sdk import events
from bridge.sdk.events import ObserverNews, WatchEvent
from bridge.sdk.remote import RemoteClient, core, reception
from bridge.sdk.remote import client as remote
from bridge.sdk.remote.call import RemoteCall
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.shown import live_call_of
from bridge.sdk.remote.transfer import RemoteTransfer
from bridge.sdk.remote.wire import Wire
from bridge.session.observer.effects import LeftReason
from bridge.session.transfer.effects import Outcome


@pytest.fixture
async def client() -> AsyncIterator[RemoteClient]:
    """A client that is connected to nothing."""
    client = RemoteClient(url="http://127.0.0.1:1", key="none", sample_rate=8000, program="desk")
    yield client
    await client._end()


def attached(
    *calls: CallView, seq: int, active: bool = True, resumed: bool = True
) -> frames.Attached:
    """Return what the daemon says to who attaches."""
    return frames.Attached(
        active=active,
        sample_rate=8000,
        calls=calls,
        resumed=resumed,
        at=frames.Position(epoch="e", seq=seq),
    )


def call_view(transfer: TransferView | None = None) -> CallView:
    return CallView(
        call_id="c1",
        tenant="",
        own=True,
        since=0.0,
        state=CallState.CONNECTED,
        program="desk",
        transfer=transfer,
        revision=7,
    )


def originated(call_id: str) -> CallView:
    """Return a call whose caller was rung, and has answered."""
    return CallView(
        call_id=call_id,
        tenant="",
        own=True,
        since=0.0,
        state=CallState.ANSWERED,
        program="desk",
        originated=True,
    )


def key(seq: int) -> frames.Event:
    """Return the event of a key."""
    event = EventView(
        seq=seq,
        epoch="e",
        at=0.0,
        type=events.DTMF_RECEIVED,
        call_id="c1",
        data={"party": "caller", "key": str(seq)},
    )
    return frames.Event(event=event)


def taken(client: RemoteClient) -> RemoteCall:
    """Let the program have a call."""
    client._program._frame(attached(seq=1))
    return client.take(call_view())


async def test_an_event_that_is_told_again_is_told_once(client: RemoteClient) -> None:
    call, pressed = taken(client), list[str]()
    call.on(events.DTMF_RECEIVED, lambda _call, _party, one: pressed.append(one))
    for frame in (key(2), key(3), attached(call_view(), seq=3), key(2), key(3), key(4)):
        client._program._frame(frame)
    await asyncio.sleep(0)
    await client.handlers.close(1.0)
    assert pressed == ["2", "3", "4"]


async def test_what_was_promised_and_did_not_come_before_the_next_break_is_asked_for_again(
    client: RemoteClient,
) -> None:
    taken(client)
    for frame, seen in (
        (key(3), 3),
        (attached(call_view(), seq=9, resumed=True), 3),
        (key(5), 5),
        (attached(call_view(), seq=20, resumed=False), 20),
    ):
        client._program._frame(frame)
        assert client._program._hello().after == frames.Position(epoch="e", seq=seen)


async def test_a_call_may_end_before_it_is_known_that_it_was_placed(client: RemoteClient) -> None:
    client._program._frame(attached(seq=1))
    ended = EventView(
        seq=2,
        epoch="e",
        at=0.0,
        type=events.CALL_TERMINATED,
        call_id="c1",
        data={"reason": EndReason.CALLER_HUNG_UP},
    )
    client._program._frame(frames.Event(event=ended))
    call = client.take(call_view())
    assert (call.state, call.end_reason) == (CallState.DISCONNECTED, EndReason.CALLER_HUNG_UP)
    assert client.calls == ()


async def test_a_call_that_the_program_has_no_longer_is_lost(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_arguments: object, **_how: object) -> None:
        raise CallNotFoundError("c1")

    monkeypatch.setattr(core, "_TOLD_SECONDS", 0.01)
    monkeypatch.setattr(Http, "ask", gone)
    call = taken(client)
    client._program._frame(attached(seq=9))
    await asyncio.gather(*client._tasks)
    assert (call.state, call.end_reason) == (CallState.DISCONNECTED, EndReason.SERVER_LOST)


@pytest.mark.parametrize("command", ["whisper", "close", "disconnect"])
async def test_that_a_call_is_not_there_is_believed_of_who_has_said_which_are(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    async def gone(*_arguments: object, **_how: object) -> None:
        raise CallNotFoundError("c1")

    monkeypatch.setattr(core, "_TOLD_SECONDS", 0.01)
    monkeypatch.setattr(Http, "ask", gone)
    monkeypatch.setattr(Http, "tell", gone)
    call = taken(client)
    client._program._down("the daemon is another one")
    with pytest.raises(ServerUnreachableError):
        await getattr(call, command)()
    assert (call.state, client.calls) == (CallState.CONNECTED, (call,))
    client._program._frame(attached(call_view(), seq=1, resumed=False))
    if command == "whisper":
        with pytest.raises(CallClosedError):
            await call.whisper()
    else:
        await getattr(call, command)()
        assert call.state is CallState.DISCONNECTED


async def test_a_call_that_it_has_after_all_goes_on(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def there(*_arguments: object, **_how: object) -> CallView:
        asked.append("whose it is")
        if len(asked) == 1:
            raise RateLimitedError("not so often")
        return call_view()

    asked: list[str] = []

    monkeypatch.setattr(core, "_TOLD_SECONDS", 0.01)
    monkeypatch.setattr(Http, "ask", there)
    call = taken(client)
    client._program._frame(attached(seq=9))
    await asyncio.gather(*client._tasks)
    assert call.state is CallState.CONNECTED
    assert len(asked) == 2


@pytest.mark.parametrize("leaves", [False, True])
async def test_nobody_waits_for_a_transfer_that_is_another_ones(
    client: RemoteClient, *, leaves: bool
) -> None:
    call = taken(client)
    call.see(call_view(TransferView(transfer_id="t1", call_id="c1", stage="ringing")))
    transfer = call.last_transfer
    assert transfer is not None
    waiting = asyncio.create_task(transfer.wait())
    if leaves:
        await client._end()
    else:
        client._program._frame(attached(seq=2, active=False))
    async with asyncio.timeout(1.0):
        assert await waiting is Outcome.CALL_OVER


async def test_a_call_that_somebody_originates_for_it_comes_in(client: RemoteClient) -> None:
    came: list[str] = []
    client.on(events.INCOMING_CALL, lambda call: came.append(call.call_id))
    client._program._frame(attached(seq=1))
    client._program._frame(frames.Granted(call=originated("c1")))
    await asyncio.gather(*client._tasks)
    await client.handlers.close(1.0)
    assert came == ["c1"]
    assert [call.originated for call in client.calls] == [True]


@pytest.mark.parametrize("early", [True, False], ids=["before the answer", "after it"])
async def test_a_call_that_it_originates_itself_does_not_come_in(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch, *, early: bool
) -> None:
    granted, came = frames.Granted(call=originated("c1")), list[str]()

    async def rung(*_arguments: object, **_how: object) -> CallView:
        if early:
            client._program._frame(granted)
            await asyncio.sleep(0)
        return granted.call

    async def nothing() -> None: ...

    monkeypatch.setattr(reception, "PLACED_SECONDS", 0.01)
    monkeypatch.setattr(Http, "ask", rung)
    monkeypatch.setattr(client, "_online", lambda: None)
    monkeypatch.setattr(client._program, "open", nothing)
    client.on(events.INCOMING_CALL, lambda call: came.append(call.call_id))
    client._program._frame(attached(seq=1))
    call = await client.originate("1005")
    if not early:
        client._program._frame(granted)
    await asyncio.gather(*client._tasks)
    await client.handlers.close(1.0)
    assert (client.calls, came) == ((call,), [])


async def test_what_is_told_of_an_observer_is_not_undone_by_a_late_answer(
    client: RemoteClient,
) -> None:
    before = ObserverView(name="sue", call_id="c1", mode=AudioMode.SPY, revision=8)
    now = msgspec.structs.replace(before, mode=AudioMode.BARGE, revision=9)
    observer = client._observer(before)
    observer.told(
        EventView(
            seq=1,
            epoch="e",
            at=0.0,
            type=events.OBSERVER_MODE_CHANGED,
            call_id="c1",
            call=msgspec.structs.replace(call_view(), observers=(now,)),
            data={"observer": "sue", "mode": AudioMode.BARGE, "whispers_to": []},
        )
    )
    seen = [observer.mode]
    for answer in (before, msgspec.structs.replace(before, revision=10)):
        observer.see(answer)
        seen.append(observer.mode)
    assert seen == [AudioMode.BARGE, AudioMode.BARGE, AudioMode.SPY]


@pytest.mark.parametrize("command", ["complete", "cancel"])
@pytest.mark.parametrize("known", [True, False])
async def test_a_transfer_whose_call_is_over_is_over(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch, command: str, *, known: bool
) -> None:
    async def gone(*_arguments: object, **_how: object) -> None:
        raise CallNotFoundError("c1")

    monkeypatch.setattr(Http, "ask", gone)
    call = taken(client)
    call.see(call_view(TransferView(transfer_id="t1", call_id="c1", stage="ringing")))
    transfer = call.last_transfer
    assert transfer is not None
    if not known:
        client._program._down("the daemon is another one")
    with pytest.raises(InvalidStateError if known else ServerUnreachableError):
        await getattr(transfer, command)()


async def test_what_is_done_already_may_be_asked_for_again(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_arguments: object, **_how: object) -> None:
        raise CallNotFoundError("c1")

    monkeypatch.setattr(Http, "ask", gone)
    call = taken(client)
    ended = TransferView(transfer_id="t1", call_id="c1", stage="over", outcome="completed")
    call.see(call_view(ended))
    transfer = call.last_transfer
    assert transfer is not None
    assert isinstance(transfer, RemoteTransfer)
    transfer.told(events.TRANSFER_ENDED)
    await transfer.complete()
    with pytest.raises(InvalidStateError, match="over"):
        await transfer.cancel()


async def test_a_socket_that_cannot_be_opened_yet_costs_no_call(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shown(*_arguments: object, **_how: object) -> CapabilitiesView:
        return CapabilitiesView(version="22", sample_rate=8000)

    async def opened(_line: Wire) -> None:
        attempts.append(_line)
        if len(attempts) in {2, 3}:
            raise ServerUnreachableError("it is being restarted")

    attempts: list[Wire] = []
    monkeypatch.setattr(Http, "ask", shown)
    monkeypatch.setattr(Wire, "open", opened)
    monkeypatch.setattr(remote, "BACKOFF", Backoff(shortest_s=0.001))
    client.on(events.INCOMING_CALL, lambda: None)
    await client.connect()
    call = taken(client)
    client.on(events.LIVE_CALL_BEGAN, lambda: None)
    await until(lambda: len(attempts) == 4, "it is tried again until it is there")
    await until(lambda: not client._tasks, "and then no more")
    assert (call.state, client.calls) == (CallState.CONNECTED, (call,))


async def test_who_is_told_of_everything_hears_of_observers_and_live_calls(
    client: RemoteClient,
) -> None:
    told: list[tuple[str, object]] = []
    client.tap(lambda event, about: told.append((event, about)))
    said = {"observer": "boss", "mode": "whisper", "whispers_to": ["callee"]}
    for event, data in (
        (WatchEvent.OBSERVER_JOINED, {"observer": "boss", "mode": "spy", "whispers_to": []}),
        (events.OBSERVER_MODE_CHANGED, said),
        (WatchEvent.OBSERVER_MOVED, said),
        (events.OBSERVER_LEFT, said | {"reason": "hung_up"}),
    ):
        client.watched(EventView(seq=1, epoch="e", at=0.0, type=event, call_id="c1", data=data))
    view = call_view()
    changed = EventView(
        seq=2, epoch="e", at=0.0, type=WatchEvent.LIVE_CALL_CHANGED, call_id="c1", call=view
    )
    client.watched(changed)
    whispers = ObserverNews("c1", "boss", AudioMode.WHISPER, frozenset({"callee"}))
    assert told == [
        (WatchEvent.OBSERVER_JOINED, ObserverNews("c1", "boss", AudioMode.SPY, frozenset())),
        (events.OBSERVER_MODE_CHANGED, whispers),
        (WatchEvent.OBSERVER_MOVED, whispers),
        (events.OBSERVER_LEFT, replace(whispers, left=LeftReason.HUNG_UP)),
        (WatchEvent.LIVE_CALL_CHANGED, live_call_of(view)),
    ]


async def test_a_recording_that_is_over_is_over_without_its_daemon(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_arguments: object, **_how: object) -> None:
        raise NotFoundError("c1-1")

    monkeypatch.setattr(Http, "ask", gone)
    call = taken(client)
    recording = RecordingView(recording_id="c1-1", call_id="c1", state="recording", seconds=0.0)
    call.see(msgspec.structs.replace(call_view(), recordings=(recording,)))
    [kept] = call.recordings
    client._program._frame(attached(seq=2, active=False))
    assert await kept.wait_ended() is RecordingState.FAILED
    await kept.stop()


async def test_a_folder_that_cannot_be_written_to(client: RemoteClient, tmp_path: Path) -> None:
    call = taken(client)
    recording = RecordingView(
        recording_id="c1-1", call_id="c1", state="recording", seconds=0.0, files=("one.wav",)
    )
    call.see(msgspec.structs.replace(call_view(), recordings=(recording,)))
    [kept] = call.recordings
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        await kept.fetch(to=file)


async def test_who_has_asked_for_the_live_calls_knows_them_from_then_on(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(_http: Http, operation: Operation, *_more: object, **_how: object) -> object:
        if operation is operations.SHOW_CAPABILITIES:
            return CapabilitiesView(version="22", sample_rate=8000)
        return Page(items=(call_view(),))

    async def opened(_line: Wire) -> None: ...

    monkeypatch.setattr(Http, "ask", answered)
    monkeypatch.setattr(Wire, "open", opened)
    client.on(events.INCOMING_CALL, lambda: None)
    await client.connect()
    call = taken(client)
    assert client.observers(call) == ()
    for ask in (lambda: client.known_calls, lambda: client.observers("another")):
        with pytest.raises(InvalidStateError, match="live_calls"):
            ask()
    client._program._frame(attached(seq=2, active=False))
    assert (call.state, client.observers(call)) == (CallState.DISCONNECTED, ())
    assert await client.live_calls() == (live_call_of(call_view()),)
    assert (client.known_calls, client.observers("another")) == ((), ())
