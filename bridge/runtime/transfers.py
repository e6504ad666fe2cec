"""All transfers of one controller: one at a time on each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from bridge.ari import AriConnection
from bridge.model.context import CALL_ID
from bridge.model.errors import CommandInProgressError
from bridge.model.ids import CallId
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.runtime.agent import AgentMedia
from bridge.runtime.engine import CallEngine
from bridge.runtime.executor import Executor
from bridge.runtime.offer import Terms
from bridge.runtime.playbacks import Playbacks
from bridge.runtime.prompter import Prompter
from bridge.runtime.transfer import TransferEngine
from bridge.session.transfer import Transfer
from bridge.session.transfer.inputs import CallOver, Resumed

_log = logging.getLogger(__name__)

NOTE: Final = "transfer"
"""The key of a transfer among the notes of its call: JSON, as ``encoded`` writes it."""


_END_SECONDS: Final = 3.0


class Remembered(msgspec.Struct, frozen=True):
    """What a program has to know that takes a transfer up. The brief is not part of it."""

    state: Transfer
    accept_key: str
    decline_key: str
    accept_seconds: float
    brief: str | None
    """What Asterisk plays; what was PCM is lost with the program, and beeps stand for it."""
    stays: bool
    music: str = ""


class Host(Protocol):
    """Who has the link and owns tasks: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    def executor(self, object_id: CallId, programs: dict[Participant, AgentMedia]) -> Executor:
        """Make an executor for objects that are named by an id."""

    def new_program(self) -> AgentMedia:
        """Make the voice and ears of a program."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Transfers:
    """Begins transfers, takes them up again, and knows which are under way.

    What is to be known of one after a restart is kept in its call's notes as long as it lasts.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.playbacks = Playbacks(host.ari)
        self._engines: dict[CallId, TransferEngine] = {}
        """The last of each call, until nothing of it is left."""
        self._present: set[TransferEngine] = set()
        """All of which something is left."""
        self._prompters: dict[CallId, str] = {}
        """To whose channel they speak."""
        self.parked_in: Callable[[CallId], str | None] = lambda _call_id: None
        """Says in which slot a call is parked: nobody but who fetches it from there moves it."""

    @property
    def ids(self) -> frozenset[CallId]:
        """Under which ids there are objects of ours in Asterisk."""
        return frozenset(self._prompters)

    @property
    def prompters(self) -> Mapping[CallId, str]:
        """The channels of those who are spoken to by one, by the ids of the prompters."""
        return MappingProxyType(self._prompters)

    def of(self, call_id: CallId) -> TransferEngine | None:
        """Return the transfer of a call that is under way."""
        engine = self._engines.get(call_id)
        return None if engine is None or engine.is_over else engine

    def new(
        self, call: CallEngine, terms: Terms, *, stays: bool = False, music: str = ""
    ) -> TransferEngine:
        """Make a transfer of a call; it begins by its command Begin, which has to follow.

        Raises CommandInProgressError as long as there is another, or the call is parked.
        """
        self.require_none(call)
        return self._run(TransferEngine(call, self, terms, stays=stays, music=music))

    def require_none(self, call: CallEngine) -> None:
        """Raise CommandInProgressError while a call is being transferred, or is parked.

        Whoever keeps a call is the only one: what he does at the end would undo what another did.
        """
        call_id = call.incoming.call_id
        if (slot := self.parked_in(call_id)) is not None:
            raise CommandInProgressError(f"call {call_id} is parked in {slot}: take it back first")
        if self.of(call_id) is not None:
            raise CommandInProgressError(
                f"call {call_id} is being transferred: complete or cancel that first"
            )
        if call.session.standing.kept:
            raise CommandInProgressError(
                f"call {call_id} is being transferred by a phone: try again when that is over"
            )

    def resume(self, call: CallEngine, ringing: frozenset[Participant]) -> TransferEngine | None:
        """Go on with what the notes of a call tell of a transfer; None when there is none.

        ringing: parties who are being rung, for this call, right now.
        """
        call_id = call.incoming.call_id
        if self.of(call_id) is not None or NOTE not in call.notes:
            return None
        try:
            known = msgspec.json.decode(call.notes[NOTE], type=Remembered)
        except msgspec.MsgspecError as error:
            _log.warning("call %s: its transfer is not understood: %s", call_id, error)
            del call.notes[NOTE]
            return None
        terms = Terms(
            known.brief,
            by_key=known.state.plan.by_key,
            accept_key=known.accept_key,
            decline_key=known.decline_key,
            accept_seconds=known.accept_seconds,
        )
        engine = TransferEngine(
            call, self, terms, stays=known.stays, music=known.music, state=known.state
        )
        session = call.session
        engine.post(Resumed(session.parties, ringing, session.has_agent))
        for party in sorted(ringing):
            engine.go_on_ringing(party)
        return self._run(engine)

    def call_over(self, call_id: CallId) -> None:
        """A call of ours is over, and nothing of it is left."""
        if (engine := self._engines.get(call_id)) is not None:
            engine.post(CallOver())

    async def close(self) -> None:
        """The program leaves: bring every transfer to an end, so that nobody is left on hold."""
        engines = list(self._present)
        for engine, error in zip(
            engines,
            await asyncio.gather(*map(_ended, engines), return_exceptions=True),
            strict=True,
        ):
            if error is not None:
                call_id = engine.call.incoming.call_id
                _log.warning("call %s: its transfer is left half done: %r", call_id, error)

    def new_prompter(self, party: Participant, channel_id: str) -> Prompter:
        """Make a voice that one party alone hears."""
        prompter = Prompter(self._host, party, channel_id, on_closed=self._prompters.pop)
        self._prompters[prompter.prompter_id] = channel_id
        return prompter

    def _run(self, engine: TransferEngine) -> TransferEngine:
        call_id = engine.call.incoming.call_id
        self._engines[call_id] = engine
        self._present.add(engine)
        engine.on_change.append(lambda: self._note(engine))
        self._host.spawn(self._live(engine), f"transfer of {call_id}")
        return engine

    async def _live(self, engine: TransferEngine) -> None:
        CALL_ID.set(engine.call.incoming.call_id)
        try:
            await engine.run()
        finally:
            self._present.discard(engine)
            call_id = engine.call.incoming.call_id
            if self._engines.get(call_id) is engine:
                del self._engines[call_id]
                engine.call.notes.pop(NOTE, None)

    @staticmethod
    def _note(engine: TransferEngine) -> None:
        engine.call.notes[NOTE] = encoded(engine)


def taken_names(call: CallEngine) -> frozenset[Participant]:
    """Return the names that no human may have who is rung for a transfer."""
    coming = {adding.party for adding in call.session.adding}
    return frozenset({*call.names_taken(), *coming, CALLER, CALLEE, AGENT})


async def _ended(engine: TransferEngine) -> None:
    async with asyncio.timeout(_END_SECONDS):
        await engine.end()


def encoded(engine: TransferEngine) -> str:
    """Write down what is to be known of a transfer, as JSON."""
    terms = engine.terms
    known = Remembered(
        engine.state.remembered(),
        terms.accept_key,
        terms.decline_key,
        terms.accept_seconds,
        terms.brief if isinstance(terms.brief, str) else None,
        engine.stays,
        engine.music,
    )
    return msgspec.json.encode(known).decode()
