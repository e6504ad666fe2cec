"""Who hears whom on two calls and beside them: every listener, every voice, measured by tones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import soundfile

from bridge.lab.demo.ears import PhoneEar
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import Pcm, gaps, levels, pcm_from_bytes, tone
from bridge.lab.hearing.lost import missing
from bridge.lab.phones import CallState, Codec, Phone, Tone
from bridge.lab.waiting import until
from bridge.model.errors import CallbridgeError
from bridge.model.modes import AudioMode
from bridge.runtime.names import key_of
from bridge.sdk import ActiveCall, Observer
from tests.audio.listening import Reader
from tests.support.pbx import DirectCall, Pbx, until_true
from tests.support.script import (
    AI,
    CALLEE,
    CALLER,
    EXPERT,
    OTHER_CALLEE,
    OTHER_CALLER,
    Come,
    Go,
    Hold,
    Move,
    Scene,
    Step,
    on_the_way,
    told,
)
from tests.support.stage import Stage, other_call

RATE: Final = 16000
FRAME_S: Final = 0.02
FRAME_SAMPLES: Final = 320
SENT_DBFS: Final = -24.0
"""Ten voices at once stay below full scale."""
BAND_DB: Final = 3.0
HZ: Final = {
    CALLER: 559.0,
    CALLEE: 973.0,
    EXPERT: 1729.0,
    AI: 1559.0,
    OTHER_CALLER: 796.0,
    OTHER_CALLEE: 2604.0,
    "ann": 2197.0,
    "ben": 1196.0,
    "cleo": 2873.0,
    "dan": 3082.0,
    "eve": 371.0,
    "fay": 1391.0,
}
"""Everybody's tone; chosen as ``bridge.lab.hearing.TONES`` are."""
MUSIC_HZ: Final = (465.0, 680.0, 1085.0)
"""What the music of those on hold is made of: 90 Hz and more from everybody's tone."""
MUSIC_SECONDS: Final = 60.0
BESIDE_MUSIC_DB: Final = 20.0
"""Who is held hears music, which begins and ends, and is heard at all frequencies then."""
FAINT_DB: Final = 20.0
"""So far below what was sent is what may not be a voice, once."""
MUSIC_PIECES: Final = 4
SETTLE_FRAMES: Final = 13
WINDOW_FRAMES: Final = 16
LEAD_FRAMES: Final = 16
"""How far ahead a program speaks, so that a late wake-up of this process is not heard."""
FEW_FRAMES: Final = 3
FORGIVEN: Final = 3
"""Single frames of a party that observers miss in a script of two dozen steps."""
AROUND_S: Final = 0.04
SHORTEST_S: Final = 0.1
"""Of a piece between two frames that are missing, in which tones can be told apart."""


class Ear(Protocol):
    """What somebody heard."""

    below_db: float
    """How far below what was sent everything absent is."""
    exact: bool
    """Every frame counts: no codec and no jitter buffer lies between."""

    async def mark(self) -> float:
        """Return where in what was heard the present moment is, in seconds."""

    def between(self, start: float, end: float) -> Pcm:
        """Return what was heard there; of a phone, after it has stopped."""


class FrameEar:
    """Hears frames as they come."""

    below_db = 60.0
    exact = True

    def __init__(self, source: DirectParty | Reader) -> None:
        self._source = source

    @property
    def _frames(self) -> list[bytes]:
        if isinstance(self._source, Reader):
            return self._source.frames
        return [payload for _, payload in self._source.frames]

    @property
    def count(self) -> int:
        """Frames heard so far."""
        return len(self._source.frames)

    async def mark(self) -> float:
        """See Ear."""
        return self.count * FRAME_S

    def between(self, start: float, end: float) -> Pcm:
        """See Ear."""
        first, last = round(start / FRAME_S), round(end / FRAME_S)
        return pcm_from_bytes(b"".join(self._frames[first:last]))


class PhonesEar:
    """Hears what a phone plays, behind its codec and its jitter buffer."""

    exact = False

    def __init__(self, phone: Phone, recording: Path) -> None:
        self.below_db = phone.settings.codec.absent_below_db
        self._ear = PhoneEar(phone, recording, RATE)

    async def mark(self) -> float:
        """See Ear."""
        await self._ear.note()
        return self._ear.place(time.monotonic())

    def between(self, start: float, end: float) -> Pcm:
        """See Ear."""
        return self._ear.audio()[round(start * RATE) : round(end * RATE)]


