"""Observers who stand in for an agent: what an observer and a call of ours do together for that."""

from __future__ import annotations

from collections.abc import Callable

from bridge.model.errors import CallbridgeError, CapabilityError, InvalidStateError
from bridge.model.ids import CallId
from bridge.model.modes import BARGE, SPY
from bridge.model.participants import Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.pending import placed_already
from bridge.session.inputs import GiveBack, TakeOver, TakerGone
from bridge.session.observer import inputs


class Takeovers:
    """Carries takeovers out, in an order in which the caller is never left in silence.

    call_of: tells which call an observer is on; own_call: returns a call of ours that is going on.
    """

    def __init__(
        self,
        call_of: Callable[[ObserverEngine], CallId | None],
        own_call: Callable[[CallId], CallEngine | None],
    ) -> None:
        self._call_of = call_of
        self._own_call = own_call

    def has(self, engine: ObserverEngine) -> bool:
        """Tell whether an observer stands in for somebody."""
        call = self._call(engine)
        return call is not None and call.session.taken_over_by == engine.name

    async def begin(self, engine: ObserverEngine, replaced: Participant, *, keep: bool) -> None:
        """Let an observer speak in the place of ``replaced``: a party, or ``ai``.

        keep: who is replaced stays as a listener; else he is let go. The observer is heard by all
        before the other falls silent. Raises CapabilityError for a call that is not ours, else
        what the machines refuse it with; the observer is a spy again then.
        """
        call = self._require_call(engine)
        if engine.moves_ahead or engine.state.modes != (BARGE,):
            await engine.command(lambda token: inputs.ChangeMode(token, BARGE))
        placed_already()
        self._require_on(engine, call)
        try:
            await call.command(lambda token: TakeOver(token, engine.name, replaced, keep))
        except CallbridgeError:
            if self._is_on(engine, call) and not self.has(engine):
                await engine.command(lambda token: inputs.ChangeMode(token, SPY, cut=True))
            raise
        finally:
            silent = keep and engine.state.mode != BARGE
            if silent or not self._is_on(engine, call):
                # Who went, or fell silent, before it was known that he stands in.
                call.post(TakerGone(engine.name))

    async def end(self, engine: ObserverEngine) -> None:
        """Let whoever was replaced speak again; the observer is heard as before.

        Raises InvalidStateError when there is nothing to give back, or he moved on meanwhile.
        """
        call = self._require_call(engine)
        if call.session.taken_over_by != engine.name:
            raise InvalidStateError(f"{engine.name} has not taken this call over")
        await call.command(lambda token: GiveBack(token, engine.name))
        self._require_on(engine, call)

    def gone(self, engine: ObserverEngine, call_id: CallId) -> None:
        """Whoever had been replaced by an observer who left a call speaks again."""
        call = self._own_call(call_id)
        if call is not None and call.session.taken_over_by == engine.name:
            call.post(TakerGone(engine.name))

    def fell_silent(self, engine: ObserverEngine) -> None:
        """Whoever listens because of an observer speaks again when that one has fallen silent."""
        call = self._call(engine)
        takeover = None if call is None else call.session.standing.takeover
        if call is not None and takeover is not None and takeover.kept:
            call.post(TakerGone(engine.name))

    def _call(self, engine: ObserverEngine) -> CallEngine | None:
        call_id = self._call_of(engine)
        return self._own_call(call_id) if call_id is not None else None

    def _require_call(self, engine: ObserverEngine) -> CallEngine:
        call = self._call(engine)
        if call is None:
            raise CapabilityError(
                "a call that callbridge did not place can be spied on, whispered into and barged "
                "into, but not taken over: ARI mutes and moves only channels that are in its own "
                "application. Let the dialplan send such calls to Stasis()"
            )
        return call

    def _is_on(self, engine: ObserverEngine, call: CallEngine) -> bool:
        return self._call_of(engine) == call.incoming.call_id

    def _require_on(self, engine: ObserverEngine, call: CallEngine) -> None:
        if not self._is_on(engine, call):
            raise InvalidStateError(f"{engine.name} went to another call meanwhile")
