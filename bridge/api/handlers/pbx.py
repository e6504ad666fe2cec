"""The PBX beside the calls: phones, trunks and channels."""

from __future__ import annotations

import re
from typing import Final

from bridge.api.paging import paged
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.scope import all_visible
from bridge.api.shown import channel_of, endpoint_of
from bridge.model.errors import NotFoundError
from bridge.protocol import operations
from bridge.protocol.permissions import EVERY_TENANT
from bridge.protocol.requests import Listing
from bridge.protocol.views import ChannelView, EndpointView, Page

_TECHNOLOGY: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")
_RESOURCE: Final = re.compile(r"(?!\.)[A-Za-z0-9_.+*#@:-]{1,200}")
"""Not ``..``: it would be another path of Asterisk's."""


@handles(operations.LIST_ENDPOINTS)
async def list_endpoints(asked: Asked[NoBody, Listing]) -> Page[EndpointView]:
    """List phones and trunks, by name."""
    found = map(endpoint_of, await asked.service.client.endpoints())
    return paged(found, asked.query, lambda one: (one.endpoint,))


@handles(operations.SHOW_ENDPOINT)
async def show_endpoint(asked: Asked[NoBody, NoQuery]) -> EndpointView:
    """Show a phone or trunk."""
    technology, resource = asked.path["technology"], asked.path["resource"]
    name = f"{technology}/{resource}"
    if _TECHNOLOGY.fullmatch(technology) and _RESOURCE.fullmatch(resource):
        found = await asked.service.client.endpoint(name)
        if found is not None:
            return endpoint_of(found)
    raise NotFoundError(f"Asterisk has no endpoint {name!r}")


@handles(operations.LIST_CHANNELS)
async def list_channels(asked: Asked[NoBody, Listing]) -> Page[ChannelView]:
    """List Asterisk's channels, the eldest first: who has one tenant sees those of its calls."""
    found = [channel_of(one) for one in await asked.service.client.channels()]
    principal = asked.principal
    if principal.tenant != EVERY_TENANT or principal.queues:
        seen = {view.call_id for view in all_visible(asked.service, principal)}
        found = [one for one in found if one.call_id in seen]
    return paged(found, asked.query, lambda one: (one.created, one.channel_id))
