"""Those who take part beside the parties: listen, whisper, barge in, take over, move on, leave."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from bridge.api.auth.principal import Principal
from bridge.api.paging import whole
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.scope import (
    addressed,
    all_visible,
    check_his,
    controlled,
    dialled,
    found,
    in_stream,
    visible,
)
from bridge.model.errors import CallNotFoundError, ForbiddenError, NotFoundError
from bridge.protocol import operations
from bridge.protocol.permissions import Permission
from bridge.protocol.requests import ChangeMode, GiveBack, Leave, Move, Observe, TakeOver
from bridge.protocol.views import CallView, ObserverView, Page
from bridge.sdk import Observer


@handles(operations.LIST_OBSERVERS)
async def list_observers(asked: Asked[NoBody, NoQuery]) -> Page[ObserverView]:
    """List who observes a call, whoever placed them."""
    return whole(visible(asked.service, asked.principal, asked.path["call_id"]).observers)


@handles(operations.OBSERVE)
async def observe(asked: Asked[Observe, NoQuery]) -> ObserverView:
    """Join a call as an observer, or let somebody on a phone do so."""
    service, who, body = asked.service, asked.principal, asked.body
    if body.mode != "spy":
        who.require(Permission.COACH)
    selector = asked.path["call_id"]
    view = await addressed(asked)
    if body.mode != "spy":
        check_his(service, who, view)
    with ExitStack() as stack:
        leg = None
        if body.phone is not None:
            leg = stack.enter_context(dialled(asked, body.phone, view.tenant))
        observer = await service.client.observe_limited(
            view.call_id,
            service.views.limits(who),
            body.name,
            phone=None if leg is None else leg.endpoint,
            ring_time_seconds=body.ring_time_seconds,
            hear_coaching=body.hear_coaching,
        )
        if leg is not None:
            leg.keep_while(lambda: observer.left is None)
        service.views.placed(observer, who.name)
        if any(party.is_at(selector) for party in view.parties):
            observer.coach(selector)
        try:
            await _turn(observer, body.mode, body.to, cut=False)
        except BaseException:
            await observer.leave(cut=True)
            raise
    return service.views.observer_view(observer, observer.call_id)


@handles(operations.SHOW_OBSERVER)
async def show_observer(asked: Asked[NoBody, NoQuery]) -> ObserverView:
    """Show an observer."""
    return _shown(asked, _observer(asked))


@handles(operations.CHANGE_OBSERVER_MODE)
async def change_observer_mode(asked: Asked[ChangeMode, NoQuery]) -> ObserverView:
    """Let an observer listen, whisper or barge in."""
    body = asked.body
    if body.mode != "spy":
        asked.principal.require(Permission.COACH)
    observer = _his(asked)
    if body.mode != "spy":
        controlled(asked)
    async with in_stream(asked, observer.name):
        await _turn(observer, body.mode, body.to, cut=body.cut)
    return _shown(asked, observer)


@handles(operations.TAKE_OVER)
async def take_over(asked: Asked[TakeOver, NoQuery]) -> ObserverView:
    """Let an observer speak in the place of the agent."""
    observer = _his(asked)
    controlled(asked)
    async with in_stream(asked, observer.name):
        await observer.take_over(asked.body.replaced, keep=asked.body.keep)
    return _shown(asked, observer)


@handles(operations.GIVE_BACK)
async def give_back(asked: Asked[NoBody, GiveBack]) -> ObserverView:
    """Let whoever was replaced speak again, after what the observer has said."""
    observer = _his(asked)
    async with in_stream(asked, observer.name):
        await observer.give_back()
    return _shown(asked, observer)


@handles(operations.MOVE_OBSERVER)
async def move_observer(asked: Asked[Move, NoQuery]) -> ObserverView:
    """Take an observer to another call: the one that is meant, or the next."""
    observer = _his(asked)
    to = asked.body.to
    call = _next(asked, observer) if to is None else found(asked.service, asked.principal, to)
    async with in_stream(asked, observer.name):
        await observer.move_to(call.call_id)
    if to is not None and any(party.is_at(to) for party in call.parties):
        observer.coach(to)
    return _shown(asked, observer)


@handles(operations.DISMISS_OBSERVER)
async def dismiss_observer(asked: Asked[NoBody, Leave]) -> None:
    """Let an observer leave, after what he has said."""
    observer = _his(asked)
    async with in_stream(asked, observer.name):
        await observer.leave(cut=asked.query.cut)


async def _turn(observer: Observer, mode: str, to: list[str] | None, *, cut: bool) -> None:
    match mode:
        case "whisper":
            await observer.whisper(to, cut=cut)
        case "barge":
            await observer.barge(cut=cut)
        case _ if observer.mode != mode or cut:
            await observer.spy(cut=cut)


def _observer(asked: Asked[Any, Any]) -> Observer:
    """Return the observer of the path. Raises CallNotFoundError, NotFoundError."""
    view = visible(asked.service, asked.principal, asked.path["call_id"])
    name = asked.path["observer"]
    observer = asked.service.views.observer(view.call_id, name)
    if observer is None:
        known = ", ".join(one.name for one in view.observers) or "nobody"
        raise NotFoundError(f"{name!r} does not observe this call, or no longer; who does: {known}")
    return observer


def _his(asked: Asked[Any, Any]) -> Observer:
    """Return the observer of the path for who is about to change what he does.

    Raises ForbiddenError for one whom somebody else placed, unless one may control the call.
    """
    observer = _observer(asked)
    placed_by = asked.service.views.placed_by(observer)
    if not _may_change(asked.principal, placed_by):
        raise ForbiddenError(
            f"{observer.name} was placed by {placed_by}: for others' observers one needs the "
            f"permission {Permission.CONTROL}"
        )
    if placed_by != asked.principal.name:
        controlled(asked)
    return observer


def _may_change(principal: Principal, placed_by: str) -> bool:
    return placed_by == principal.name or principal.may(Permission.CONTROL)


def _next(asked: Asked[Move, NoQuery], observer: Observer) -> CallView:
    """Return the call after the observer's, of those that one sees; the eldest after the last."""
    calls = all_visible(asked.service, asked.principal)
    ids = [one.call_id for one in calls]
    if observer.call_id in ids:
        here = ids.index(observer.call_id)
        calls = [*calls[here + 1 :], *calls[:here]]
    if not calls:
        raise CallNotFoundError("there is no other live call")
    return calls[0]


def _shown(asked: Asked[Any, Any], observer: Observer) -> ObserverView:
    return asked.service.views.observer_view(observer, observer.call_id)
