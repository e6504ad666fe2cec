"""The third act: a caller is handed over to a human, told and measured."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bridge.ari import AriConnection, AriSettings
from bridge.lab.asterisk import Instance, InstanceInfo
from bridge.lab.demo.desk import open_desk
from bridge.lab.demo.handed_over_calls import (
    HUMAN_NUMBER,
    PHONE_NUMBER,
    DirectHandover,
    HandedOverCall,
    PhonesHandover,
)
from bridge.lab.demo.handed_over_story import BRIEF, HANDOVER_STEPS, HUMAN, HandoverStep
from bridge.lab.demo.handset import handset
from bridge.lab.demo.recordings import keep
from bridge.lab.demo.result import StepResult, ThirdAct
from bridge.lab.demo.scene import Scene
from bridge.lab.demo.settings import RATE, SENT_DBFS, DemoSettings, Tell, Tones
from bridge.lab.hearing import TONES
from bridge.lab.phones import Behaviour, Phone
from bridge.lab.standing import left_since, standing
from bridge.lab.together import together
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant

PHONE_TONES: Final[Tones] = {
    CALLER: TONES["caller"],
    HUMAN: TONES["callee"],
    AGENT: TONES["agent"],
    BRIEF: TONES["supervisor"],
}
DIRECT_TONES: Final[Tones] = {
    CALLER: TONES["other_caller"],
    HUMAN: TONES["other_callee"],
    AGENT: TONES["other_agent"],
    BRIEF: TONES["other_observer"],
}
EVERYWHERE: Final = frozenset({*PHONE_TONES.values(), *DIRECT_TONES.values()})
KEPT_IN: Final = "third-act"
"""Folder of the recordings, in that of the first act's."""


async def run_third_act(
    instance: Instance,
    settings: DemoSettings,
    tell: Tell,
    steps: Sequence[HandoverStep] = HANDOVER_STEPS,
) -> ThirdAct:
    """Give the third act on ``instance`` and return what was heard.

    A callee who is to be silent is the human. Raises LabError, ServerError, CallError or
    TimeoutError when it could not be given to its end.
    """
    with tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder:
        act = _Act(instance.info, settings, Path(folder))
        await act.play(steps, tell)
        tell("measuring what was heard")
        return await asyncio.to_thread(act.measure, steps)


class _Act:
    """A call of phones and one of direct ears, and what happened on them."""

    def __init__(self, info: InstanceInfo, settings: DemoSettings, recordings: Path) -> None:
        self._info = info
        self._settings = settings
        self._recordings = recordings
        self._silent = frozenset(HUMAN if who == CALLEE else who for who in settings.silent)
        self._left: frozenset[str] = frozenset()
        self._phones = _scene(PHONE_TONES, self._silent)
        self._direct = _scene(DIRECT_TONES, frozenset())

    async def play(self, steps: Sequence[HandoverStep], tell: Tell) -> None:
        """Give the act to its end; note what is left of it then."""
        ari = self._info.ari
        look = AriConnection(
            AriSettings(ari.url, ari.username, ari.password, "callbridge-lab-third-act"),
            on_event=lambda _event: None,
        )
        await look.open()
        try:
            before = await standing(look)
            async with AsyncExitStack() as stack:
                tell("starting two softphones")
                calls = await self._set_up(stack, look)
                for step in steps:
                    tell(step.name)
                    since = [await step.command(call) for call in calls]
                    await asyncio.gather(
                        *(
                            call.scene.settle(step, at)
                            for call, at in zip(calls, since, strict=True)
                        )
                    )
                await asyncio.gather(*(call.hang_up() for call in calls))
                self._left = await left_since(look, before)
        finally:
            await look.close()

    def measure(self, steps: Sequence[HandoverStep]) -> ThirdAct:
        """Return what was heard, now that the phones have stopped. Raises OSError."""
        silences_ms = tuple(self._direct.silence_ms(CALLER, index) for index in range(len(steps)))
        results = tuple(
            StepResult(
                step=step,
                silent=self._silent,
                limits=self._settings.limits,
                phones=self._phones.measure(index, EVERYWHERE),
                direct=self._direct.measure(index, EVERYWHERE),
                notes=(f"the caller heard nothing for {silences_ms[index]:.0f} ms at most",),
            )
            for index, step in enumerate(steps)
        )
        if self._settings.keep is not None:
            keep(self._settings.keep / KEPT_IN, self._recordings, self._phones, results)
        return ThirdAct(results, silences_ms, tuple(sorted(self._left)))

    async def _set_up(
        self, stack: AsyncExitStack, look: AriConnection
    ) -> tuple[HandedOverCall, HandedOverCall]:
        """Start a program that takes calls, and the phones."""
        desk = await open_desk(stack, self._info)
        caller, human = await together(
            self._phone(stack, CALLER, PHONE_NUMBER, Behaviour.ANSWER),
            self._phone(stack, HUMAN, HUMAN_NUMBER, Behaviour.RING),
        )
        phones = PhonesHandover(desk, self._phones, caller, human)
        direct = DirectHandover(desk, self._direct, self._info.ari, look, stack)
        for call in (phones, direct):
            stack.push_async_callback(call.dismiss_ai)
        return phones, direct

    async def _phone(
        self, stack: AsyncExitStack, who: Participant, number: str, answer: Behaviour
    ) -> Phone:
        phone, ear = await stack.enter_async_context(
            handset(
                self._info,
                number,
                self._settings.codec,
                hz=PHONE_TONES[who],
                record=self._recordings / f"{who}.wav",
                silent=who in self._silent,
                answer=answer,
            )
        )
        self._phones.embody(who, ear)
        return phone


def _scene(tones: Tones, silent: frozenset[Participant]) -> Scene:
    return Scene(
        tones=tones,
        sent_dbfs=SENT_DBFS,
        rate=RATE,
        ears={},
        silent=silent,
        parties=(CALLER, HUMAN),
    )
