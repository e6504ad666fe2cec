"""A call that was looked after, by an attended transfer or an earlier program, is let go of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bridge.ari import models
from bridge.model.errors import CallClosedError, RequestFailedError, ServerError
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime import attended, transfer, unkept
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.names import CallId
from bridge.runtime.offer import Terms
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.unkept import keep_no_more
from bridge.session import Phase, Session, inputs, step
from bridge.session.inputs import Token
from bridge.session.state import Standing
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Tell
from tests.unit.session.transfers import HUMAN, offered

BOTH, THE_CALLER = frozenset({CALLER, CALLEE}), frozenset({CALLER})
KEPT = Standing(held=THE_CALLER, kept=True)
REFUSED = RequestFailedError(status=500, method="POST", resource="bridges", reason="not now")


class Call:
    """A call of which Asterisk refuses what ``fails`` says, and puts everybody elsewhere else."""

    def __init__(self, standing: Standing) -> None:
        self.incoming = IncomingCall(CallId("0123456789ab"), "1", "PJSIP/1001-1", "1001", "", "")
        self.session = Session(
            phase=Phase.DETACHED, parties=BOTH, standing=standing, stood=standing
        )
        self.asked: list[inputs.Arrange] = []
        self.listeners: list[object] = []
        self.handset_listeners: list[object] = []
        self.on_change: list[object] = []
        self.fails: Callable[[inputs.Arrange], bool] = lambda _asked: False

    async def command(self, make: Callable[[Token], inputs.Arrange]) -> None:
        asked = make(Token(1))
        self.asked.append(asked)
        self.session, _ = step(self.session, asked)
        failed = self.fails(asked)
        fact = inputs.AudienceFailed("not now") if failed else inputs.AudienceStands()
        self.session, _ = step(self.session, fact)
        if failed:
            raise REFUSED

    def names_taken(self) -> frozenset[Participant]:
        return frozenset()

    @property
    def engine(self) -> CallEngine:
        return cast("CallEngine", self)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unkept, "_FIRST_SECONDS", 0.001)


async def test_it_is_asked_for_until_it_is_so() -> None:
    call = Call(KEPT)
    call.fails = lambda _asked: len(call.asked) < 3
    await keep_no_more(call.engine)
    assert len(call.asked) == 3
    assert call.session.standing == Standing()
    await keep_no_more(call.engine)
    assert len(call.asked) == 3


async def test_who_keeps_it_from_then_on_does() -> None:
    class AndParked(Call):
        async def command(self, make: Callable[[Token], inputs.Arrange]) -> None:
            await super().command(make)
            await super().command(lambda token: inputs.Arrange(token, THE_CALLER, kept=True))

    call = AndParked(KEPT)
    await keep_no_more(call.engine)
    assert call.session.standing == KEPT


async def test_nothing_is_asked_of_a_call_that_is_over() -> None:
    call = Call(KEPT)

    def ends(_asked: inputs.Arrange) -> bool:
        call.session = replace(call.session, phase=Phase.ENDING)
        return True

    call.fails = ends
    await keep_no_more(call.engine)
    assert len(call.asked) == 1


@pytest.mark.parametrize("joined", [False, True])
async def test_an_attended_transfer_that_breaks_leaves_the_call_kept_by_nobody(
    monkeypatch: pytest.MonkeyPatch, *, joined: bool
) -> None:
    call, host = Call(Standing(held=THE_CALLER)), cast("Any", Host())

    async def bring(_name: Participant) -> None:
        if not joined:
            raise CallClosedError("he has hung up")

    async def way(*_arguments: object) -> Callable[[Participant], Awaitable[None]]:
        return bring

    monkeypatch.setattr(attended, "_way", way)
    call.fails = lambda _asked: len(call.asked) in {2, 3}
    told: list[bool] = []
    with pytest.raises(ServerError if joined else CallClosedError):
        await attended.connect(
            host, call.engine, CALLEE, cast("models.ReferTo", None), lambda: told.append(True)
        )
    assert call.session.standing == Standing(held=THE_CALLER)
    assert len(call.asked) == 4
    assert told == [True] * joined


async def test_a_transfer_that_breaks_leaves_the_call_kept_by_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_arguments: object) -> None:
        raise ValueError("a fault of ours")

    call, told = Call(replace(KEPT, apart=frozenset({HUMAN}))), list[Tell]()
    call.session = replace(call.session, parties=BOTH | {HUMAN})
    call.fails = lambda _asked: len(call.asked) < 3
    engine = TransferEngine(call.engine, cast("Any", None), Terms(), state=offered())
    engine.listeners.append(told.append)
    monkeypatch.setattr(transfer, "step", breaks)
    engine.give_up()
    await engine.run()
    assert "a fault of ours" in caplog.text
    assert len(call.asked) == 3
    assert (call.session.standing, call.session.parties) == (Standing(), BOTH)
    assert (engine.state.stage, len(told)) == (Stage.OVER, 1)


class Host:
    """Nothing else is under way."""

    @property
    def transfers(self) -> Any:
        return self

    def require_none(self, _call: CallEngine) -> None:
        pass
