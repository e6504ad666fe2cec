"""Every command in every phase, those included that last no longer than a request to Asterisk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import Refuse
from bridge.session.inputs import Command, Token
from bridge.session.state import ALONE, BOTH

TOKEN = Token(7)

COMMANDS: dict[str, Callable[[], Command]] = {
    "answer": lambda: inputs.Answer(TOKEN),
    "connect": lambda: inputs.Connect(TOKEN, "PJSIP/1002", 60),
    "mode": lambda: inputs.ChangeMode(TOKEN, BARGE),
    "close": lambda: inputs.Close(TOKEN),
    "disconnect": lambda: inputs.Disconnect(TOKEN),
}

Verdict: TypeAlias = ErrorCode | None

STATE = ErrorCode.INVALID_STATE
BUSY = ErrorCode.COMMAND_IN_PROGRESS
OVER = ErrorCode.CALL_CLOSED

# answer, connect, mode, close, disconnect
TABLE: dict[Phase, tuple[Verdict, Verdict, Verdict, Verdict, Verdict]] = {
    Phase.PENDING: (None, None, STATE, None, None),
    Phase.ANSWERING: (BUSY, BUSY, STATE, None, None),
    Phase.ANSWERED: (STATE, None, STATE, None, None),
    Phase.RINGING: (BUSY, BUSY, STATE, None, None),
    Phase.JOINING: (BUSY, BUSY, BUSY, None, None),
    Phase.CONNECTED: (STATE, STATE, None, None, None),
    Phase.FINISHING: (OVER, OVER, OVER, None, None),
    Phase.LEAVING: (OVER, OVER, OVER, None, None),
    Phase.DETACHED: (OVER, OVER, OVER, None, None),
    Phase.ENDING: (OVER, OVER, OVER, None, None),
    Phase.DISCONNECTED: (OVER, OVER, OVER, None, None),
}
"""By hand: which error a command is refused with; None for one that is taken."""

CELLS = [
    (phase, command, verdict)
    for phase, row in TABLE.items()
    for command, verdict in zip(COMMANDS, row, strict=True)
]


def session_in(phase: Phase) -> Session:
    connected = phase in {Phase.CONNECTED, Phase.FINISHING, Phase.LEAVING, Phase.DETACHED}
    alone = phase is Phase.ANSWERED
    parties = BOTH if connected else ALONE if alone else frozenset()
    return Session(phase=phase, parties=parties, heard_by=parties)


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(Phase)


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
