"""The two published use cases whose surface the SDK follows, run as they are written.

Their authors leave ``tts``, ``stt``, ``ai_model`` and ``db`` open; here these are small and speak
in tones, so that what was said can be found again in what the phones recorded.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge import ActiveCall, CallState, Client, events
from bridge.lab.demo.ears import PhoneEar
from bridge.lab.hearing import TONES, levels, tone
from bridge.lab.hearing.steady import steady_levels
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.phones import Codec, Phone, Tone
from bridge.lab.waiting import until
from bridge.media.pcm import AudioFormat
from tests.audio.cells import CLEAR_BELOW_DB
from tests.audio.listening import RATE, words
from tests.audio.machine import anew, whole
from tests.support.hearing import WrongEarError
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

PLEASE_HOLD = "Please hold while I connect you to an agent."
SPECIALIST = "Let me connect you with a specialist who can help."
COACHING = "The customer seems frustrated, try offering a discount"
VOICES = {
    "caller": TONES["caller"],
    "callee": TONES["callee"],
    PLEASE_HOLD: TONES["agent"],
    SPECIALIST: TONES["observer"],
    COACHING: TONES["supervisor"],
    "answer": TONES["other_observer"],
}
"""Hz of everybody and everything that is said."""

ABSENT_DBFS = SENT_DBFS - 60


class Speech:
    """``tts``: every sentence is a second of its tone."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.asked: list[tuple[float, str]] = []

    async def synthesize(self, text: str) -> bytes:
        self.asked.append((time.monotonic(), text))
        return words(VOICES[text], 1.0, self._rate)


class Recognition:
    """``stt``: who says something is known by his tone."""

    def __init__(self, rate: int) -> None:
        self._rate = rate

    async def transcribe(self, chunk: bytes) -> str:
        pcm = np.frombuffer(chunk, "<i2").astype(np.int16)
        heard = levels(np.tile(pcm, 5), self._rate, VOICES)
        name = max(heard, key=lambda voice: heard[voice])
        return name if heard[name] > SENT_DBFS - 10 else ""


@dataclass
class Analysis:
    coaching_suggestion: str | None
    sentiment: float = 0.5
    topics: tuple[str, ...] = ("billing",)


@dataclass
class Model:
    """``ai_model``: coaches once, answers, and gives up, each after so many chunks."""

    rate: int
    coach_at: int = 0
    escalate_at: int = 0
    chunks: int = 0

    async def analyze_conversation(self, chunk: bytes) -> Analysis:
        assert len(chunk) == AudioFormat(self.rate).frame_bytes
        self.chunks += 1
        return Analysis(COACHING if self.chunks == self.coach_at else None)

    async def generate(self, chunk: bytes) -> bytes:
        assert len(chunk) == AudioFormat(self.rate).frame_bytes
        said = self.chunks * self.rate // 50
        self.chunks += 1
        return tone(VOICES["answer"], SENT_DBFS, 0.02, self.rate, said).astype("<i2").tobytes()

    async def should_escalate(self, summary: list[dict[str, str]]) -> bool:
        assert len(summary) == 2 * self.chunks
        return self.chunks == self.escalate_at


@dataclass
class Database:
    """``db``."""

    analytics: list[dict[str, Any]] = field(default_factory=list)
    contexts: list[dict[str, Any]] = field(default_factory=list)

    async def log_call_analytics(self, **row: Any) -> None:
        self.analytics.append(row)

    async def save_call_context(self, **row: Any) -> None:
        self.contexts.append(row)


def run_monitoring(client: Client, tts: Speech, ai_model: Model, db: Database) -> None:
    """Real-time call monitoring and coaching."""

    @client.on(events.INCOMING_CALL)
    async def monitored_call(call: ActiveCall) -> None:
        """Connect caller to an agent with supervisor monitoring."""
        await call.answer()

        # Brief AI greeting before connecting
        await call.send_audio(await tts.synthesize("Please hold while I connect you to an agent."))

        # Connect to the original callee (creates a 3-way conference)
        await call.connect()

        # Start in spy mode to silently monitor
        await call.spy()

        # AI analyzes the conversation in real-time
        async for chunk in call.audio_stream():
            analysis = await ai_model.analyze_conversation(chunk)

            if analysis.coaching_suggestion:
                # Switch to whisper mode to coach the agent privately
                await call.whisper()
                await call.send_audio(await tts.synthesize(analysis.coaching_suggestion))
                # Switch back to spy mode
                await call.spy()

            # Log call analytics
            await db.log_call_analytics(
                call_id=call.call_id,
                sentiment=analysis.sentiment,
                topics=analysis.topics,
            )


