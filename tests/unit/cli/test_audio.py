"""Where audio of commands goes, and where it comes from."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
import types
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from bridge.cli import audio
from bridge.cli.audio import Microphone, PipeSink, SpeakerSink, WavSink, file_frames, sink_for
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CallbridgeError, ConfigurationError

RATE = 16000
FRAME = bytes(range(64)) * 10


class FakeStream:
    """Stands for a stream of PortAudio: its callback is called by the test."""

    made: list[FakeStream] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, *, callback: Callable[..., None], **settings: Any) -> None:
        self.callback = callback
        self.settings = settings
        self.does = ["made"]
        FakeStream.made.append(self)

    def start(self) -> None:
        self.does.append("started")

    def close(self) -> None:
        self.does.append("closed")


class FakePortAudioError(Exception):
    pass


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    library = types.ModuleType("sounddevice")
    library.__dict__.update(
        RawOutputStream=FakeStream,
        RawInputStream=FakeStream,
        PortAudioError=FakePortAudioError,
        check_output_settings=lambda: None,
        check_input_settings=lambda: None,
    )
    FakeStream.made.clear()
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def frames_of(path: Path) -> int:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return file.getnframes()


def test_a_disk_that_is_full_from_the_first_byte_on() -> None:
    with pytest.raises(BadArgumentError, match="/dev/full cannot be written: No space left"):
        WavSink(Path("/dev/full"), RATE)


def test_a_wav_file_is_right_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with WavSink(path, RATE) as sink:
        assert frames_of(path) == 0
        for _ in range(70):
            sink.take(FRAME)
        assert frames_of(path) == 50 * 320, "as it is when this process is killed now"
    assert frames_of(path) == 70 * 320


def test_a_wav_file_is_whole_when_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"

    def interrupted() -> None:
        with WavSink(path, RATE) as sink:
            sink.take(FRAME)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert frames_of(path) == 320


def test_what_is_named_is_where_it_goes(tmp_path: Path, sounddevice: types.ModuleType) -> None:
    del sounddevice
    with sink_for(tmp_path / "x.wav", RATE) as sink:
        assert isinstance(sink, WavSink)
    assert isinstance(sink_for(Path("-"), RATE), PipeSink)
    assert isinstance(sink_for(None, RATE), SpeakerSink)
    with pytest.raises(BadArgumentError, match="cannot be written"):
        sink_for(tmp_path / "none" / "x.wav", RATE)


@contextmanager
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """Yield whence standard output is read."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as output, os.fdopen(reader, "rb") as read:
        monkeypatch.setattr(sys, "stdout", output)
        yield read


async def nobody_writes() -> None:
    names = "standard output"
    await until(lambda: names not in {one.name for one in threading.enumerate()}, "it has ended")


async def test_who_reads_late_loses_the_oldest_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = [n.to_bytes(2, "little") * 320 for n in range(1000)]
    with piped(monkeypatch) as read, PipeSink() as sink:
        for frame in frames:
            sink.take(frame)
        reading = asyncio.create_task(asyncio.to_thread(read.read, 640 * 500))
        lost = await sink.settle()
        sys.stdout.close()
        heard = await reading + read.read()
    come = [int.from_bytes(heard[at : at + 2], "little") for at in range(0, len(heard), 640)]
    assert len(come) + lost == 1000
    assert come == sorted(set(come))
    assert come[-499:] == list(range(501, 1000)), "the newest are all there"
    assert lost > 300
    await nobody_writes()


async def test_who_never_reads_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_LAST_SECONDS", 0.05)
    with piped(monkeypatch) as read:
        with PipeSink() as sink:
            for _ in range(200):
                sink.take(FRAME)
            assert await sink.settle() >= 200 - 65536 // 640 - 1
        read.close()
        await nobody_writes()


async def test_who_leaves_is_known_to_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = PipeSink()

    async def say() -> None:
        with sink:
            sink.take(FRAME)
            await sink.settle()

    with piped(monkeypatch) as read:
        read.close()
        with pytest.raises(BrokenPipeError):
            await say()
    with pytest.raises(BrokenPipeError):
        sink.take(FRAME)


def test_speakers_play_in_order_and_are_silent_between(sounddevice: types.ModuleType) -> None:
    del sounddevice
    with SpeakerSink(RATE) as sink:
        [stream] = FakeStream.made
        assert stream.settings == {
            "samplerate": RATE,
            "blocksize": 320,
            "channels": 1,
            "dtype": "int16",
        }
        for n in range(60):
            sink.take(bytes([n]) * 640)
        played = []
        for _ in range(51):
            block = bytearray(640)
            stream.callback(block, 320, None, None)
            played.append(block[0])
        assert played == [*range(10, 60), 0], "the oldest gave way; then silence"
    assert stream.does == ["made", "started", "closed"]


async def test_a_microphone_is_heard_until_nobody_listens(sounddevice: types.ModuleType) -> None:
    del sounddevice
    frames = Microphone(RATE).frames()
    first = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    [stream] = FakeStream.made
    for n in (1, 2):
        stream.callback(memoryview(bytes([n]) * 640), 320, None, None)
    assert (await first)[0] == 1
    assert (await anext(frames))[0] == 2
    await frames.aclose()
    assert stream.does == ["made", "started", "closed"]


def listen_long(path: Path) -> None:
    with WavSink(path, RATE) as sink:
        for _ in range(200):
            sink.take(FRAME)


def test_a_file_that_cannot_go_on_keeps_what_was_heard(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
        with pytest.raises(CallbridgeError, match=r"x\.wav: File too large; what was heard before"):
            listen_long(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert frames_of(path) >= RATE


async def test_a_file_is_said_in_frames_at_the_rate_of_the_call(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with WavSink(path, RATE) as sink:
        for _ in range(5):
            sink.take(FRAME)
    said = [frame async for frame in file_frames(path, 8000)]
    assert [len(frame) for frame in said] == [320] * 5
    with pytest.raises(BadArgumentError, match=r"none\.wav cannot be read: No such file"):
        [frame async for frame in file_frames(tmp_path / "none.wav", 8000)]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("missing", r"pip install 'callbridge\[speakers\]'"),
        ("no device", "this machine has no output for sound; give --output FILE instead"),
        ("refuses", "refuses 16000 Hz"),
    ],
)
def test_without_speakers_it_is_said_what_to_do(
    sounddevice: types.ModuleType, monkeypatch: pytest.MonkeyPatch, broken: str, said: str
) -> None:
    def fails(**_: object) -> None:
        raise FakePortAudioError("no")

    if broken == "missing":
        monkeypatch.setitem(sys.modules, "sounddevice", None)
    elif broken == "no device":
        sounddevice.__dict__["check_output_settings"] = fails
    else:
        sounddevice.__dict__["RawOutputStream"] = fails
    with pytest.raises(ConfigurationError, match=said):
        SpeakerSink(RATE)