class Speaker:
    """Lets a program say its tone without end, by a clock of its own."""

    def __init__(self, name: str, program: ActiveCall | Observer) -> None:
        self._name = name
        self._program = program
        self.task = asyncio.create_task(self._speak(), name=f"{name} speaks")

    async def stop(self) -> None:
        """Fall silent. Raises what went wrong meanwhile."""
        self.task.cancel()
        (outcome,) = await asyncio.gather(self.task, return_exceptions=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, CallbridgeError):
            raise outcome

    async def _speak(self) -> None:
        samples = FRAME_SAMPLES
        sent = 0
        while True:
            buffered = self._program.get_send_audio_buffer_size() // (2 * samples)
            for _ in range(max(1, LEAD_FRAMES - buffered)):
                pcm = tone(HZ[self._name], SENT_DBFS, FRAME_S, RATE, sent * samples)
                await self._program.send_audio(pcm.astype("<i2").tobytes())
                sent += 1
                if self._program.mode is AudioMode.SPY:
                    break
            await asyncio.sleep(FRAME_S)


@dataclass(frozen=True)
class Heard:
    """One listener in one step, in seconds of what he heard."""

    listener: str
    ear: Ear
    since: float
    """The beginning of what was measured in the step before, if he was there."""
    start: float
    end: float


@dataclass(frozen=True)
class Measured:
    """One step that was played."""

    number: int
    step: Step
    before: Scene
    scene: Scene
    heard: tuple[Heard, ...]
    silent: frozenset[str]
    """Who says nothing."""


@dataclass
class Company:
    """Everybody who speaks and hears: a Cast on a real Asterisk, and the ears of all.

    softphones: of those whose phone is a SIP phone that has been started. silent: who of the others
    with a phone sends no audio at all.
    """

    pbx: Pbx
    silent: frozenset[str] = frozenset()
    softphones: dict[str, tuple[Phone, Path]] = field(default_factory=dict)
    parties: dict[str, DirectParty] = field(default_factory=dict)
    ears: dict[str, Ear] = field(default_factory=dict)
    speakers: dict[str, Speaker] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)

    # --- a Cast ---------------------------------------------------------------------------------

    def endpoint(self, name: str) -> str:
        """See Cast."""
        if name in self.softphones:
            return f"PJSIP/{self.softphones[name][0].settings.number}"
        return CALLEE_ENDPOINT

    async def pick_up(self, name: str) -> None:
        """See Cast."""
        if name in self.softphones:
            return
        ringing: list[str] = []
        seen = {party.channel_id for party in self.parties.values()}

        async def look() -> bool:
            ids = await self.pbx.channels()
            ringing[:] = [i for i in ids if key_of(i) == f"leg.{name}" and i not in seen]
            return bool(ringing)

        await until_true(look, f"{name} is rung")
        ari = self.pbx.instance.info.ari
        party = await self.pbx.keep(DirectParty.answer(ari, ringing[0], tone=self.voice(name)))
        self.joined(name, party)

    async def hang_up(self, name: str) -> None:
        """See Cast."""
        self.ears.pop(name, None)
        if name in self.softphones:
            await self.softphones[name][0].hangup()
        else:
            await self.parties[name].hangup()

    async def came(self, name: str, observer: Observer, *, phone: bool) -> None:
        """See Cast."""
        if not phone:
            self.embody(name, observer)
        elif name in self.softphones:
            self.ears[name] = PhonesEar(*self.softphones[name])

    async def gone(self, name: str) -> None:
        """See Cast."""
        self.ears.pop(name, None)
        if name in self.speakers:
            await self.speakers.pop(name).stop()
            await self.readers.pop(name).wait_ended()

    def voice(self, name: str) -> Tone | None:
        """Return what somebody with a phone says."""
        return None if name in self.silent else Tone(HZ[name], SENT_DBFS)

    # --- who there is ---------------------------------------------------------------------------

    def joined(self, name: str, party: DirectParty) -> None:
        """Note that somebody speaks and hears by a direct party."""
        self.parties[name] = party
        self.ears[name] = FrameEar(party)

    def embody(self, name: str, program: ActiveCall | Observer) -> None:
        """Let a program speak, and hear."""
        self.speakers[name] = Speaker(name, program)
        self.readers[name] = Reader(program.audio_stream())
        self.ears[name] = FrameEar(self.readers[name])

    async def fall_silent(self) -> None:
        """Let all programs stop. Raises what went wrong with one."""
        for speaker in list(self.speakers.values()):
            await speaker.stop()
        for reader in self.readers.values():
            reader.task.cancel()
            await asyncio.gather(reader.task, return_exceptions=True)

    # --- measuring ------------------------------------------------------------------------------

    async def listen(self, step: Step, before: Scene, scene: Scene) -> None:
        """Note what is heard now that a step has been played."""
        await self._pass(SETTLE_FRAMES, scene)
        listeners = [name for name in scene.people if name in self.ears]
        assert set(listeners) == set(scene.people), "somebody has no ear"
        starts = {name: await self.ears[name].mark() for name in listeners}
        await self._pass(WINDOW_FRAMES, scene)
        last = {h.listener: h for h in self.measured[-1].heard} if self.measured else {}
        heard = [
            Heard(
                name,
                ear := self.ears[name],
                last[name].start if name in last and last[name].ear is ear else starts[name],
                starts[name],
                min(starts[name] + WINDOW_FRAMES * FRAME_S, await ear.mark()),
            )
            for name in listeners
        ]
        number = len(self.measured)
        self.measured.append(Measured(number, step, before, scene, tuple(heard), self.silent))

    async def _pass(self, frames: int, scene: Scene) -> None:
        """Wait until everybody who is to hear somebody has heard so many frames more."""
        hearing = {listener for listener, speaker in scene.cells if speaker not in self.silent}
        exact = {n: e for n, e in self.ears.items() if isinstance(e, FrameEar) and n in hearing}
        until_then = {name: ear.count + frames for name, ear in exact.items()}

        def behind() -> list[str]:
            return [name for name, ear in exact.items() if ear.count < until_then[name]]

        try:
            await until(lambda: not behind(), "frames pass", within_s=frames * FRAME_S + 1)
        except TimeoutError:
            raise AssertionError(f"{behind()} hear nothing any more") from None


