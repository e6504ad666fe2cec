"""One call of the demonstration's first act: its agent, its ears, and what is done on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bridge.lab.demo.agent import ToneAgent
from bridge.lab.demo.scene import Scene
from bridge.lab.demo.story import Step
from bridge.lab.together import together
from bridge.sdk import ActiveCall


class Stage:
    """A call whose parties have ears in ``scene``, and its agent, who gets one when it answers.

    meanwhile: done beside a step, such as a callee's picking up; when one fails, so does the other.
    """

    def __init__(
        self,
        call: ActiveCall,
        scene: Scene,
        *,
        meanwhile: Callable[[Step], Awaitable[None]] | None = None,
    ) -> None:
        self.call = call
        self.scene = scene
        self._meanwhile = meanwhile
        self._agent: ToneAgent | None = None

    async def perform(self, step: Step) -> float:
        """Do what the step says; return since when its voice counts."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await together(self._command(step), self._beside(step))
        ended = loop.time()
        if self._agent is None:
            self._agent = ToneAgent.on(self.scene, self.call)
        else:
            self._agent.speak_now()
        return ended if step.mode in {"answered", "barge"} else began

    async def aclose(self) -> None:
        """Let the agent fall silent."""
        if self._agent is not None:
            await self._agent.aclose()

    async def _command(self, step: Step) -> None:
        await step.command(self.call)

    async def _beside(self, step: Step) -> None:
        if self._meanwhile is not None:
            await self._meanwhile(step)