def run_escalation(
    client: Client, tts: Speech, stt: Recognition, ai_model: Model, db: Database
) -> None:
    """AI agent with human escalation."""

    @client.on(events.INCOMING_CALL)
    async def ai_with_escalation(call: ActiveCall) -> None:
        await call.answer()

        escalate = False
        conversation_summary = []

        async for chunk in call.audio_stream():
            transcript = await stt.transcribe(chunk)
            conversation_summary.append({"role": "caller", "text": transcript})

            # Check if the AI decides to escalate
            ai_response = await ai_model.generate(chunk)
            response_text = await stt.transcribe(ai_response)
            conversation_summary.append({"role": "ai", "text": response_text})

            if await ai_model.should_escalate(conversation_summary):
                escalate = True
                break

            await call.send_audio(ai_response)

        if escalate:
            # Save conversation context for the human agent
            await db.save_call_context(
                call_id=call.call_id,
                caller=call.caller_number,
                summary=conversation_summary,
            )

            await call.send_audio(
                await tts.synthesize("Let me connect you with a specialist who can help.")
            )

            # Connect to the original callee, then leave the call
            await call.connect()
            await call.close()
        else:
            await call.disconnect()


class Scene:
    """Two phones, a program, and what was heard and when."""

    def __init__(self, caller: Phone, callee: Phone, client: Client, folder: Path) -> None:
        self.caller = caller
        self.callee = callee
        self.client = client
        self.rate = client.sample_rate
        self.tts = Speech(self.rate)
        self.db = Database()
        self.calls: list[ActiveCall] = []
        self._ears = {
            "caller": PhoneEar(caller, folder / "caller.wav", RATE),
            "callee": PhoneEar(callee, folder / "callee.wav", RATE),
        }
        client.on(events.INCOMING_CALL, self.calls.append)

    async def call(self) -> ActiveCall:
        """Let the caller dial the callee; return the program's call."""
        await self.caller.call("1002")
        await until(lambda: bool(self.calls), "the program has the call")
        return self.calls[0]

    async def note(self) -> None:
        """Let moments near this one be found in the recordings."""
        for ear in self._ears.values():
            await ear.note()

    async def over(self) -> None:
        """Wait until both phones are free, and stop them, so that they can be listened to."""
        for phone in (self.caller, self.callee):
            if phone.calls:
                await phone.wait_state(PhoneState.DISCONNECTED)
            await phone.stop()

    def hears(self, who: str, start: float, seconds: float, expected: set[str]) -> None:
        """Fail unless a phone hears exactly these voices. start: seconds of the monotonic clock.

        A lost frame, which is faintly in all tones, is no voice.
        """
        ear = self._ears[who]
        begin = round(ear.place(start) * RATE)
        pcm = ear.audio()[begin : begin + round(seconds * RATE)]
        found = steady_levels(pcm, RATE, VOICES, [VOICES[voice] for voice in expected])
        for voice, level in found.items():
            told = f"{who} hears {voice} at {level:.1f} dBFS"
            if voice in expected:
                assert abs(level - SENT_DBFS) <= 3, told
            elif level > SENT_DBFS - CLEAR_BELOW_DB:
                raise WrongEarError(told)
            else:
                whole(level <= ABSENT_DBFS, told)

    def seconds_of(self, who: str, voice: str) -> float:
        """Return for how long a phone heard a voice, within a tenth of a second."""
        audio, window = self._ears[who].audio(), RATE // 10
        parts = audio[: len(audio) // window * window].reshape(-1, window)
        return sum(levels(part, RATE, VOICES)[voice] > SENT_DBFS - 10 for part in parts) / 10


@asynccontextmanager
async def scene(pbx: Pbx, folder: Path) -> AsyncIterator[Scene]:
    phones = [
        await pbx.phone(
            number,
            codec=Codec.L16_16000,
            source=Tone(TONES[who], SENT_DBFS),
            record=folder / f"{who}.wav",
            sample_rate_hz=RATE,
        )
        for number, who in (("1001", "caller"), ("1002", "callee"))
    ]
    async with await pbx.client(sample_rate=24000) as client:
        yield Scene(phones[0], phones[1], client, folder)


@anew
async def test_monitoring_and_coaching(
    pbx: Pbx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(pbx, tmp_path) as on:
        model = Model(on.rate, coach_at=50)
        run_monitoring(on.client, on.tts, model, on.db)
        call = await on.call()
        await until(lambda: len(on.tts.asked) == 2, "the agent is coached", within_s=10)
        coached = on.tts.asked[1][0]
        await on.note()
        await until(lambda: len(on.db.analytics) >= 150, "the program monitors on", within_s=10)
        afterwards = time.monotonic()
        await until(lambda: len(on.db.analytics) >= 200, "the program monitors on", within_s=10)
        await on.note()
        await on.caller.hangup()
        await call.wait_ended()
        await on.over()
    # The greeting is for the caller alone, the coaching for the callee alone.
    assert on.seconds_of("caller", PLEASE_HOLD) == pytest.approx(1.0, abs=0.2)
    assert on.seconds_of("callee", PLEASE_HOLD) == 0
    assert on.seconds_of("callee", COACHING) == pytest.approx(1.0, abs=0.2)
    assert on.seconds_of("caller", COACHING) == 0
    on.hears("callee", coached + 0.3, 0.5, {"caller", COACHING})
    on.hears("caller", coached + 0.3, 0.5, {"callee"})
    # Before and after it, the agent is not heard by anybody.
    on.hears("callee", afterwards, 0.5, {"caller"})
    on.hears("caller", afterwards, 0.5, {"callee"})
    assert len(on.db.analytics) == model.chunks
    assert on.db.analytics[0] == {
        "call_id": call.call_id,
        "sentiment": 0.5,
        "topics": ("billing",),
    }
    assert no_handler_failed(caplog)


@anew
async def test_escalation_to_a_human(
    pbx: Pbx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(pbx, tmp_path) as on:
        model = Model(on.rate, escalate_at=100)
        run_escalation(on.client, on.tts, Recognition(on.rate), model, on.db)
        call = await on.call()
        await call.wait_ended()
        await on.note()
        left = time.monotonic()
        await until(lambda: time.monotonic() > left + 1.2, "the parties talk for a while")
        await on.note()
        assert on.caller.state is on.callee.state is PhoneState.CONFIRMED
        await on.callee.hangup()
        await on.over()
    assert call.state is CallState.DISCONNECTED
    # The AI answered for about two seconds, and said that it connects; to the caller alone.
    assert on.seconds_of("caller", "answer") == pytest.approx(2.0, abs=0.3)
    assert on.seconds_of("caller", SPECIALIST) == pytest.approx(1.0, abs=0.2)
    assert on.seconds_of("callee", "answer") == on.seconds_of("callee", SPECIALIST) == 0
    # Then the two talk, and the AI is silent to both.
    on.hears("caller", left + 0.3, 0.8, {"callee"})
    on.hears("callee", left + 0.3, 0.8, {"caller"})
    [context] = on.db.contexts
    assert (context["call_id"], context["caller"]) == (call.call_id, "1001")
    assert [entry["role"] for entry in context["summary"]] == ["caller", "ai"] * 100
    assert {entry["text"] for entry in context["summary"][1::2]} == {"answer"}
    assert [entry["text"] for entry in context["summary"][100::2]] == ["caller"] * 50
    assert no_handler_failed(caplog)


async def test_the_ai_handles_the_call_alone(
    pbx: Pbx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(pbx, tmp_path) as on:
        model = Model(on.rate)
        run_escalation(on.client, on.tts, Recognition(on.rate), model, on.db)
        call = await on.call()
        await until(lambda: model.chunks >= 75, "the AI talks with the caller")
        await on.caller.hangup()
        await call.wait_ended()
        await on.over()
    assert on.seconds_of("caller", "answer") == pytest.approx(1.5, abs=0.3)
    assert not on.callee.calls
    assert on.db.contexts == []
    assert on.tts.asked == []
    assert no_handler_failed(caplog)


def no_handler_failed(caplog: pytest.LogCaptureFixture) -> bool:
    """Tell whether the program came to its end; the SDK logs what a handler raises."""
    return not [record for record in caplog.records if record.levelname == "ERROR"]