def write_music(folder: Path) -> Path:
    """Write music in which there is nothing of anybody's tone; return its folder."""
    chord = np.sum([tone(hz, SENT_DBFS, MUSIC_SECONDS, RATE) for hz in MUSIC_HZ], axis=0)
    soundfile.write(folder / "chord.wav", chord.astype(np.int16), RATE)
    return folder


# --- judging ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """A cell of a step that is not as it is to be."""

    told: str
    blurred: bool
    """Faint: it may be what a voice that broke off for some milliseconds, as behind a phone's
    jitter buffer, is heard as at all other frequencies."""


def wrong_cells(measured: Measured) -> list[Wrong]:
    """Return the cells of a step that are not as they are to be: present, and absent."""
    wrong = []
    ears = {heard.listener: heard.ear for heard in measured.heard}
    for heard in measured.heard:
        pcm = heard.ear.between(heard.start, heard.end)
        cells = measured.scene.cells
        to_hear = {b for b in HZ.keys() - measured.silent if (heard.listener, b) in cells}
        if not to_hear:
            # A program whom nobody can be heard by gets no frames at all.
            pcm = np.pad(pcm, (0, max(0, WINDOW_FRAMES * FRAME_SAMPLES - len(pcm))))
        held = heard.listener in measured.scene.held
        found = beside_music(pcm) if held else steady_levels(pcm, to_hear)
        # A codec leaves its traces in all that it carries, and in all that came through it.
        below_db = min(ears[name].below_db for name in {heard.listener, *to_hear})
        below_db = BESIDE_MUSIC_DB if held else below_db
        for speaker, level in found.items():
            if speaker in to_hear:
                holds = abs(level - SENT_DBFS) <= BAND_DB
            else:
                holds = level <= SENT_DBFS - below_db
            if not holds:
                verb = "hears" if speaker not in to_hear else "does not hear"
                cell = f"{heard.listener} {verb} {speaker}: {level:.1f} dBFS"
                faint = speaker not in to_hear and level <= SENT_DBFS - FAINT_DB
                told_so = f"step {measured.number}, {told(measured.step)}: {cell}"
                wrong.append(Wrong(told_so, blurred=faint))
    return wrong


def steady_levels(pcm: Pcm, to_hear: Collection[str]) -> dict[str, float]:
    """Return the level of everybody's tone, dBFS, in the longest piece that is undisturbed.

    A frame that is missing is counted elsewhere; here it would be heard at all frequencies.
    """
    lost = sorted(gap.at_s for name in to_hear for gap in gaps(pcm, RATE, HZ[name]))
    edges = [-AROUND_S, *lost, len(pcm) / RATE + AROUND_S]
    pieces = [(a + AROUND_S, b - AROUND_S) for a, b in pairwise(edges)]
    start, end = max(pieces, key=lambda piece: piece[1] - piece[0])
    if end - start >= SHORTEST_S:
        pcm = pcm[round(start * RATE) : round(end * RATE)]
    return levels(pcm, RATE, HZ)


