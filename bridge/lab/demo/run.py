"""Bringing it all up, telling the story on two calls at once, measuring, and taking it down."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import soundfile

from bridge.ari import AriConnection, AriSettings
from bridge.lab.asterisk import Instance, InstanceInfo
from bridge.lab.demo.ears import Ear, FrameEar, PhoneEar
from bridge.lab.demo.result import (
    ABSENT_BELOW_DB,
    ABSENT_BELOW_G711_DB,
    DemoResult,
    Limits,
    StepResult,
)
from bridge.lab.demo.stage import Stage
from bridge.lab.demo.story import STEPS, Step
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES
from bridge.lab.phones import Codec, Phone, PhoneSettings, Tone, start_phone
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall, Client, events

SENT_DBFS = -15.0
RATE = 16000

PHONE_TONES = {
    CALLER: TONES["caller"],
    CALLEE: TONES["callee"],
    AGENT: TONES["agent"],
}
DIRECT_TONES = {
    CALLER: TONES["other_caller"],
    CALLEE: TONES["other_callee"],
    AGENT: TONES["other_agent"],
}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How the story is told."""

    codec: Codec = Codec.L16_16000
    """Of the phones."""
    silent: frozenset[Participant] = frozenset()
    """Parties whose phones send no RTP at all."""
    keep: Path | None = None
    """Where the recordings and the timeline are left."""

    @property
    def limits(self) -> Limits:
        """What counts as heard behind this codec."""
        narrow = self.codec in {Codec.PCMA, Codec.PCMU}
        return Limits(SENT_DBFS, ABSENT_BELOW_G711_DB if narrow else ABSENT_BELOW_DB)


async def run_demo(instance: Instance, settings: DemoSettings, tell: Tell) -> DemoResult:
    """Tell the story on ``instance`` and return what was heard.

    Raises LabError, ServerError or CallError when it could not be told to its end.
    """
    with tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder:
        recordings = Path(folder)
        async with AsyncExitStack() as stack:
            stages = await _set_up(stack, instance.info, settings, recordings, tell)
            await _tell_story(stages, tell)
            await asyncio.gather(*(stage.aclose() for stage in stages))
        tell("measuring what was heard")
        result = await asyncio.to_thread(_measure, instance.info.version, settings, stages)
        if settings.keep is not None:
            await asyncio.to_thread(_keep, settings.keep, recordings, stages[0], result)
    return result


async def _set_up(
    stack: AsyncExitStack,
    info: InstanceInfo,
    settings: DemoSettings,
    recordings: Path,
    tell: Tell,
) -> tuple[Stage, Stage]:
    """Place both calls; return them with ears at their parties."""
    direct_ids: set[str] = set()
    client = await stack.enter_async_context(
        Client(
            info.ari.url,
            info.ari.username,
            info.ari.password,
            sample_rate=RATE,
            route=lambda call: (
                CALLEE_ENDPOINT if call.call_id in direct_ids else call.callee_number
            ),
        )
    )
    arrivals: asyncio.Queue[ActiveCall] = asyncio.Queue()
    client.on(events.INCOMING_CALL, arrivals.put_nowait)
    tell("starting two softphones")
    caller, callee = await asyncio.gather(
        *(
            stack.enter_async_context(_phone(info, settings, who, number, recordings))
            for who, number in ((CALLER, "1001"), (CALLEE, "1002"))
        )
    )
    for who, phone in ((CALLER, caller), (CALLEE, callee)):
        if who in settings.silent:
            await phone.mute(on=True)
    tell("1001 calls 1002")
    await caller.call("1002")
    call = await _next(arrivals)
    phone_ears: dict[Participant, Ear] = {
        CALLER: PhoneEar(caller, recordings / "caller.wav", RATE),
        CALLEE: PhoneEar(callee, recordings / "callee.wav", RATE),
    }
    phones = Stage(
        call,
        tones=PHONE_TONES,
        sent_dbfs=SENT_DBFS,
        rate=RATE,
        ears=phone_ears,
        silent=settings.silent,
    )
    tell("beside it a call that is heard without phones, to the frame")
    direct = await _direct_stage(stack, info, arrivals, direct_ids)
    return phones, direct


