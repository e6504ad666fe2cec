"""The second act: supervision of calls that no application placed, told and measured."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final

from bridge.ari import AriConnection, AriSettings
from bridge.lab.asterisk import Instance, InstanceInfo
from bridge.lab.demo.ears import PhoneEar
from bridge.lab.demo.handset import handset
from bridge.lab.demo.recordings import keep
from bridge.lab.demo.result import Refused, SecondAct, StepResult
from bridge.lab.demo.scene import Scene
from bridge.lab.demo.settings import RATE, SENT_DBFS, DemoSettings, Tell, Tones
from bridge.lab.demo.supervised_calls import DirectCall, PhonesCall
from bridge.lab.demo.supervised_story import (
    SUPERVISED_STEPS,
    SUPERVISOR,
    Modes,
    Moment,
    SupervisedStep,
)
from bridge.lab.hearing import TONES
from bridge.lab.phones import Phone
from bridge.lab.standing import CHANNEL, left_since, standing
from bridge.lab.together import together
from bridge.model.errors import CapabilityError
from bridge.model.participants import AGENT, CALLEE, CALLER, PARTIES, Participant
from bridge.sdk import Client

NUMBERS: Final = {CALLER: "1001", CALLEE: "1002", SUPERVISOR: "1003"}
PHONE_TONES: Final[Tones] = {
    CALLER: TONES["caller"],
    CALLEE: TONES["callee"],
    SUPERVISOR: TONES["supervisor"],
    AGENT: TONES["agent"],
}
DIRECT_TONES: Final[Tones] = {
    CALLER: TONES["other_caller"],
    CALLEE: TONES["other_callee"],
    SUPERVISOR: TONES["other_observer"],
    AGENT: TONES["other_agent"],
}
EVERYWHERE: Final = frozenset({*PHONE_TONES.values(), *DIRECT_TONES.values()})
KEPT_IN: Final = "second-act"
"""Folder of the recordings, in that of the first act's."""

NOBODY: Final[frozenset[Participant]] = frozenset()


async def run_second_act(
    instance: Instance,
    settings: DemoSettings,
    tell: Tell,
    steps: Sequence[SupervisedStep] = SUPERVISED_STEPS,
) -> SecondAct:
    """Give the second act on ``instance`` and return what was heard.

    With phones that send no RTP, steps that this Asterisk cannot do are left out, and told. Raises
    LabError, ServerError, CallError or TimeoutError when it could not be given to its end.
    """
    with tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder:
        act = _Act(instance.info, settings, Path(folder))
        await act.play(steps, tell)
        tell("measuring what was heard")
        return await asyncio.to_thread(act.measure)


