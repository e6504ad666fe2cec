"""Those who talk with each other: come, go, be mute, wait, be parked."""

from __future__ import annotations

from typing import Any

from bridge.api.decoding import one_of, wrong
from bridge.api.paging import whole
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.scope import after_audio, as_it_is, dialled, own_call, there, visible
from bridge.api.shown import parked_of
from bridge.model.errors import NotFoundError
from bridge.protocol import operations
from bridge.protocol.requests import AddParty, ChangeParty, Park
from bridge.protocol.views import CallView, Page, ParkedView, PartyView
from bridge.sdk.parties import name_for


@handles(operations.LIST_PARTIES)
async def list_parties(asked: Asked[NoBody, NoQuery]) -> Page[PartyView]:
    """List the parties of a call, ours or not."""
    return whole(visible(asked.service, asked.principal, asked.path["call_id"]).parties)


@handles(operations.ADD_PARTY)
async def add_party(asked: Asked[AddParty, NoQuery]) -> PartyView:
    """Ring somebody and put him to the others."""
    call, view = own_call(asked)
    body = asked.body
    with dialled(asked, body.to, view.tenant) as leg:
        await after_audio(asked)
        name = await call.add(
            leg.endpoint,
            name=name_for(body.to, body.name),
            ring_time_seconds=body.ring_time_seconds,
            headers=body.headers,
        )
        leg.keep_while(there(asked.service, view.call_id, name))
    return _party(asked, name)


@handles(operations.CHANGE_PARTY)
async def change_party(asked: Asked[ChangeParty, NoQuery]) -> PartyView:
    """Mute or hold a party, or bring him back."""
    call, _ = own_call(asked)
    name, body = asked.path["party"], asked.body
    _party(asked, name)
    if not body.held:
        for field in ("music", "announce", "announce_audio"):
            if getattr(body, field) is not None:
                raise wrong(f"$.{field}", "is what he hears while he is held: give held, too")
    announcement = one_of(announce=body.announce, announce_audio=body.announce_audio)
    await after_audio(asked)
    if body.muted is not None:
        await (call.mute(name) if body.muted else call.unmute(name))
    if body.held:
        await call.hold(
            name,
            music=body.music,
            announce=announcement,
            announce_every_seconds=body.announce_every_seconds,
        )
    elif body.held is not None:
        await call.unhold(name)
    return _party(asked, name)


@handles(operations.REMOVE_PARTY)
async def remove_party(asked: Asked[NoBody, NoQuery]) -> None:
    """Hang up one party, or give up one who is being rung."""
    call, _ = own_call(asked)
    name = asked.path["party"]
    _party(asked, name)
    await call.remove(name)


@handles(operations.PARK)
async def park(asked: Asked[Park, NoQuery]) -> CallView:
    """Park a party."""
    call, view = own_call(asked)
    body = asked.body
    await after_audio(asked)
    await call.park(
        body.slot,
        name=body.name,
        timeout_seconds=body.timeout_seconds,
        by=body.by,
        music=body.music,
        stay=body.stay,
    )
    return as_it_is(asked, call, view)


@handles(operations.UNPARK)
async def unpark(asked: Asked[NoBody, NoQuery]) -> CallView:
    """Take back who is parked."""
    call, view = own_call(asked)
    await call.unpark()
    return as_it_is(asked, call, view)


@handles(operations.LIST_PARKED)
async def list_parked(asked: Asked[NoBody, NoQuery]) -> Page[ParkedView]:
    """List who is parked, by slot."""
    service, who = asked.service, asked.principal
    views = ((parked, service.views.call(parked.call_id)) for parked in service.client.parked)
    return whole(
        parked_of(parked) for parked, view in views if view and who.sees(view.tenant, view.queue)
    )


def _party(asked: Asked[Any, Any], name: str) -> PartyView:
    """Return a party of the call as he is now. Raises NotFoundError."""
    parties = visible(asked.service, asked.principal, asked.path["call_id"]).parties
    for party in parties:
        if party.name == name:
            return party
    known = ", ".join(party.name for party in parties) or "nobody yet"
    raise NotFoundError(f"{name!r} is no party of this call; there is: {known}")
