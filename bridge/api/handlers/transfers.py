"""Transfers: hand the customer over to a human, and drive it."""

from __future__ import annotations

from typing import Any

from bridge.api.auth.dialling import Reservations
from bridge.api.decoding import one_of
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.scope import after_audio, all_dialled, controlled, own_call, there, visible
from bridge.api.service import Service
from bridge.api.shown import transfer_of
from bridge.model.errors import NotFoundError
from bridge.protocol import operations
from bridge.protocol.requests import DriveTransfer, StartTransfer
from bridge.protocol.views import CallView, TransferView
from bridge.sdk.transfer import Transfer


@handles(operations.START_TRANSFER)
async def start_transfer(asked: Asked[StartTransfer, NoQuery]) -> TransferView:
    """Begin a transfer; answer when the customer waits and it rings."""
    call, view = own_call(asked)
    body = asked.body
    targets = [target for ringing in body.to for target in ringing]
    brief = one_of(brief=body.brief, brief_audio=body.brief_audio)
    with all_dialled(asked, targets, view.tenant) as legs:
        await after_audio(asked)
        transfer = await call.transfer(
            _rounds(body.to, legs),
            warm=body.warm,
            by=body.by,
            ring_time_seconds=body.ring_time_seconds,
            brief=brief,
            accept=body.accept,
            accept_key=body.accept_key,
            decline_key=body.decline_key,
            accept_seconds=body.accept_seconds,
            detect_machine=body.detect_machine,
            consult=body.consult,
            hold=body.hold,
            music=body.music,
            summary=body.summary,
            headers=body.headers,
            stay=body.stay,
        )
        _count(asked.service, view.call_id, transfer, legs)
    return asked.service.views.transfer_view(view.call_id, transfer)


def _rounds(to: list[list[str]], legs: Reservations) -> list[list[str]]:
    """Return the endpoints that were checked, round by round."""
    endpoints = iter(legs.endpoints)
    return [[next(endpoints) for _ in ringing] for ringing in to]


def _count(service: Service, call_id: str, transfer: Transfer, legs: Reservations) -> None:
    """Count all who may ring until the transfer is over, and then the one who has taken it."""

    def rings() -> bool:
        return transfer.outcome is None

    def is_there() -> bool:
        human = transfer.human
        return rings() or (human is not None and there(service, call_id, human)())

    first, *others = legs
    first.keep_while(is_there)
    for leg in others:
        leg.keep_while(rings)


@handles(operations.SHOW_TRANSFER)
async def show_transfer(asked: Asked[NoBody, NoQuery]) -> TransferView:
    """Show a transfer of a live call."""
    view = visible(asked.service, asked.principal, asked.path["call_id"])
    return _shown(asked, _transfer(asked, view))


@handles(operations.COMPLETE_TRANSFER)
async def complete_transfer(asked: Asked[DriveTransfer, NoQuery]) -> TransferView:
    """Put the customer to the human, and leave."""
    transfer = await _driven(asked)
    await transfer.complete(cut=asked.body.cut)
    return _shown(asked, transfer)


@handles(operations.CANCEL_TRANSFER)
async def cancel_transfer(asked: Asked[DriveTransfer, NoQuery]) -> TransferView:
    """Take the customer back."""
    transfer = await _driven(asked)
    await transfer.cancel(cut=asked.body.cut)
    return _shown(asked, transfer)


@handles(operations.TOGGLE_TRANSFER)
async def toggle_transfer(asked: Asked[DriveTransfer, NoQuery]) -> TransferView:
    """Talk to the customer, or to the human again."""
    transfer = await _driven(asked)
    await transfer.toggle(cut=asked.body.cut)
    return _shown(asked, transfer)


@handles(operations.CONFERENCE_TRANSFER)
async def conference_transfer(asked: Asked[DriveTransfer, NoQuery]) -> TransferView:
    """Talk all together."""
    transfer = await _driven(asked)
    await transfer.conference(for_good=asked.body.for_good, cut=asked.body.cut)
    return _shown(asked, transfer)


async def _driven(asked: Asked[DriveTransfer, NoQuery]) -> Transfer:
    transfer = _transfer(asked, controlled(asked))
    await after_audio(asked)
    return transfer


def _shown(asked: Asked[Any, Any], transfer: Transfer) -> TransferView:
    """Return the transfer of the path, also when its call is over and nobody knows it any more."""
    return transfer_of(transfer, asked.path["transfer_id"], asked.path["call_id"])


def _transfer(asked: Asked[Any, Any], view: CallView) -> Transfer:
    """Return the transfer of the path. Raises NotFoundError."""
    transfer_id = asked.path["transfer_id"]
    transfer = asked.service.views.transfer(view.call_id, transfer_id)
    if transfer is None:
        last = f"its last is {view.transfer.transfer_id}" if view.transfer else "it had none"
        raise NotFoundError(f"this call has no transfer {transfer_id!r}; {last}")
    return transfer
