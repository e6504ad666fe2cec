"""The resources that a message is about, as plain references."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bridge.ari.generated import models

ResourceKind = Literal["channel", "bridge", "playback", "recording", "endpoint", "device_state"]
Referring = (
    models.Channel
    | models.Bridge
    | models.Playback
    | models.LiveRecording
    | models.Endpoint
    | models.DeviceState
    | models.ReferTo
    | models.ReferredBy
)


class ResourceRef(NamedTuple):
    """A kind of resource and its id; an endpoint's id is ``PJSIP/1001``."""

    kind: ResourceKind
    id: str


def bridge_ref(bridge_id: str | None) -> ResourceRef | None:
    """Refer to the bridge with this id, if there is one."""
    return ResourceRef("bridge", bridge_id) if bridge_id else None


def references(*objects: Referring | ResourceRef | None) -> tuple[ResourceRef, ...]:
    """Refer to the objects, in order, each once."""
    found: dict[ResourceRef, None] = {}
    for item in objects:
        found.update(dict.fromkeys(_references(item)))
    return tuple(found)


def _references(item: Referring | ResourceRef | None) -> tuple[ResourceRef, ...]:
    match item:
        case None:
            return ()
        case ResourceRef():
            return (item,)
        case models.Playback():
            return (ResourceRef("playback", item.id), *_target(item.target_uri))
        case models.LiveRecording():
            return (ResourceRef("recording", item.name), *_target(item.target_uri))
        case models.ReferTo():
            return references(item.destination_channel, item.connected_channel, item.bridge)
        case models.ReferredBy():
            return references(item.source_channel, item.connected_channel, item.bridge)
        case _:
            return (_reference(item),)


def _reference(
    item: models.Channel | models.Bridge | models.Endpoint | models.DeviceState,
) -> ResourceRef:
    match item:
        case models.Channel():
            return ResourceRef("channel", item.id)
        case models.Bridge():
            return ResourceRef("bridge", item.id)
        case models.Endpoint():
            return ResourceRef("endpoint", f"{item.technology}/{item.resource}")
        case models.DeviceState():
            return ResourceRef("device_state", item.name)


def _target(uri: str) -> tuple[ResourceRef, ...]:
    """Refer to the channel or bridge that a playback or recording runs on: ``channel:ID``."""
    kind, _, identity = uri.partition(":")
    if kind == "channel":
        return (ResourceRef("channel", identity),)
    if kind == "bridge":
        return (ResourceRef("bridge", identity),)
    return ()
