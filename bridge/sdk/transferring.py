"""How a program transfers a call: the part of ``ActiveCall`` that begins it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from bridge.media.answering import MachineDetector
from bridge.model.errors import CallClosedError, CommandInProgressError, InvalidStateError
from bridge.model.states import CallState
from bridge.runtime import CallEngine, Controller
from bridge.runtime.transfer import TransferEngine
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.sounds import Sound
from bridge.sdk.transfer import Targets, Transfer, TransferOptions, begin
from bridge.session import Phase
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome

if TYPE_CHECKING:
    from bridge.sdk.call import ActiveCall

Fallback: TypeAlias = "Callable[[ActiveCall, Transfer], Awaitable[object]]"
"""What is done when nobody has taken a call and the caller is back."""

FELL_THROUGH: Final = frozenset({Outcome.FAILED, Outcome.HUMAN_LEFT})
"""How a transfer ends that nobody has taken."""


class Transferring:
    """Begins transfers of a call. Mixed into ``ActiveCall``, which has all that is named here."""

    _engine: CallEngine
    _controller: Controller
    _handlers: Handlers
    _on_event: Callable[..., None]
    _followed: Transfer | None = None
    """The transfer that is under way, or was last."""

    @property
    def state(self) -> CallState:
        """The call's."""
        raise NotImplementedError

    async def transfer(
        self,
        to: Targets,
        *,
        warm: bool = True,
        by: str | None = None,
        ring_time_seconds: int = 20,
        together: bool = False,
        brief: Sound | None = None,
        accept: Literal["key", "answer"] | None = None,
        accept_key: str = "1",
        decline_key: str = "2",
        accept_seconds: float = 15.0,
        detect_machine: bool | Callable[[int], MachineDetector] = False,
        consult: bool | None = None,
        hold: Literal["at_once", "on_accept"] = "at_once",
        music: str = "",
        summary: str = "",
        headers: Mapping[str, str] | None = None,
        stay: bool = False,
        fallback: Fallback | None = None,
    ) -> Transfer:
        """Hand the caller over to a human; return when the caller waits and it rings.

        to: a number or endpoint; several, each rung for ``ring_time_seconds`` when those before
        were not had; all at once with ``together``; or rounds of several. Who accepts first has it.
        warm: who transfers stays until it is done; else he leaves at once, and the agent is silent.
        by: who transfers, ``ai`` or a party; by default the callee if he is there, else the AI.

        brief: who is calling and why, for the human alone: a WAV file's Path, PCM, or what Asterisk
        plays (``sound:…``). accept: by ``key``, or by having picked up, and heard the brief
        (``answer``); by default by key where nobody talks with him first. He has ``accept_seconds``
        after the brief, and hears it again meanwhile; without one, beeps. decline_key: he will not;
        may be empty. detect_machine: an answering machine that answers is told by what it says: by
        ``bridge.media.answering``, or by what this makes, given the rate in Hz.

        consult: who transfers talks with him alone until ``complete()``; by default when a party
        transfers warm. hold: the caller hears music from the start, or not before somebody has
        accepted (``on_accept``). music: of which class; by default the call's (``set_music``).
        summary, and more SIP headers: what the human's phone is told. When it is done the AI
        leaves, or listens on (``stay``). fallback: awaited with the call and the transfer when
        nobody has taken it and the caller is back.

        Raises CommandInProgressError while another transfer, or ``connect()``, is under way,
        InvalidStateError before ``answer()``, BadArgumentError, CallClosedError, and ServerError if
        Asterisk failed: nothing has changed then.
        """
        if self.state is CallState.DISCONNECTED:
            raise CallClosedError("the call is over, or the agent has left it")
        if self.state is CallState.PENDING:
            raise InvalidStateError("nobody to transfer yet: answer() or connect() comes first")
        if self._engine.session.phase in {Phase.RINGING, Phase.JOINING}:
            raise CommandInProgressError("the callee is being rung: wait for that, then transfer")
        options = TransferOptions(
            warm=warm,
            by=by,
            ring_time_seconds=ring_time_seconds,
            together=together,
            brief=brief,
            accept=accept,
            accept_key=accept_key,
            decline_key=decline_key,
            accept_seconds=accept_seconds,
            detect_machine=detect_machine,
            consult=consult,
            hold=hold,
            music=music,
            summary=summary,
            headers=headers or {},
            stay=stay,
        )
        return await begin(
            self._controller,
            self._engine,
            to,
            options,
            on_event=partial(self._transfer_event, fallback),
            on_made=self._made,
        )

    @property
    def transfer_in_progress(self) -> Transfer | None:
        """The transfer of this call that is under way, whoever began it."""
        engine = self._controller.transfers.of(self._engine.incoming.call_id)
        if engine is None or engine.state.stage is Stage.NEW:
            return None
        if self._followed is None or not self._followed.is_of(engine):
            self.follow(engine)
        return self._followed

    @property
    def last_transfer(self) -> Transfer | None:
        """The transfer that is under way, or was last; None when there was none."""
        return self.transfer_in_progress or self._followed

    def _made(self, transfer: Transfer) -> None:
        self._followed = transfer

    def follow(self, transfer: TransferEngine) -> None:
        """Tell of a transfer that somebody else has begun: at his phone, or an earlier program."""
        self._followed = Transfer(transfer, partial(self._transfer_event, None))

    def _transfer_event(
        self, fallback: Fallback | None, event: CallEvent, transfer: Transfer
    ) -> None:
        self._followed = transfer
        self._handlers.emit(event, self, transfer)
        self._on_event(event, self, transfer)
        ended = event is CallEvent.TRANSFER_ENDED
        if ended and fallback is not None and transfer.outcome in FELL_THROUGH:
            self._handlers.run(fallback, self, transfer)
