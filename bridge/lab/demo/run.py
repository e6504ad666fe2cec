"""Bringing it all up, telling the story on two calls at once, measuring, and taking it down."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.ari import AriConnection, AriSettings
from bridge.lab.asterisk import Instance, InstanceInfo
from bridge.lab.demo.desk import Desk, open_desk
from bridge.lab.demo.ears import FrameEar, PhoneEar
from bridge.lab.demo.handset import handset
from bridge.lab.demo.recordings import keep
from bridge.lab.demo.result import DemoResult, StepResult
from bridge.lab.demo.scene import Scene
from bridge.lab.demo.second_act import run_second_act
from bridge.lab.demo.settings import RATE, SENT_DBFS, DemoSettings, Tell, Tones
from bridge.lab.demo.stage import Stage
from bridge.lab.demo.story import Step
from bridge.lab.demo.third_act import run_third_act
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES
from bridge.lab.phones import Phone, Tone
from bridge.lab.ringing import rung_channel
from bridge.lab.together import together
from bridge.model.errors import BadArgumentError
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays one story: two phones, and beside them two parties who are heard directly."""

    caller: str
    """The phone's number; so with the others."""
    callee: str
    tones: Tones
    direct_caller: str
    direct_callee: str
    direct_tones: Tones


def _voices(caller: str, callee: str, agent: str) -> Tones:
    return {CALLER: TONES[caller], CALLEE: TONES[callee], AGENT: TONES[agent]}


CASTS = (
    Cast(
        caller="1001",
        callee="1002",
        tones=_voices("caller", "callee", "agent"),
        direct_caller="1004",
        direct_callee="1003",
        direct_tones=_voices("other_caller", "other_callee", "other_agent"),
    ),
    # There are tones for three calls. The fourth has those of the second in other roles: what
    # leaked between them would be heard in one step or another where it must not be.
    Cast(
        caller="1005",
        callee="1006",
        tones=_voices("supervisor", "observer", "consult"),
        direct_caller="1008",
        direct_callee="1007",
        direct_tones=_voices("other_callee", "other_agent", "other_caller"),
    ),
)
"""Casts that can play at once on one Asterisk."""


async def run_demo(instance: Instance, settings: DemoSettings, tell: Tell) -> DemoResult:
    """Give all acts on ``instance`` and return what was heard.

    Raises LabError, ServerError, CallError or TimeoutError when they could not be given to their
    end; each says why. OSError, before anything is done, when nothing can be kept in ``keep``.
    """
    if settings.keep is not None:
        await asyncio.to_thread(settings.keep.mkdir, parents=True, exist_ok=True)
    [result] = await run_demos(instance, [settings], tell)
    second_act = await run_second_act(instance, settings, tell)
    third_act = await run_third_act(instance, settings, tell)
    return replace(result, second_act=second_act, third_act=third_act)


async def run_demos(
    instance: Instance, stories: Sequence[DemoSettings], tell: Tell
) -> list[DemoResult]:
    """Tell several stories of the first act at once; raises as ``run_demo`` does.

    Raises BadArgumentError for more than there are CASTS.
    """
    if len(stories) > len(CASTS):
        raise BadArgumentError(f"{len(stories)} stories at once: there are {len(CASTS)} casts")
    with tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder:
        theatres = [
            Theatre(instance.info, settings, cast, Path(folder) / cast.caller)
            for settings, cast in zip(stories, CASTS, strict=False)
        ]
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, instance.info, route)
            for theatre in theatres:
                await theatre.set_up(stack, desk, tell)
            await asyncio.gather(*(theatre.play(tell) for theatre in theatres))
        tell("measuring what was heard")
        return [await asyncio.to_thread(theatre.measure, theatres) for theatre in theatres]


def route(call: ActiveCall) -> str:
    """Say whom a call is connected to: phones to phones, direct parties to direct parties."""
    direct = {cast.direct_caller for cast in CASTS}
    return CALLEE_ENDPOINT if call.caller_number in direct else call.callee_number


