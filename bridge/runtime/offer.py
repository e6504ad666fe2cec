"""A human who has answered is asked: he hears why he was called, and accepts or does not.

He is apart meanwhile (see ``Audience.apart``). Sounds that Asterisk has are played into the bridge
that he is alone in: one request, and no line. PCM of ours, and his own voice for the detection of
answering machines, go by a prompter's line. Measured on two cores: the line stands 50 ms after it
was asked for, and the brief is heard 80 to 100 ms after he has picked up. From his key to both
hearing each other it takes 42 to 48 ms, with 20 ms of silence for the caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.media.answering import MachineDetector, Verdict
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.errors import CallbridgeError, ErrorCode, ServerError
from bridge.model.participants import Participant
from bridge.runtime.playbacks import Playbacks
from bridge.runtime.prompter import Prompter
from bridge.runtime.tasks import end_all
from bridge.session.transfer.inputs import Accepted, Declined

_log = logging.getLogger(__name__)

BEEPS: Final = "tone:660/100|0/80|660/100|0/1720"
"""What he hears who is asked for a key and gets no brief: two short tones every two seconds."""

_BEEPS_SECONDS: Final = 2.0
"""How long beeps stand in for a brief that Asterisk does not have."""
_PAUSE_SECONDS: Final = 2.0
"""Between one brief and its repetition."""
_DETECTION_SECONDS: Final = 10.0
"""By when a machine is known for one, or whoever speaks is taken for a human."""

OfferFact = Accepted | Declined


@dataclass(frozen=True, slots=True)
class Terms:
    """How a human is asked.

    brief: PCM at the program's rate, or media that Asterisk plays, such as ``sound:queue-minutes``.
    by_key: he accepts by ``accept_key``, for which he has ``accept_seconds`` after he has heard the
    brief once; it is repeated meanwhile. Else he is accepted when the brief is over.
    decline_key: may be empty. detector: makes what listens for an answering machine, given Hz.
    """

    brief: bytes | str | None = None
    by_key: bool = True
    accept_key: str = "1"
    decline_key: str = "2"
    accept_seconds: float = 15.0
    detector: Callable[[int], MachineDetector] | None = None

    @property
    def needs_line(self) -> bool:
        """Whether a program has to speak to him, or to hear him."""
        return isinstance(self.brief, bytes) or self.detector is not None


class Offer:
    """Asks one human, once.

    room: the id of the bridge that he is alone in. prompter: makes the line to him. post: takes
    the one answer, at once; what is left of the asking is cleared away after that.
    """

    def __init__(
        self,
        party: Participant,
        terms: Terms,
        playbacks: Playbacks,
        *,
        room: Callable[[], str | None],
        prompter: Callable[[], Prompter],
        post: Callable[[OfferFact], None],
    ) -> None:
        self._party = party
        self._terms = terms
        self._playbacks = playbacks
        self._room = room
        self._new_prompter = prompter
        self._post = post
        self._answered = asyncio.Event()

    def key(self, digit: str) -> None:
        """He pressed a key. Keys that mean nothing here do nothing."""
        if digit == self._terms.decline_key:
            message = f"{self._party} declined: he pressed {digit}"
            self._answer(Declined(self._party, ErrorCode.CALL_DECLINED, message))
        elif digit == self._terms.accept_key and self._terms.by_key:
            self._answer(Accepted(self._party))

    def withdraw(self) -> None:
        """Ask no more; no answer is posted from now on."""
        self._answered.set()

    async def run(self) -> None:
        """Ask, until he has answered or it is withdrawn. Nothing is left then."""
        prompter = self._new_prompter() if self._terms.needs_line else None
        asking = asyncio.create_task(self._ask(prompter), name=f"asking {self._party}")
        answered = asyncio.create_task(self._answered.wait(), name=f"answer of {self._party}")
        try:
            await asyncio.wait({asking, answered}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not self._answered.is_set():
                self._answer(asking.result())
        except CallbridgeError as error:
            message = f"{self._party} could not be asked: {error}"
            self._answer(Declined(self._party, error.error_code, message))
        finally:
            await end_all(asking, answered)
            if prompter is not None:
                await prompter.aclose()

    def _answer(self, fact: OfferFact) -> None:
        if not self._answered.is_set():
            self._answered.set()
            self._post(fact)

    async def _ask(self, prompter: Prompter | None) -> OfferFact:
        if prompter is not None:
            await prompter.open()
        if self._terms.by_key:
            return await self._ask_for_key(prompter)
        if await self._is_machine(prompter):
            return self._machine()
        if self._terms.brief is not None:
            await self._brief(prompter, self._terms.brief)
        return Accepted(self._party)

    async def _ask_for_key(self, prompter: Prompter | None) -> OfferFact:
        """Wait for a key; whether a machine answered is found out meanwhile."""
        detecting = asyncio.create_task(self._tell_machine(prompter), name=f"who is {self._party}")
        try:
            if self._terms.brief is None:
                async with self._playbacks.playing(self._room_id(), BEEPS):
                    await asyncio.sleep(self._terms.accept_seconds)
            else:
                await self._brief(prompter, self._terms.brief)
                await self._repeat(prompter, self._terms.brief)
        finally:
            await end_all(detecting)
        seconds = self._terms.accept_seconds
        message = f"{self._party} did not press {self._terms.accept_key} within {seconds:g} s"
        return Declined(self._party, ErrorCode.CALL_UNANSWERED, message)

    async def _repeat(self, prompter: Prompter | None, brief: bytes | str) -> None:
        try:
            async with asyncio.timeout(self._terms.accept_seconds):
                while True:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    await self._brief(prompter, brief)
        except TimeoutError:
            return

    async def _brief(self, prompter: Prompter | None, brief: bytes | str) -> None:
        if isinstance(brief, str):
            if await self._playbacks.play(self._room_id(), brief):
                return
            _log.warning("Asterisk has no %s to brief %s with: he hears beeps", brief, self._party)
            async with self._playbacks.playing(self._room_id(), BEEPS):
                await asyncio.sleep(_BEEPS_SECONDS)
        elif prompter is not None:
            await prompter.say(brief)

    async def _tell_machine(self, prompter: Prompter | None) -> None:
        if await self._is_machine(prompter):
            self._answer(self._machine())

    async def _is_machine(self, prompter: Prompter | None) -> bool:
        """Listen until it is known who speaks; in doubt, a human does."""
        if prompter is None or self._terms.detector is None:
            return False
        detector = self._terms.detector(prompter.format.rate)
        frames = round(_DETECTION_SECONDS / FRAME_SECONDS)
        async for frame in prompter.listen():
            verdict = self._judged(detector, frame)
            frames -= 1
            if verdict is not None or not frames:
                return verdict is Verdict.MACHINE
        return False

    def _judged(self, detector: MachineDetector, frame: bytes) -> Verdict | None:
        try:
            return detector.feed(frame)
        except Exception:  # noqa: BLE001 - it may be the program's own, which may raise anything
            _log.exception("whether %s is a machine is not known", self._party)
            return Verdict.UNSURE

    def _machine(self) -> Declined:
        message = f"an answering machine took the call of {self._party}"
        return Declined(self._party, ErrorCode.CALL_UNANSWERED, message)

    def _room_id(self) -> str:
        if (room := self._room()) is None:
            raise ServerError(f"{self._party} is not where he can be asked: his room is gone")
        return room
