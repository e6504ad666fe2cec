"""A call that is transferred again and again on the fake server, by dice; watched all the time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from bridge.lab.fake_ari import Answer, FakeAri, FakeChannel, Received
from bridge.model.errors import CallbridgeError
from bridge.model.modes import AudioMode
from bridge.model.participants import AGENT, CALLER
from bridge.runtime.hold_button import away
from bridge.runtime.names import key_of
from bridge.runtime.transfer import TransferEngine
from bridge.sdk import ActiveCall, Client, Observer, events
from bridge.sdk.events import CallEvent
from bridge.sdk.transfer import Transfer
from bridge.session import Phase, Session
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.integration.observers.theatre import heard
from tests.support.script import Cells

SILENCE_S: Final = 0.2
"""How long the caller may hear nobody at most, while nothing fails."""
LOOK_S: Final = 0.1
PATIENCE_S: Final = 90.0
"""By the loop's time: what fails again and again is tried again after half a minute."""
_NUMBERS: Final = ("1003", "1004", "1005", "1006")
_PAUSES: Final = (0.0, 0.0, 0.0, 0.001, 0.02, 0.1, 0.5, 1.0, 4.0, 4.0, 20.0)
_OVER: Final = frozenset({Phase.ENDING, Phase.DISCONNECTED})
_RINGS: Final = (*[Answer.ANSWER] * 6, Answer.RING, Answer.BUSY)

Act = Callable[[], Coroutine[Any, Any, Any]]


class Names:
    """Whose channel is whose: the caller's is known, those of others say it."""

    def __init__(self, caller: FakeChannel) -> None:
        self._caller = caller.id

    def name(self, channel: FakeChannel) -> str | None:
        """Return whose channel it is; None when it is nobody's."""
        if channel.id == self._caller:
            return CALLER
        key = key_of(channel.id) or ""
        return key.removeprefix("leg.") if key.startswith("leg.") else None


