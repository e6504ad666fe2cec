"""What of a call is worth remembering, and the call that is taken up again from it. Pure.

Commands that were under way are void, and so is what the agent was about to say. Taken up again, a
call is never louder than it was: the agent is silent, unless he is alone with somebody. Who was
replaced, and kept, is heard again, since whoever stood in for him is silent now; but an observer on
a phone goes on in the place of one who was let go: the others would be left with nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import CALLEE, Participant
from bridge.session.inputs import Token
from bridge.session.state import Adding, Phase, Session, Standing

_NOBODY_ASKS: Final = Token(0)

_NOT_ANSWERED: Final = frozenset({Phase.PENDING, Phase.ANSWERING})
_CONNECTING: Final = frozenset({Phase.RINGING, Phase.JOINING})
_AGENT_LEFT: Final = frozenset({Phase.LEAVING, Phase.DETACHED})
_ENOUGH: Final = 2


@dataclass(frozen=True, slots=True)
class Coming:
    """A party on his way into the call."""

    party: Participant
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """A call as it is remembered; fields as in Session."""

    phase: Phase
    before_ringing: Phase = Phase.PENDING
    mode: ObserverMode = SPY
    parties: frozenset[Participant] = frozenset()
    standing: Standing = field(default_factory=Standing)
    adding: tuple[Coming, ...] = ()
    end_for_all: bool = False

    @property
    def is_pending(self) -> bool:
        """Nobody has answered the caller yet."""
        connecting = self.phase in _CONNECTING and self.before_ringing is Phase.PENDING
        return connecting or self.phase in _NOT_ANSWERED


def outline(session: Session) -> Outline:
    """Return what is to be remembered of a call."""
    coming = {adding.party for adding in session.adding}
    if session.phase in _CONNECTING:
        coming.add(CALLEE)
    return Outline(
        phase=session.phase,
        before_ringing=session.before_ringing,
        mode=session.mode,
        parties=session.parties - coming,
        standing=session.standing,
        adding=tuple(Coming(adding.party, adding.apart) for adding in session.adding),
        end_for_all=session.end_for_all,
    )


def resumed(
    was: Outline,
    present: frozenset[Participant],
    coming: frozenset[Participant],
    *,
    agent: bool = True,
    seated: frozenset[Participant] = frozenset(),
) -> Session | None:
    """Return the call that goes on; None when there is nothing to go on with.

    present: whose channels are up and in the call; coming: whose channels are there, and who did
    not join yet. agent: somebody may speak for the agent again, if he had not left. seated:
    observers on phones who are about to be there again.
    """
    standing = _standing(was.standing, present, seated)
    if was.phase.is_over or was.is_pending or not present:
        return None
    left = was.phase in _AGENT_LEFT or not agent
    if was.phase not in _AGENT_LEFT and left and not standing.kept:
        # Nobody could bring back whom the agent had muted or held; who was apart meets nobody.
        present -= standing.apart
        standing = Standing(takeover=standing.takeover)
    if left and len(present) < _ENOUGH and not (standing.kept or standing.takeover):
        return None
    session = Session(
        phase=Phase.DETACHED if left else Phase.CONNECTED,
        before_ringing=was.before_ringing,
        parties=present,
        standing=standing,
        stood=standing,
        adding=() if left and not standing.kept else _adding(was, coming),
        end_for_all=was.end_for_all,
    )
    if not (session.together or session.kept):
        return None
    if left or len(session.together) >= _ENOUGH or session.replaced is not None:
        return session
    rings = was.phase in _CONNECTING and CALLEE in coming
    alone = replace(session, phase=Phase.RINGING if rings else Phase.ANSWERED)
    if alone.may_choose and was.mode != BARGE:
        return alone
    return replace(alone, mode=BARGE, heard_by=alone.together)


def _adding(was: Outline, coming: frozenset[Participant]) -> tuple[Adding, ...]:
    return tuple(
        Adding(_NOBODY_ASKS, new.party, apart=new.apart)
        for new in was.adding
        if new.party in coming
    )


def _standing(
    was: Standing, present: frozenset[Participant], seated: frozenset[Participant]
) -> Standing:
    """Return what was done to those who are there."""
    takeover = was.takeover
    goes_on = takeover is not None and not takeover.kept and takeover.by in seated
    return replace(
        was,
        muted=was.muted & present,
        held=was.held & present,
        apart=was.apart & present,
        takeover=takeover if goes_on else None,
    )