class Theatre:
    """One story with its cast: a call of phones and one of direct parties, step by step."""

    def __init__(
        self, info: InstanceInfo, settings: DemoSettings, cast: Cast, recordings: Path
    ) -> None:
        self._info = info
        self._settings = settings
        self._cast = cast
        self._recordings = recordings
        self._stages: list[Stage] = []

    @property
    def tones(self) -> frozenset[float]:
        """All voices of both calls, Hz."""
        return frozenset({*self._cast.tones.values(), *self._cast.direct_tones.values()})

    async def set_up(self, stack: AsyncExitStack, desk: Desk, tell: Tell) -> None:
        """Place both calls, with ears at their parties."""
        self._recordings.mkdir()
        self._stages = [
            await self._phone_stage(stack, desk, tell),
            await self._direct_stage(stack, desk, tell),
        ]

    async def play(self, tell: Tell) -> None:
        """Tell the story to its end."""
        for step in self._settings.steps:
            tell(step.name)
            since = [await stage.perform(step) for stage in self._stages]
            await asyncio.gather(
                *(
                    stage.scene.settle(step, at)
                    for stage, at in zip(self._stages, since, strict=True)
                )
            )
        await asyncio.gather(*(stage.aclose() for stage in self._stages))

    def measure(self, theatres: Sequence[Theatre]) -> DemoResult:
        """Return what was heard, when the phones have stopped. theatres: all that played at once.

        Raises OSError where the recordings cannot be kept.
        """
        phones, direct = (stage.scene for stage in self._stages)
        everywhere = frozenset().union(*(theatre.tones for theatre in theatres))
        steps = tuple(
            StepResult(
                step=step,
                silent=self._settings.silent,
                limits=self._settings.limits,
                phones=phones.measure(index, everywhere),
                direct=direct.measure(index, everywhere),
            )
            for index, step in enumerate(self._settings.steps)
        )
        result = DemoResult(
            asterisk=self._info.version,
            codec=self._settings.codec.value,
            tones=self._cast.tones,
            sent_dbfs=SENT_DBFS,
            steps=steps,
        )
        if self._settings.keep is not None:
            keep(self._settings.keep, self._recordings, phones, result.steps)
        return result

    async def _phone_stage(self, stack: AsyncExitStack, desk: Desk, tell: Tell) -> Stage:
        tell("starting two softphones")
        cast = self._cast
        (caller, caller_ear), (_, callee_ear) = await together(
            *(
                stack.enter_async_context(self._handset(who, number))
                for who, number in ((CALLER, cast.caller), (CALLEE, cast.callee))
            )
        )
        tell(f"{cast.caller} calls {cast.callee}")
        await caller.call(cast.callee)
        scene = Scene(
            tones=cast.tones,
            sent_dbfs=SENT_DBFS,
            rate=RATE,
            ears={CALLER: caller_ear, CALLEE: callee_ear},
            silent=self._settings.silent,
        )
        return Stage(await desk.next_call(cast.caller), scene)

    def _handset(
        self, who: Participant, number: str
    ) -> AbstractAsyncContextManager[tuple[Phone, PhoneEar]]:
        return handset(
            self._info,
            number,
            self._settings.codec,
            hz=self._cast.tones[who],
            record=self._recordings / f"{who}.wav",
            silent=who in self._settings.silent,
        )

    async def _direct_stage(self, stack: AsyncExitStack, desk: Desk, tell: Tell) -> Stage:
        """Place a call between two parties whose audio Asterisk hands over directly."""
        tell("beside it a call that is heard without phones, to the frame")
        cast, ari = self._cast, self._info.ari
        caller = await DirectParty.call(
            ari,
            cast.direct_callee,
            tone=Tone(cast.direct_tones[CALLER], SENT_DBFS),
            caller_number=cast.direct_caller,
        )
        stack.push_async_callback(caller.hangup)
        call = await desk.next_call(cast.direct_caller)
        observer = AriConnection(
            AriSettings(ari.url, ari.username, ari.password, f"callbridge-lab-{cast.caller}"),
            on_event=lambda _event: None,
        )
        await observer.open()
        stack.push_async_callback(observer.close)
        callee: list[DirectParty] = []

        async def pick_up(step: Step) -> None:
            if step.command is not ActiveCall.connect:
                return
            channel_id = await callee_channel(observer, call)
            tone = Tone(cast.direct_tones[CALLEE], SENT_DBFS)
            callee.append(await DirectParty.answer(ari, channel_id, tone=tone))
            stack.push_async_callback(callee[0].hangup)

        scene = Scene(
            tones=cast.direct_tones,
            sent_dbfs=SENT_DBFS,
            rate=RATE,
            ears={
                CALLER: FrameEar(lambda: caller.frames, RATE),
                CALLEE: FrameEar(lambda: callee[0].frames if callee else [], RATE),
            },
        )
        return Stage(call, scene, meanwhile=pick_up)


async def callee_channel(observer: AriConnection, call: ActiveCall) -> str:
    """Wait until the callee of ``call`` is being rung; return his channel's id."""
    return await rung_channel(
        observer,
        lambda name: call.call_id in name and name.rpartition("-")[0].endswith(CALLEE),
    )
