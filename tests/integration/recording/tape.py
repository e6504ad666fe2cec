"""A call that is recorded, and what is on the recording, measured."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, Pcm, levels, tone
from bridge.lab.waiting import until
from bridge.sdk import ActiveCall, Client
from bridge.sdk.recording import Recording
from tests.audio.machine import whole
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, Pbx, Program

RATE: Final = 16000
WINDOW_S: Final = 0.4
"""Voices are told apart in pieces of this length."""

_PRESENT_DBFS: Final = SENT_DBFS - 1.5
_ABSENT_DBFS: Final = -85.0


@dataclass
class Talk:
    """Caller and callee talk, each his tone; the agent is a spy."""

    pbx: Pbx
    program: Program
    call: ActiveCall
    caller: DirectParty
    callee: DirectParty

    @property
    def client(self) -> Client:
        """The program's."""
        return self.program.client


async def talk(pbx: Pbx, **arguments: Any) -> Talk:
    """Let two talk; arguments as in Client."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT, **arguments)
    ari = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    connecting = asyncio.create_task(call.connect())
    leg = await pbx.callee_leg(call)
    callee = await pbx.keep(DirectParty.answer(ari, leg, tone=CALLEE_TONE))
    await connecting
    await call.spy()
    return Talk(pbx, program, call, caller, callee)


def words(who: str, seconds: float, rate: int = RATE) -> bytes:
    """Return somebody's tone."""
    return tone(TONES[who], SENT_DBFS, seconds, rate).astype("<i2").tobytes()


async def recorded(recording: Recording, seconds: float) -> tuple[float, float]:
    """Wait until so much more is recorded from now on; return from where to where, in seconds."""
    begin = recording.seconds + BEHIND_S
    end = begin + seconds
    await until(lambda: recording.seconds >= end, "it is recorded", within_s=seconds + 10)
    return begin, end


BEHIND_S: Final = 1.0
"""What is heard now is in the file by then, on a machine that is busy."""


def pcm_of(paths: Sequence[Path]) -> Pcm:
    """Return all samples of files that follow each other, a column for each channel."""
    pieces = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        assert rate == RATE
        pieces.append(samples)
    return np.concatenate(pieces)


def channels(recording: Recording) -> tuple[Pcm, Pcm]:
    """Return the left and the right channel, from beginning to end."""
    both = pcm_of(recording.files)
    assert both.shape[1] == 2
    return both[:, 0].copy(), both[:, 1].copy()


def whispers(recording: Recording) -> Pcm:
    """Return what is on the coaching files."""
    mono = pcm_of(recording.coaching_files)
    assert mono.shape[1] == 1
    return mono[:, 0].copy()


def described(recording: Recording) -> dict[str, Any]:
    """Return what the JSON says."""
    found: dict[str, Any] = json.loads(recording.path.read_text(encoding="utf-8"))
    return found


def part(pcm: Pcm, when: tuple[float, float], rate: int = RATE) -> Pcm:
    """Return what is between two times, in seconds."""
    return pcm[round(when[0] * rate) : round(when[1] * rate)]


def voices(pcm: Pcm, rate: int = RATE) -> set[str]:
    """Return whose tones are there. Fails for one that is faint, or that comes and goes."""
    size = round(WINDOW_S * rate)
    found: list[set[str]] = []
    for begin in range(0, len(pcm) - size + 1, size):
        measured = levels(pcm[begin : begin + size], rate, TONES)
        faint = {n: d for n, d in measured.items() if _ABSENT_DBFS < d < _PRESENT_DBFS}
        # A frame that Asterisk missed turns the tone behind it against the one before.
        whole(not faint, f"at {begin / rate:.2f} s: {faint}")
        found.append({name for name, dbfs in measured.items() if dbfs >= _PRESENT_DBFS})
    assert found, "too short to be measured"
    assert all(one == found[0] for one in found), found
    return found[0]


def is_silent(pcm: Pcm) -> bool:
    """Tell whether there is nothing at all."""
    return not np.any(pcm)


def ever(pcm: Pcm, who: str, rate: int = RATE) -> float:
    """Return the level of somebody's tone in the loudest piece: an absence is asserted with it."""
    size = round(WINDOW_S * rate)
    pieces = [pcm[begin : begin + size] for begin in range(0, len(pcm) - size + 1, size // 4)]
    return max((levels(piece, rate, TONES)[who] for piece in pieces), default=-120.0)


NEVER_DBFS: Final = -60.0
"""No piece of 0.4 s may have a voice as loud as that which is not to be there: one frame of 20 ms
of it would be 20 dB louder, and a tone that begins is smeared over the others by 9 dB less."""


def fresh(folder: Path) -> Path:
    """Return a folder that is not there yet, for a measurement that may be done again."""
    return folder / secrets.token_hex(4)


def names_in(folder: Path) -> list[str]:
    """Return what files there are."""
    return sorted(path.name for path in folder.iterdir())
