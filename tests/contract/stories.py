"""What an application was told, in words: so that two servers' tales can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ari import events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.ari.generated.events import Message

NOT_ABOUT_CALLS = (
    events.ContactStatusChange,
    events.DeviceStateChanged,
    events.EndpointStateChange,
    events.PeerStatusChange,
)


def story(messages: Iterable[Message], identity: str | None = None) -> list[str]:
    """Tell what happened, in words: type of event, state or status, cause.

    With an identity, only what is about this channel or bridge.
    """
    about = (
        message
        for message in messages
        if identity is None or identity in (*message.channel_ids(), *message.bridge_ids())
    )
    return [line for message in about if (line := told(message)) is not None]


def told(event: Message) -> str | None:
    """Put one event into words; None for what only the real server tells."""
    name = type(event).__name__
    match event:
        case events.ChannelVarset(variable=variable, value=value):
            # How the sound was, whom it was heard by: of the real one alone.
            return f"STASISSTATUS {value}".rstrip() if variable == "STASISSTATUS" else None
        case events.Dial(dialstatus=status):
            return f"Dial {status}".rstrip()
        case events.ChannelStateChange(channel=channel):
            return channel.state
        case events.ChannelHangupRequest(cause=cause, soft=soft):
            return f"HangupRequest {cause} {soft}"
        case events.ChannelDestroyed(cause=cause):
            return f"Destroyed {cause}"
        case events.StasisStart(args=args):
            return " ".join([name, *args])
        case events.ChannelDialplan(dialplan_app=application):
            return f"{name} {application}"
        case events.PlaybackStarted() | events.PlaybackContinuing() | events.PlaybackFinished():
            return f"{name} {event.playback.media_uri} {event.playback.state}"
        case _:
            return None if isinstance(event, NOT_ABOUT_CALLS) else name


def untangled(lines: list[str]) -> tuple[list[str], list[str]]:
    """Part the Dial events from the others: which comes first is not settled (measured)."""
    dials = [line for line in lines if line.startswith("Dial")]
    return [line for line in lines if line not in dials], sorted(dials)
