"""Coming and going at the edges: what a server has to have, who came unseen, who comes too late."""

from __future__ import annotations

import asyncio
import logging

from bridge.ari import AriConnection, Capabilities
from bridge.model.errors import CallbridgeError, CapabilityError, RequestFailedError, ServerError
from bridge.model.states import CallState, HangupCause
from bridge.runtime.engine import CallEngine
from bridge.session import Phase, inputs

_log = logging.getLogger(__name__)

_LEAVE_SECONDS = 3.0
_CHECK_SECONDS = 0.5
"""How long Asterisk may list a channel whose end it has already reported."""


def require(capabilities: Capabilities, rate: int) -> None:
    """Raise CapabilityError for a server without which no agent can take part. rate: Hz."""
    needs = {
        "media over WebSocket (chan_websocket, Asterisk 22.6 or 20.16)": (
            capabilities.websocket_media
        ),
        "media over RTP (chan_rtp, res_rtp_multicast)": capabilities.rtp_media,
        "snoop channels (res_stasis_snoop)": capabilities.snoop,
        "mixing of several voices (bridge_softmix)": capabilities.softmix,
        "dialling (bridge_holding)": capabilities.dialling,
        f"audio at {rate} Hz (codec_resample)": rate in capabilities.sample_rates,
    }
    missing = [what for what, there in needs.items() if not there]
    if missing:
        raise CapabilityError(
            f"Asterisk {capabilities.version} lacks {'; '.join(missing)}: "
            "load the module, or use a version that has it"
        )


async def check_caller(ari: AriConnection, engine: CallEngine) -> None:
    """End a call whose caller was listed and had hung up already."""
    await asyncio.sleep(_CHECK_SECONDS)
    channel_id = engine.incoming.channel_id
    try:
        await ari.channels.get(channel_id=channel_id)
    except RequestFailedError:
        engine.leg_ends.gone(channel_id, HangupCause.NORMAL)
    except ServerError as error:
        # The link is down: its next UP compares all calls with what stands.
        _log.debug("call %s: caller not asked for: %s", engine.incoming.call_id, error)


async def turn_away(ari: AriConnection, channel_id: str) -> None:
    """Hang up on a caller who came as we left."""
    try:
        await ari.channels.hangup(
            channel_id=channel_id, reason_code=str(HangupCause.NETWORK_OUT_OF_ORDER.value)
        )
    except ServerError as error:
        _log.warning("channel %s came as we left and waits: %s", channel_id, error)


async def leave(engine: CallEngine) -> None:
    """Take the agent off a call, and end it if he was alone with the caller.

    A call that is kept goes on: somebody looks after it.
    """
    session = engine.session
    if session.phase is Phase.DETACHED:
        return
    goes_on = session.state is CallState.CONNECTED or session.standing.kept
    try:
        async with asyncio.timeout(_LEAVE_SECONDS):
            if goes_on:
                await engine.command(lambda token: inputs.Close(token, cut=True))
            else:
                await engine.command(lambda token: inputs.Disconnect(token, cut=True))
    except (CallbridgeError, TimeoutError) as error:
        _log.warning("call %s: not left in order: %s", engine.incoming.call_id, error)