class _Doorman(deque[Received]):
    """Looks whenever the fake is asked for a change."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(maxlen=60)
        self._look = look

    def append(self, request: Received) -> None:
        """Note a request that is about to be carried out."""
        super().append(request)
        if request.method != "GET":
            self._look()


class Story:
    """One call, and what the dice do with it."""

    def __init__(
        self,
        fake: FakeAri,
        client: Client,
        call: ActiveCall,
        caller: FakeChannel,
        dice: random.Random,
    ) -> None:
        self.fake = fake
        self.client = client
        self.call = call
        self.transfers: list[Transfer] = []
        self.outcomes: Counter[Outcome | None] = Counter()
        self.stages: Counter[Stage] = Counter()
        self.wrong: list[str] = []
        self.looks = 0
        self.faulty = False
        self._engine = call._engine
        self._caller = caller
        self._names = Names(caller)
        self._dice = dice
        self._acts: list[asyncio.Task[None]] = []
        self._told: deque[str] = deque(maxlen=80)
        self._observers: list[Observer] = []
        self._whispered: set[str] = set()
        """Who has spoken to somebody by name: he may have heard one who is apart."""
        self._silent_since: float | None = None
        self._outcomes: dict[Transfer, list[Outcome | None]] = {}
        self._ended: Counter[TransferEngine] = Counter()
        for event in CallEvent:
            if event.startswith("TRANSFER_"):
                call.on(event, self._heard_of(event))

    def _heard_of(self, event: CallEvent) -> Callable[[ActiveCall, Transfer], None]:
        def tell(_call: ActiveCall, transfer: Transfer) -> None:
            self._told.append(f"{event} {transfer!r}")
            if event is events.TRANSFER_STARTED:
                self._outcomes.setdefault(transfer, [])
            if event is events.TRANSFER_ENDED:
                self._outcomes.setdefault(transfer, []).append(transfer.outcome)
                self._ended[transfer._engine] += 1

        return tell

    # --- playing --------------------------------------------------------------------------------

    async def play(self, length: int, go_wrong: Callable[[FakeAri], None] | None) -> None:
        """Let ``length`` things happen, some at the same moment; then let it come to rest."""
        self.faulty = go_wrong is not None
        self.fake.received = _Doorman(self.look)
        watching = asyncio.create_task(self._watch(), name="watch")
        try:
            for _ in range(length):
                if self.call.end_reason is not None and self.call.transfer_in_progress is None:
                    break
                if go_wrong is not None:
                    go_wrong(self.fake)
                self._begin(self._choose())
                await asyncio.sleep(self._dice.choice(_PAUSES))
            self.fake.failures.rules.clear()
            self.fake.failures.mishaps.clear()
            await self._come_to_rest()
            await self._end()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self.fake.received = deque(maxlen=100)
        assert not self.wrong, "\n".join(self.wrong[:3])

    def _begin(self, act: tuple[str, Act]) -> None:
        name, work = act
        self._told.append(name)
        self._acts.append(asyncio.create_task(self._try(name, work), name=name))

    async def _try(self, name: str, work: Act) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S * 3):
                await work()
        except CallbridgeError as error:
            self._told.append(f"{name}: {error!r}")
        except TimeoutError:
            self.wrong.append(f"{name} was never answered\n{self.story}")

    def _choose(self) -> tuple[str, Act]:
        call, dice = self.call, self._dice
        transfer = call.transfer_in_progress
        acts: list[tuple[int, str, Act]] = [
            (8 if transfer is None else 1, "transfer", self._transfer),
            (1, "hold", lambda: call.hold(dice.choice(self._parties))),
            (2, "unhold", lambda: call.unhold(dice.choice(self._parties))),
            (1, "a phone's hold button", self._hold_button),
            (1, "add", self._add),
            (1, "remove", lambda: call.remove(dice.choice(self._parties))),
            (1, "barge", lambda: call.barge(cut=dice.random() < 0.5)),
            (1, "spy", lambda: call.spy(cut=dice.random() < 0.5)),
            (1, "whisper", self._whisper),
            (2, "somebody hangs up", self._hang_up),
            (1, "observe", self._observe),
            (2, "observer", self._turn_observer),
        ]
        if transfer is not None:
            acts += [
                (2, "cancel", lambda: transfer.cancel(cut=dice.random() < 0.5)),
                (3, "complete", lambda: transfer.complete(cut=dice.random() < 0.5)),
                (3, "toggle", lambda: transfer.toggle(cut=True)),
                (2, "conference", lambda: transfer.conference(for_good=dice.random() < 0.2)),
                (4, "a human answers", self._answer),
                (20 if transfer.stage is Stage.RINGING else 1, "a key", self._press),
            ]
        if dice.random() < 0.03:
            return "close", lambda: call.close(cut=dice.random() < 0.5)
        if dice.random() < 0.01:
            return "disconnect", lambda: call.disconnect(cut=True)
        weights = [weight for weight, _, _ in acts]
        _, name, work = dice.choices(acts, weights)[0]
        return name, work

    # --- what may happen ------------------------------------------------------------------------

    async def _transfer(self) -> None:
        dice = self._dice
        for number in _NUMBERS:
            phone = self.fake.world.phones[number]
            phone.answer, phone.after_s = dice.choice(_RINGS), dice.choice([0, 0, 0.01, 1])
        count = dice.choice([1, 1, 2, 3])
        targets: list[Any] = dice.sample(_NUMBERS, count)
        if count > 2:
            targets = [targets[:2], *targets[2:]]
        warm = dice.random() < 0.8
        consult = dice.choice([None, True, False]) if warm else None
        by = dice.choice([None, None, AGENT, *self._parties])
        self._told.append(f"transfer to {targets} by {by}, {warm=}, {consult=}")
        transfer = await self.call.transfer(
            targets,
            warm=warm,
            by=by,
            together=dice.random() < 0.2,
            ring_time_seconds=dice.choice([2, 20]),
            brief=dice.choice([None, "sound:beep", bytes(32000)]),
            accept=dice.choice([None, "key", "answer", "answer"]),
            accept_seconds=dice.choice([0.5, 15.0]),
            consult=consult,
            hold=dice.choice(["at_once", "at_once", "on_accept"]),
            stay=dice.random() < 0.2,
        )
        self.transfers.append(transfer)

    async def _whisper(self) -> None:
        self._whispered.add(AGENT)
        await self.call.whisper(self._dice.choice(self._parties))

    async def _add(self) -> None:
        self.fake.world.phones["1008"].answer = self._dice.choice(_RINGS)
        await self.call.add("1008", name=f"friend_{self._dice.randrange(1000)}")

    async def _hang_up(self) -> None:
        legs = [c for c in self._legs() if c.id != self._caller.id]
        if self._dice.random() < 0.15:
            legs = [c for c in self._legs() if c.id == self._caller.id]
        if legs:
            channel = self._dice.choice(legs)
            self._told.append(f"{self._names.name(channel)} hangs up")
            self.fake.channel_hangs_up(channel.id)

    async def _answer(self) -> None:
        for channel in self._legs():
            if channel.state == "Ringing":
                self.fake.channel_answers(channel.id)

    async def _press(self) -> None:
        for channel in self._legs():
            if "human" in (self._names.name(channel) or "") and channel.state == "Up":
                key = self._dice.choice("11111112")
                self._told.append(f"{self._names.name(channel)} presses {key}")
                self.fake.channel_presses(channel.id, key)

    async def _hold_button(self) -> None:
        if there := [c for c in self._legs() if c.bridge is not None]:
            channel, on = self._dice.choice(there), self._dice.random() < 0.5
            self._told.append(f"{self._names.name(channel)}'s hold button: {on}")
            self.fake.channel_holds(channel.id, on=on)

    async def _observe(self) -> None:
        if len(self._observers) < 2:
            name = f"boss_{self._dice.randrange(1000)}"
            self._observers.append(await self.client.observe(self.call.call_id, name))

    async def _turn_observer(self) -> None:
        for observer in self._observers:
            if observer.left is None:
                match self._dice.choice(["spy", "barge", "barge", "whisper", "take over"]):
                    case "spy":
                        await observer.spy()
                    case "barge":
                        await observer.barge()
                    case "take over":
                        await observer.take_over(AGENT, keep=self._dice.random() < 0.7)
                    case _:
                        self._whispered.add(observer.name)
                        await observer.whisper(self._dice.choice(self._parties))

    @property
    def _parties(self) -> list[str]:
        return sorted(p.name for p in self.call.parties) or [CALLER]

    def _legs(self) -> list[FakeChannel]:
        channels = self.fake.world.channels.values()
        return [c for c in channels if self._names.name(c) is not None and not c.going]

    # --- what must hold -------------------------------------------------------------------------

    @property
    def story(self) -> str:
        """What happened last."""
        asked = [f"{r.method} {r.resource} {r.query}" for r in self.fake.received]
        return "\n".join([*self._told, "---", *asked[-25:]])

    @property
    def _session(self) -> Session:
        return self._engine.session

    @property
    def _is_there(self) -> bool:
        there = self._caller.id in self.fake.world.channels and not self._caller.going
        return there and CALLER in self._session.parties and self._session.phase not in _OVER

    def now(self) -> Cells:
        """Return who hears whom now."""
        return heard(self.fake, self._names)

    def look(self) -> None:
        """Look at what everybody hears at this moment."""
        self.looks += 1
        try:
            cells = self.now()
        except AssertionError as error:
            self._complain(str(error))
            return
        self._look_for_silence(cells)
        self._look_for_secrets(cells)

    def _complain(self, text: str) -> None:
        if len(self.wrong) < 3:
            self.wrong.append(f"{text}\n{self.story}")

    @property
    def _hears_sounds(self) -> bool:
        room = self.fake.world.bridges.get(self._caller.bridge or "")
        if room is None:
            return False
        return room.music or (room.playback is not None and room.playback.state == "playing")

    def _look_for_silence(self, cells: Cells) -> None:
        now = asyncio.get_running_loop().time()
        hears = self._hears_sounds or any(listener == CALLER for listener, _ in cells)
        session = self._session
        chosen = session.agent_present and session.mode.mode is not AudioMode.BARGE
        chosen = chosen or session.replaced is not None
        waits = CALLER in away(self._engine.notes)
        if hears or chosen or waits or self.faulty or not self._is_there:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > SILENCE_S:
            self._complain(f"the caller hears nobody, {self._session}")
            self._silent_since = now + 1000

    def _look_for_secrets(self, cells: Cells) -> None:
        engine = self.client._connected().transfers.of(self._engine.incoming.call_id)
        if engine is None:
            return
        state = engine.state
        self.stages[state.stage] += 1
        strangers = set(map(str, state.humans)) - {state.human}
        if not state.plan.joins_at_once and state.stage is not Stage.OVER:
            for cell in cells:
                others = set(cell) - strangers - self._whispered - {"prompter"}
                if strangers & set(cell) and (others or strangers.issuperset(cell)):
                    self._complain(f"{cell}: one has not accepted; {state}")
        if state.stage is Stage.CONSULTING and not state.asked:
            for cell in cells:
                if state.customers & set(cell):
                    self._complain(f"{cell} during {state.stage}; {state}")

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    # --- rest and end ---------------------------------------------------------------------------

    async def _come_to_rest(self) -> None:
        """Everything that was begun ends; then what is said to stand is what is heard."""
        await asyncio.gather(*self._acts)
        await self._rest()
        if (transfer := self.call.transfer_in_progress) is not None:
            act = self._dice.choice([transfer.complete, transfer.cancel])
            await self._try("the last word", lambda: act(cut=True))
            async with asyncio.timeout(PATIENCE_S):
                await transfer.wait()
            await self._rest()

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while problem := self._unrest():
            assert loop.time() < end, f"not at rest: {problem}\n{self.story}"
            await asyncio.sleep(LOOK_S)

    def _unrest(self) -> str:
        session = self._session
        if session.phase in _OVER:
            return ""
        transfer = self.call.transfer_in_progress
        standing = session.standing
        if transfer is None and (standing.apart or standing.kept):
            return f"apart or kept: {session}"
        if session.adding and transfer is None:
            return f"being added: {session}"
        people = {AGENT, *session.parties}
        cells = frozenset(cell for cell in self.now() if people.issuperset(cell))
        expected = frozenset((str(a), str(b)) for a, b in session.audience.matrix)
        if cells != expected:
            return f"also {set(cells - expected)}, not {set(expected - cells)}; {session}"
        rings = transfer is not None and transfer.stage not in {
            Stage.CONSULTING,
            Stage.ASIDE,
            Stage.TOGETHER,
        }
        return f"{transfer} is under way" if rings else ""

    async def _end(self) -> None:
        for observer in self._observers:
            await self._try("leave", observer.leave)
        if self._dice.random() < 0.5:
            await self._try("the end", lambda: self.call.disconnect(cut=True))
        for channel in self._legs():
            if not channel.going:
                self.fake.channel_hangs_up(channel.id)
        async with asyncio.timeout(PATIENCE_S):
            await self.call.wait_ended()
        for transfer in self.transfers:
            async with asyncio.timeout(PATIENCE_S):
                self.outcomes[await transfer.wait()] += 1
            told = self._outcomes.get(transfer)
            assert max(self._ended.values()) == 1, f"told twice\n{self.story}"
            assert told == [transfer.outcome], f"{transfer}: told {told}\n{self.story}"


@asynccontextmanager
async def opened(
    fake: FakeAri, client: Client, calls: asyncio.Queue[ActiveCall], dice: random.Random
) -> AsyncIterator[Story]:
    """Let a call begin, with the AI or with a callee, too."""
    for phone in fake.world.phones.values():
        phone.answer, phone.after_s = Answer.ANSWER, 0.0
    caller = fake.incoming_call(caller="1001", number="1002")
    call = await calls.get()
    await (call.connect() if dice.random() < 0.5 else call.answer())
    yield Story(fake, client, call, caller, dice)
