"""What somebody may see and touch of what there is: calls, and what is about to be dialled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from bridge.api.auth.dialling import Reservation, Reservations
from bridge.api.auth.principal import Principal
from bridge.api.router import Asked
from bridge.api.service import Service
from bridge.model.context import CALL_ID
from bridge.model.errors import (
    AmbiguousCallError,
    CallClosedError,
    CallNotFoundError,
    CapabilityError,
    ForbiddenError,
)
from bridge.model.participants import AGENT
from bridge.model.states import CallState
from bridge.protocol.permissions import EVERY_TENANT
from bridge.protocol.views import CallView, PartyView
from bridge.sdk import ActiveCall

_LISTED: Final = 10
"""Calls that the message of an error names."""


# --- what one sees ------------------------------------------------------------------------------


def visible(service: Service, principal: Principal, call_id: str) -> CallView:
    """Return a live call. Raises CallNotFoundError for one that is none of his business, too."""
    view = service.views.call(call_id)
    if view is None or not principal.sees(view.tenant, view.queue):
        raise CallNotFoundError(f"there is no live call {call_id!r}: it is over, or never was")
    return view


def all_visible(service: Service, principal: Principal) -> list[CallView]:
    """Return the live calls that are his business, the eldest first."""
    return [one for one in service.views.calls() if principal.sees(one.tenant, one.queue)]


def found(service: Service, principal: Principal, selector: str) -> CallView:
    """Return the one call that is meant, of those that are his business.

    selector: a call's id, a channel's id or name, an endpoint (``PJSIP/1002``), an extension or
    number of somebody who takes part. Raises CallNotFoundError, AmbiguousCallError.
    """
    view = service.views.call(selector)
    if view is not None and principal.sees(view.tenant, view.queue):
        return view
    calls = all_visible(service, principal)
    for means in _MEANINGS:
        meant = [one for one in calls if any(means(party, selector) for party in one.parties)]
        if len(meant) > 1:
            ids = ", ".join(one.call_id for one in meant[:_LISTED])
            raise AmbiguousCallError(
                f"{selector!r} is on {len(meant)} calls: {ids}. Say which by the call's id"
            )
        if meant:
            return meant[0]
    raise CallNotFoundError(
        f"there is no live call for {selector!r}: give a call's id, an extension such as 1002 or "
        "PJSIP/1002, or a channel of somebody on it"
    )


async def addressed(asked: Asked[Any, Any]) -> CallView:
    """Return the one call that the path means: its audit and its log are about that call.

    Raises what ``found`` raises.
    """
    service, principal, selector = asked.service, asked.principal, asked.path["call_id"]
    try:
        view = found(service, principal, selector)
    except CallNotFoundError:
        # It may have begun this moment.
        await service.views.settled(principal)
        view = found(service, principal, selector)
    CALL_ID.set(view.call_id)
    return view


def _has_channel(party: PartyView, selector: str) -> bool:
    return bool(selector) and selector in {party.channel_id, party.channel_name}


def _has_number(party: PartyView, selector: str) -> bool:
    return bool(selector) and selector == party.number


_MEANINGS: Final[tuple[Callable[[PartyView, str], bool], ...]] = (
    _has_channel,
    PartyView.is_at,
    _has_number,
)
"""What a selector may mean beside an id; the first that fits any call is meant."""


# --- what one may do ----------------------------------------------------------------------------


def controlled(asked: Asked[Any, Any]) -> CallView:
    """Return the call of the path, whoever placed it, for who is about to change it.

    Raises CallNotFoundError; ForbiddenError for a program, when another one has the call.
    """
    view = visible(asked.service, asked.principal, asked.path["call_id"])
    check_his(asked.service, asked.principal, view)
    return view


def check_his(service: Service, principal: Principal, view: CallView) -> None:
    """Let programs at calls that are theirs, or nobody's. Raises ForbiddenError."""
    if not service.programs.may_control(principal, view.call_id):
        raise ForbiddenError(f"the program {view.program} has this call: only it may do that")


def own_call(asked: Asked[Any, Any]) -> tuple[ActiveCall, CallView]:
    """Return the call of the path, which has to be one that callbridge's agent is on.

    Raises what ``controlled`` raises; CallClosedError when the agent has left it, CapabilityError
    for a call that was never ours.
    """
    view = controlled(asked)
    call = asked.service.client.get_call(view.call_id)
    if call is not None:
        return call, view
    if view.own:
        raise CallClosedError(
            f"the agent has left call {view.call_id}: it can be observed and hung up"
        )
    raise CapabilityError(
        f"call {view.call_id} was not placed by callbridge: it can be observed and hung up; for "
        "the rest, let the dialplan hand such calls to callbridge"
    )


def home_of(service: Service, principal: Principal) -> tuple[str, str]:
    """Return the tenant and queue of a call that somebody, or for whom somebody, originates."""
    tenant = principal.tenant
    if tenant == EVERY_TENANT:
        tenant = service.tenancy.default
    return tenant, min(principal.queues, default="")


@asynccontextmanager
async def in_stream(
    asked: Asked[Any, Any], participant: str = AGENT, *, call_id: str | None = None
) -> AsyncIterator[None]:
    """Let the command of the block have its place in what somebody says, if it names one.

    It is for commands that change who hears him: what he says behind the audio that it names waits
    for it. participant: who says it. call_id: where the path may name the call otherwise than by
    its id. Raises CommandTimeoutError when that audio does not come.
    """
    position = _after_audio(asked)
    if position is None:
        yield
        return
    positions = asked.service.audio_positions
    async with positions.turn(call_id or asked.path["call_id"], participant, position):
        yield


async def after_audio(asked: Asked[Any, Any]) -> None:
    """Wait for what the agent has said before a command, if it names how much that is.

    What he says behind that does not wait. Raises CommandTimeoutError when it does not come.
    """
    position = _after_audio(asked)
    if position is not None:
        await asked.service.audio_positions.wait(asked.path["call_id"], AGENT, position)


def _after_audio(asked: Asked[Any, Any]) -> int | None:
    said = asked.query if asked.body is None else asked.body
    position: int | None = getattr(said, "after_audio", None)
    return position


def as_it_is(asked: Asked[Any, Any], call: ActiveCall, before: CallView) -> CallView:
    """Return a call after a command, which may have ended it. before: as it was."""
    now = asked.service.views.call(before.call_id)
    if now is not None:
        return now
    return msgspec.structs.replace(
        before,
        state=CallState.DISCONNECTED,
        end_reason=call.end_reason,
        revision=before.revision + 1,
    )


# --- what is dialled ----------------------------------------------------------------------------


def dialled(asked: Asked[Any, Any], target: str, tenant: str) -> Reservation:
    """Return what counts a leg that is about to be rung. Raises DialDeniedError."""
    return asked.service.dial_rules.check(target, asked.principal, tenant=tenant)


def all_dialled(asked: Asked[Any, Any], targets: Iterable[str], tenant: str) -> Reservations:
    """Return what counts several. Raises DialDeniedError: none counts then."""
    return asked.service.dial_rules.check_all(targets, asked.principal, tenant=tenant)


def there(service: Service, call_id: str, party: str) -> Callable[[], bool]:
    """Return what tells whether somebody takes part in a call, or is being rung for it."""

    def is_there() -> bool:
        view = service.views.call(call_id)
        return view is not None and any(one.name == party for one in view.parties)

    return is_there