async def _direct_stage(
    stack: AsyncExitStack,
    info: InstanceInfo,
    arrivals: asyncio.Queue[ActiveCall],
    direct_ids: set[str],
) -> Stage:
    """Place a call between two parties whose audio Asterisk hands over directly."""
    caller = await DirectParty.call(
        info.ari, "1003", tone=Tone(DIRECT_TONES[CALLER], SENT_DBFS), caller_number="1004"
    )
    stack.push_async_callback(caller.hangup)
    call = await _next(arrivals)
    direct_ids.add(call.call_id)
    observer = AriConnection(
        AriSettings(info.ari.url, info.ari.username, info.ari.password, "callbridge-lab"),
        on_event=lambda _event: None,
    )
    await observer.open()
    stack.push_async_callback(observer.close)
    callee: list[DirectParty] = []

    async def pick_up(step: Step) -> None:
        if step.command is not ActiveCall.connect:
            return
        channel_id = await callee_channel(observer, call)
        tone = Tone(DIRECT_TONES[CALLEE], SENT_DBFS)
        callee.append(await DirectParty.answer(info.ari, channel_id, tone=tone))
        stack.push_async_callback(callee[0].hangup)

    return Stage(
        call,
        tones=DIRECT_TONES,
        sent_dbfs=SENT_DBFS,
        rate=RATE,
        ears={
            CALLER: FrameEar(lambda: caller.frames, RATE),
            CALLEE: FrameEar(lambda: callee[0].frames if callee else [], RATE),
        },
        meanwhile=pick_up,
    )


async def callee_channel(observer: AriConnection, call: ActiveCall) -> str:
    """Wait until the callee of ``call`` is being rung; return his channel's id."""
    async with asyncio.timeout(5):
        while True:
            for channel in await observer.channels.list():
                if call.call_id in channel.id and channel.id.rpartition("-")[0].endswith(CALLEE):
                    return channel.id
            await asyncio.sleep(0.005)


async def _next(arrivals: asyncio.Queue[ActiveCall]) -> ActiveCall:
    async with asyncio.timeout(5):
        return await arrivals.get()


@asynccontextmanager
async def _phone(
    info: InstanceInfo, settings: DemoSettings, who: Participant, number: str, recordings: Path
) -> AsyncIterator[Phone]:
    password = next(a.password for a in info.accounts if a.number == number)
    phone = await start_phone(
        PhoneSettings(
            number=number,
            password=password,
            host=info.sip.host,
            port=info.sip.port,
            codec=settings.codec,
            source=Tone(PHONE_TONES[who], SENT_DBFS),
            silence_suppression=who in settings.silent,
            record=recordings / f"{who}.wav",
            sample_rate_hz=RATE,
        )
    )
    try:
        yield phone
    finally:
        await phone.stop()


async def _tell_story(stages: tuple[Stage, Stage], tell: Tell) -> None:
    for step in STEPS:
        tell(step.name)
        since = [await stage.perform(step) for stage in stages]
        await asyncio.gather(
            *(stage.settle(step, at) for stage, at in zip(stages, since, strict=True))
        )


def _measure(version: str, settings: DemoSettings, stages: tuple[Stage, Stage]) -> DemoResult:
    phones, direct = stages
    steps = tuple(
        StepResult(
            step=step,
            silent=settings.silent,
            limits=settings.limits,
            phones=phones.measure(index, DIRECT_TONES),
            direct=direct.measure(index, PHONE_TONES),
        )
        for index, step in enumerate(STEPS)
    )
    return DemoResult(
        asterisk=version,
        codec=settings.codec.value,
        tones=PHONE_TONES,
        sent_dbfs=SENT_DBFS,
        steps=steps,
    )


def _keep(folder: Path, recordings: Path, phones: Stage, result: DemoResult) -> None:
    """Leave what was heard, and where in it the steps are. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for who in (CALLER, CALLEE):
        shutil.copyfile(recordings / f"{who}.wav", folder / f"{who}.wav")
    soundfile.write(folder / "ai.wav", phones.ears[AGENT].audio(), RATE, subtype="PCM_16")
    text = json.dumps(result.timeline(), indent=2) + "\n"
    (folder / "timeline.json").write_text(text, encoding="utf-8")
