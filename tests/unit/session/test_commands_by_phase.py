"""Every command in every phase, those included that last no longer than a request to Asterisk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import Refuse
from bridge.session.inputs import Command, Token
from bridge.session.state import ALONE, BOTH

TOKEN = Token(7)
EXPERT, BOSS = Participant("expert"), Participant("boss")

COMMANDS: dict[str, Callable[[], Command]] = {
    "answer": lambda: inputs.Answer(TOKEN),
    "connect": lambda: inputs.Connect(TOKEN, "PJSIP/1002", 60),
    "mode": lambda: inputs.ChangeMode(TOKEN, BARGE),
    "close": lambda: inputs.Close(TOKEN),
    "disconnect": lambda: inputs.Disconnect(TOKEN),
    "add": lambda: inputs.AddParty(TOKEN, EXPERT, "PJSIP/1003", 30),
    "remove": lambda: inputs.RemoveParty(TOKEN, CALLEE),
    "mute": lambda: inputs.MuteParty(TOKEN, CALLER, on=True),
    "hold": lambda: inputs.HoldParty(TOKEN, CALLER, on=True),
    "take over": lambda: inputs.TakeOver(TOKEN, BOSS, AGENT),
    "take over from the callee": lambda: inputs.TakeOver(TOKEN, BOSS, CALLEE, keep=False),
    "give back": lambda: inputs.GiveBack(TOKEN),
    "join": lambda: inputs.JoinParty(TOKEN, EXPERT),
    "arrange": lambda: inputs.Arrange(TOKEN, held=ALONE, kept=True),
}

Verdict: TypeAlias = ErrorCode | None

STATE = ErrorCode.INVALID_STATE
BUSY = ErrorCode.COMMAND_IN_PROGRESS
OVER = ErrorCode.CALL_CLOSED
WRONG = ErrorCode.BAD_ARGUMENT

# answer, connect, mode, close, disconnect, add, remove, mute, hold, take over, of callee,
# give back, join, arrange
TABLE: dict[Phase, tuple[Verdict, ...]] = {
    Phase.PENDING: (None, None, STATE, None, None, *7 * (STATE,), STATE, STATE),
    Phase.ANSWERING: (BUSY, BUSY, STATE, None, None, *6 * (BUSY,), BUSY, BUSY, BUSY),
    Phase.ANSWERED: (
        STATE,
        None,
        STATE,
        None,
        None,
        None,
        WRONG,
        None,
        None,
        None,
        WRONG,
        STATE,
        None,
        None,
    ),
    Phase.RINGING: (
        BUSY,
        BUSY,
        STATE,
        None,
        None,
        BUSY,
        BUSY,
        None,
        None,
        BUSY,
        BUSY,
        BUSY,
        BUSY,
        BUSY,
    ),
    Phase.JOINING: (BUSY, BUSY, BUSY, None, None, *7 * (BUSY,), BUSY, BUSY),
    Phase.CONNECTED: (STATE, STATE, *9 * (None,), STATE, None, None),
    Phase.FINISHING: (
        OVER,
        OVER,
        OVER,
        None,
        None,
        OVER,
        OVER,
        OVER,
        OVER,
        *3 * (BUSY,),
        None,
        None,
    ),
    Phase.LEAVING: (OVER, OVER, OVER, None, None, OVER, OVER, OVER, OVER, *3 * (BUSY,), None, None),
    Phase.DETACHED: (OVER, OVER, OVER, None, None, *4 * (OVER,), STATE, None, STATE, None, None),
    Phase.ENDING: (OVER, OVER, OVER, None, None, *7 * (OVER,), OVER, OVER),
    Phase.DISCONNECTED: (OVER, OVER, OVER, None, None, *7 * (OVER,), OVER, OVER),
}
"""By hand: which error a command is refused with; None for one that is taken."""

CELLS = [
    (phase, command, verdict)
    for phase, row in TABLE.items()
    for command, verdict in zip(COMMANDS, row, strict=True)
]


def session_in(phase: Phase) -> Session:
    connected = phase in {Phase.CONNECTED, Phase.FINISHING, Phase.LEAVING, Phase.DETACHED}
    alone = phase in {Phase.ANSWERED, Phase.RINGING}
    parties = BOTH if connected else ALONE if alone else frozenset()
    return Session(phase=phase, before_ringing=Phase.ANSWERED, parties=parties, heard_by=parties)


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(Phase)
    assert {len(row) for row in TABLE.values()} == {len(COMMANDS)}


@pytest.mark.parametrize(("phase", "command", "verdict"), CELLS)
def test_command(phase: Phase, command: str, verdict: Verdict) -> None:
    before = session_in(phase)
    after, effects = step(before, COMMANDS[command]())
    refusals = [effect for effect in effects if isinstance(effect, Refuse)]
    if verdict is None:
        assert refusals == []
    else:
        assert [(r.token, r.code) for r in refusals] == [(TOKEN, verdict)]
        assert (after, len(effects)) == (before, 1)
