"""Whether a program's transfer is allowed: the one policy is asked, for each of its targets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from bridge.model.participants import Participant
from bridge.runtime import CallEngine, Controller
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import (
    Permit,
    TransferKind,
    TransferPolicy,
    TransferRequest,
    TransferSource,
)
from bridge.session.transfer.effects import Tell, TransferNotice

Permits: TypeAlias = list[list[tuple[TransferRequest, Permit]]]
"""Of the targets of each round: what was asked, and what was granted."""


async def permitted(
    controller: Controller,
    call: CallEngine,
    by: Participant,
    rounds: Sequence[Sequence[str]],
    *,
    consults: bool,
) -> Permits:
    """Ask for every target of a transfer. consults: who transfers talks with him first.

    Raises TransferDeniedError if one is not allowed, BadArgumentError if one cannot be dialled.
    """

    async def ask(target: str) -> tuple[TransferRequest, Permit]:
        request = TransferRequest(
            call.incoming.call_id,
            by,
            target,
            TransferKind.ATTENDED if consults else TransferKind.BLIND,
            TransferSource.PROGRAM,
            caller_number=call.incoming.caller_number,
            callee_number=call.incoming.callee_number,
        )
        return request, await controller.transfer_policy.ask(request)

    return [[await ask(target) for target in ringing] for ringing in rounds]


def note_end(policy: TransferPolicy, permits: Permits, engine: TransferEngine) -> None:
    """See to it that the end of a transfer is written down."""
    engine.listeners.append(partial(_note_end, policy, permits[0][0][0]))


def _note_end(policy: TransferPolicy, request: TransferRequest, tell: Tell) -> None:
    if tell.notice is TransferNotice.ENDED:
        policy.note_end(request, ": ".join(filter(None, (tell.outcome, tell.message))))
