"""A channel whose audio is ours: Asterisk waits until we open the WebSocket that it goes over."""

from __future__ import annotations

from bridge.ari import AriConnection
from bridge.media.pcm import AudioFormat
from bridge.model.errors import MediaError


async def new_media_channel(
    ari: AriConnection, channel_id: str, audio_format: AudioFormat, *, application: str
) -> str:
    """Make the channel, in an application; return the id of the connection that it waits for.

    The channel is there even when there is no such id. Raises MediaError then, and ServerError.
    """
    channel = await ari.channels.external_media(
        channel_id=channel_id,
        app=application,
        external_host="INCOMING",
        transport="websocket",
        encapsulation="none",
        connection_type="server",
        format=audio_format.asterisk_name,
    )
    connection_id = (channel.channelvars or {}).get("MEDIA_WEBSOCKET_CONNECTION_ID", "")
    if not connection_id:
        raise MediaError("Asterisk gave no MEDIA_WEBSOCKET_CONNECTION_ID: 22.6 has it")
    return connection_id
