"""Who takes incoming calls, and what the server can do."""

from __future__ import annotations

from bridge.api.paging import paged
from bridge.api.programs.owners import shown_as
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.protocol import operations
from bridge.protocol.requests import Listing
from bridge.protocol.views import CapabilitiesView, Page, ProgramView


@handles(operations.LIST_PROGRAMS)
async def list_programs(asked: Asked[NoBody, Listing]) -> Page[ProgramView]:
    """List the programs of whoever asks, by name."""
    shown = asked.service.programs.shown(asked.principal)
    page = paged(shown, asked.query, lambda one: one.program.key)
    return Page(items=tuple(map(shown_as, page.items)), next=page.next)


@handles(operations.SHOW_CAPABILITIES)
async def show_capabilities(asked: Asked[NoBody, NoQuery]) -> CapabilitiesView:
    """Show what Asterisk can do, and the audio of this server."""
    client = asked.service.client
    can = client.capabilities
    return CapabilitiesView(
        version=can.version,
        rest_over_websocket=can.rest_over_websocket,
        websocket_media=can.websocket_media,
        snoop=can.snoop,
        softmix=can.softmix,
        rtp_media=can.rtp_media,
        dialling=can.dialling,
        sample_rates=can.sample_rates,
        refer_sub=can.refer_sub,
        whisper_to_silent_leg=can.whisper_to_silent_leg,
        sources=dict(can.sources),
        sample_rate=client.sample_rate,
        send_buffer_seconds=client.send_buffer_seconds,
    )