class _Act:
    """A call of phones and one of direct ears, and what happened on them."""

    def __init__(self, info: InstanceInfo, settings: DemoSettings, recordings: Path) -> None:
        self._info = info
        self._settings = settings
        self._recordings = recordings
        self._told: list[Moment | Refused] = []
        self._notes: dict[str, str] = {}
        """By the name of a step."""
        self._left: set[str] = set()
        self._live_call = ""
        self._scenes = [
            Scene(tones=tones, sent_dbfs=SENT_DBFS, rate=RATE, ears={}, silent=silent)
            for tones, silent in ((PHONE_TONES, settings.silent), (DIRECT_TONES, NOBODY))
        ]

    async def play(self, steps: Sequence[SupervisedStep], tell: Tell) -> None:
        """Give the act to its end; note what is left of it then."""
        ari = self._info.ari
        look = AriConnection(
            AriSettings(ari.url, ari.username, ari.password, "callbridge-lab-second-act"),
            on_event=lambda _event: None,
        )
        await look.open()
        try:
            before = await standing(look)
            async with AsyncExitStack() as stack:
                tell("starting three softphones")
                phones, direct = await self._set_up(stack, look)
                await self._tell_all(steps, phones, direct, look, tell)
            self._left |= await left_since(look, before)
        finally:
            await look.close()

    def measure(self) -> SecondAct:
        """Return what was heard, now that the phones have stopped. Raises OSError."""
        steps: list[StepResult | Refused] = []
        index = 0
        for told in self._told:
            if isinstance(told, Refused):
                steps.append(told)
                continue
            phones, direct = (scene.measure(index, EVERYWHERE) for scene in self._scenes)
            index += 1
            note = self._notes.get(told.name)
            steps.append(
                StepResult(
                    step=told,
                    silent=self._settings.silent,
                    limits=self._settings.limits,
                    phones=phones,
                    direct=direct,
                    notes=() if note is None else (note,),
                )
            )
        act = SecondAct(self._live_call, tuple(steps), tuple(sorted(self._left)))
        if self._settings.keep is not None:
            folder = self._settings.keep / KEPT_IN
            keep(folder, self._recordings, self._scenes[0], act.measured)
        return act

    async def _set_up(
        self, stack: AsyncExitStack, look: AriConnection
    ) -> tuple[PhonesCall, DirectCall]:
        """Start a program that watches the PBX, and the phones."""
        ari = self._info.ari
        client = Client(
            ari.url,
            ari.username,
            ari.password,
            sample_rate=RATE,
            supervisors=[NUMBERS[SUPERVISOR]],
        )
        await stack.enter_async_context(client)
        started = await together(
            *(stack.enter_async_context(self._handset(who)) for who in NUMBERS)
        )
        for who, (_, ear) in zip(NUMBERS, started, strict=True):
            self._scenes[0].embody(who, ear)
        lines = {who: phone for who, (phone, _) in zip(NUMBERS, started, strict=True)}
        phones = PhonesCall(client, self._scenes[0], lines)
        direct = DirectCall(client, self._scenes[1], ari, look, stack)
        for call in (phones, direct):
            stack.push_async_callback(call.dismiss_ai)
        return phones, direct

    def _handset(self, who: Participant) -> AbstractAsyncContextManager[tuple[Phone, PhoneEar]]:
        return handset(
            self._info,
            NUMBERS[who],
            self._settings.codec,
            hz=PHONE_TONES[who],
            record=self._recordings / f"{who}.wav",
            silent=who in self._settings.silent,
        )

    async def _tell_all(
        self,
        steps: Sequence[SupervisedStep],
        phones: PhonesCall,
        direct: DirectCall,
        look: AriConnection,
        tell: Tell,
    ) -> None:
        """Give step after step, first on the phones."""
        modes: Modes = {}
        alone: frozenset[str] | None = None
        for step in steps:
            tell(step.name)
            try:
                since = [await step.command(phones)]
            except CapabilityError as error:
                if not self._settings.silent:
                    raise
                self._told.append(Refused(step.told(modes), error.error_message))
                continue
            since.append(await step.command(direct))
            modes = step.after(modes)
            moment = step.told(modes)
            self._told.append(moment)
            if alone is None:
                alone = await standing(look)
                self._live_call = str(phones.live)
                self._notes[step.name] = f"client.live_calls(): {self._live_call}"
            elif not modes:
                self._notes[step.name] = await self._as_before(look, alone, phones)
            await asyncio.gather(
                *(scene.settle(moment, at) for scene, at in zip(self._scenes, since, strict=True))
            )

    async def _as_before(
        self, look: AriConnection, alone: frozenset[str], phones: PhonesCall
    ) -> str:
        """Return what is left of the observers, in words. alone: what stood before they came.

        Snoops of the phones may be, while neither phone sends anything: one that was hung up waits
        for a frame of its target's, or for its end (main/audiohook.c, ast_audiohook_detach).
        """
        still = self._settings.silent >= PARTIES
        targets = phones.live.channels.values() if still else ()
        waiting = tuple(f"{CHANNEL}Snoop/{target}-" for target in targets)
        left = await left_since(look, alone, waiting)
        if left:
            self._left |= left
            return f"left in Asterisk: {', '.join(sorted(left))}"
        channels = sum(name.startswith(CHANNEL) for name in alone)
        note = (
            f"in Asterisk, as before the observers came: {channels} channels, "
            f"{len(alone) - channels} bridges"
        )
        return f"{note}; snoops of the phones end with the next frame" if still else note