def beside_music(pcm: Pcm) -> dict[str, float]:
    """Return how loud everybody's tone is all the time, dBFS: what is in music comes and goes."""
    pieces = [levels(piece, RATE, HZ) for piece in np.array_split(pcm, MUSIC_PIECES)]
    return {name: min(piece[name] for piece in pieces) for name in HZ}


@dataclass(frozen=True)
class Loss:
    """What a listener missed of a voice in one step."""

    listener: str
    frames: int
    between_parties: bool
    text: str


def lost_frames(measured: Measured) -> list[Loss]:
    """Return what was missed between the last step and the end of this one.

    Of every voice that was to be heard all the while, by everybody who stayed where he was: of a
    party nothing may be missing; of an observer, who is heard through a line, no more than a few
    frames of 20 ms. A line may once begin to run 20 ms late; see bridge.lab.hearing.lost.
    """
    kept = frozenset.intersection(*(s.cells for s in on_the_way(measured.before, measured.step)))
    changed = frozenset().union(*(op.who for op in measured.step))
    moved = _moved(measured.step)
    parties = set(measured.scene.parties)
    exact = {h.listener for h in measured.heard if h.ear.exact} - measured.silent
    lost = []
    for heard in measured.heard:
        if heard.listener in moved or not heard.ear.exact:
            continue
        pcm = heard.ear.between(heard.since, heard.end)
        for listener, speaker in sorted(kept):
            if listener != heard.listener or speaker in changed or speaker not in exact:
                continue
            gap = missing(pcm, RATE, HZ[speaker])
            if gap.lost > (0 if speaker in parties else FEW_FRAMES) or (
                speaker in parties and gap.held_up > 1
            ):
                text = f"{listener} misses {gap.lost}+{gap.held_up} frames of {speaker}"
                both = {listener, speaker} <= parties
                told_text = f"step {measured.number}, {told(measured.step)}: {text}"
                lost.append(Loss(listener, gap.lost + gap.held_up, both, told_text))
    return lost


def too_much(losses: list[Loss]) -> list[str]:
    """Return what is not to be forgiven: all between parties, more than a frame, many of them.

    An ear without a jitter buffer misses one now and then, on an idle machine too
    (tests/audio/machine.py); a script has a dozen ears.
    """
    single = [loss for loss in losses if loss.frames == 1 and not loss.between_parties]
    forgiven = single if len(single) <= FORGIVEN else []
    return [loss.text for loss in losses if loss not in forgiven]


def _moved(step: Step) -> frozenset[str]:
    """Return whose ears are taken elsewhere."""
    kinds = (Come, Go, Move, Hold)
    return frozenset().union(*(op.who for op in step if isinstance(op, kinds)))


async def open_calls(
    pbx: Pbx,
    folder: Path,
    *,
    other_callee: Codec,
    softphones: Mapping[str, Codec],
    silent: frozenset[str] = frozenset(),
) -> tuple[Stage, Company]:
    """Let both calls begin; everybody speaks but for ``silent``, who send nothing at all.

    softphones: observers who have a SIP phone.
    """
    ari = pbx.instance.info.ari
    company = Company(pbx, silent)
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=company.voice(CALLER)))
    direct = DirectCall(pbx, await program.next_call(), caller, callee_tone=company.voice(CALLEE))
    company.joined(CALLER, caller)
    company.joined(CALLEE, await direct.connect())
    company.embody(AI, direct.call)
    for number, (name, codec) in enumerate([(OTHER_CALLEE, other_callee), *softphones.items()]):
        path = folder / f"{name}.wav"
        phone = await pbx.phone(
            str(1006 + number),
            codec=codec,
            record=path,
            source=Tone(HZ[name], SENT_DBFS),
            sample_rate_hz=RATE,
        )
        company.softphones[name] = phone, path
    company.joined(
        OTHER_CALLER,
        await pbx.keep(DirectParty.call(ari, "91006", tone=company.voice(OTHER_CALLER))),
    )
    await company.softphones[OTHER_CALLEE][0].wait_state(CallState.CONFIRMED)
    company.ears[OTHER_CALLEE] = PhonesEar(*company.softphones[OTHER_CALLEE])
    other = await other_call(program.client, direct.call)
    return Stage(program.client, direct.call, other, company), company
