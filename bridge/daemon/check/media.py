"""Audio, all the way: a tone that Asterisk carries from one media socket to another."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

import numpy as np

from bridge.daemon.check.pbx import Pbx, silent, within
from bridge.daemon.check.report import Finding, fail, ok, warn
from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.model.errors import CallbridgeError

HZ: Final = 1000.0
_AMPLITUDE: Final = 8000.0
_CONFIG_MODULE: Final = "func_config.so"
_LISTEN_SECONDS: Final = 2.0
_SEND_SECONDS: Final = 0.6
_HEARD: Final = 0.1
"""Part of the amplitude that was sent: -20 dB."""
_LOUD: Final = 50.0
"""Amplitude from which music is music: -56 dBFS."""


class Ear:
    """Listens for the tone. ``at``: when it was heard first, seconds of the monotonic clock."""

    def __init__(self, audio_format: AudioFormat) -> None:
        samples = np.arange(audio_format.frame_samples)
        self._wave = np.exp(-2j * np.pi * HZ * samples / audio_format.rate)
        self._size = audio_format.frame_bytes
        self.heard = asyncio.Event()
        self.loud = asyncio.Event()
        self.at = 0.0
        self.level = 0.0

    def __call__(self, pcm: bytes, _at: float) -> None:
        """Take a frame."""
        if len(pcm) != self._size:
            return
        frame = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
        if float(np.abs(frame).max(initial=0.0)) > _LOUD:
            self.loud.set()
        level = float(abs(np.dot(frame, self._wave))) * 2 / len(frame)
        self.level = max(self.level, level)
        if level > _AMPLITUDE * _HEARD and not self.heard.is_set():
            self.at = time.monotonic()
            self.heard.set()


def _tone(audio_format: AudioFormat) -> list[bytes]:
    frames = round(_SEND_SECONDS * 1000) // 20
    samples = np.arange(frames * audio_format.frame_samples)
    wave = (_AMPLITUDE * np.sin(2 * math.pi * HZ * samples / audio_format.rate)).astype("<i2")
    whole = wave.tobytes()
    size = audio_format.frame_bytes
    return [whole[at : at + size] for at in range(0, len(whole), size)]


async def round_trip(pbx: Pbx, audio_format: AudioFormat) -> tuple[Finding, str | None]:
    """Send a tone through Asterisk; return what came of it, and the channel that was heard."""
    ear = Ear(audio_format)
    try:
        mouth, socket = await pbx.line(audio_format, silent)
        listener, _ = await pbx.line(audio_format, ear)
        await pbx.bridge(mouth, listener)
        began = await _say(socket, audio_format, ear, "the tone was not heard")
    except CallbridgeError as error:
        return fail("media", str(error), _ADVICE), None
    return ok(
        "media",
        f"a tone of {HZ:.0f} Hz at {audio_format.rate} Hz was heard after "
        f"{(ear.at - began) * 1000:.0f} ms",
    ), mouth


async def listening_in(pbx: Pbx, audio_format: AudioFormat) -> Finding:
    """Test whether a snoop hears what its target says."""
    ear = Ear(audio_format)
    try:
        mouth, socket = await pbx.line(audio_format, silent)
        other, _ = await pbx.line(audio_format, silent)
        await pbx.bridge(mouth, other)
        listener, _ = await pbx.line(audio_format, ear)
        await pbx.bridge(await pbx.spy(mouth), listener)
        began = await _say(socket, audio_format, ear, "a snoop did not hear its target")
    except CallbridgeError as error:
        return fail("observers", str(error), "load res_stasis_snoop.so and bridge_softmix.so")
    return ok("observers", f"a snoop hears its target after {(ear.at - began) * 1000:.0f} ms")


async def music(pbx: Pbx, name: str) -> Finding:
    """Test whether who is on hold hears something. name: of a class; empty: the default."""
    audio_format = AudioFormat(8000)
    ear = Ear(audio_format)
    what = f"the class {name}" if name else "the default class"
    try:
        line, _ = await pbx.line(audio_format, ear)
        await pbx.ari.channels.start_moh(channel_id=line, moh_class=name or None)
        await within(_LISTEN_SECONDS, ear.loud, f"{what} is silent: no music was heard")
    except CallbridgeError as error:
        return warn(
            "music",
            str(error),
            "define the class in musiconhold.conf with files in a format that Asterisk reads, "
            "then `moh reload`",
        )
    if name and _CONFIG_MODULE not in pbx.modules:
        return warn(
            "music",
            f"music is heard, but whether it is that of {name} is not known",
            f"look whether `moh show classes` lists {name}, or load {_CONFIG_MODULE}",
        )
    if name and not await pbx.function(line, f"AST_CONFIG(musiconhold.conf,{name},mode)"):
        return warn(
            "music",
            f"musiconhold.conf has no class {name}: the default is played",
            f"define [{name}] there, or correct asterisk.music",
        )
    return ok("music", f"{what} is heard")


async def _say(socket: MediaSocket, audio_format: AudioFormat, ear: Ear, else_: str) -> float:
    began = time.monotonic()
    for frame in _tone(audio_format):
        socket.send_frame(frame)
    await within(_LISTEN_SECONDS, ear.heard, else_)
    return began


_ADVICE: Final = (
    "load chan_websocket.so, and let the daemon reach /media at Asterisk's HTTP address "
    "(http.conf, firewalls and proxies)"
)
