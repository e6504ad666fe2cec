"""Bridges of the fake server."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from bridge.lab.fake_ari.objects import FakeBridge, FakeChannel, Json, Refusal

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World


class Bridging:
    """Makes, fills and ends bridges."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, identity: str) -> FakeBridge:
        """Return a bridge or refuse with 404."""
        found = self._world.bridges.get(identity)
        if found is None:
            raise Refusal(404, "Bridge not found")
        return found

    def own(self, identity: str) -> FakeBridge:
        """Return a bridge that ARI made, or refuse with 404 or 409."""
        found = self.get(identity)
        if found.bridge_class != "stasis":
            raise Refusal(409, "Bridge not in Stasis application")
        return found

    def create(self, identity: str, kind: str, name: str) -> Json:
        """Make a bridge."""
        if identity in self._world.bridges:
            raise Refusal(409, f"Bridge with id '{identity}' already exists")
        return self.add(FakeBridge(identity, kind or "mixing", name)).json()

    def add(self, bridge: FakeBridge) -> FakeBridge:
        """Let a new bridge stand, and tell."""
        self._world.bridges[bridge.id] = bridge
        self._world.emit("BridgeCreated", None, bridge)
        return bridge

    def basic(self) -> FakeBridge:
        """Make a bridge as Dial() does, which ARI does not touch."""
        return self.add(FakeBridge(str(uuid.uuid4()), bridge_class="basic"))

    def destroy(self, bridge: FakeBridge) -> None:
        """Destroy a bridge; channels of an application stay in Stasis.

        An application hears of it only while it is subscribed: by asking, or by a channel that
        entered and did not leave by command.
        """
        for member in list(bridge.channels):
            self.leave(self._world.channels[member])
        if self._world.bridges.pop(bridge.id, None) is None:
            return
        self._world.emit("BridgeDestroyed", None, bridge)
        self._world.applications.bridge_gone(bridge.id)

    def add_channels(self, identity: str, members: list[str]) -> None:
        """Move channels into a bridge by command."""
        bridge = self.own(identity)
        channels = [self._world.channels.get(member) for member in members]
        found = [channel for channel in channels if channel is not None]
        if len(found) < len(members):
            raise Refusal(400, "Channel not found")
        if any(not channel.in_stasis for channel in found):
            raise Refusal(422, "Channel not in Stasis application")
        for channel in found:
            self.leave(channel)
            self._world.applications.follow_bridge(channel.application, bridge.id)
            self.enter(bridge, channel)

    def enter(self, bridge: FakeBridge, channel: FakeChannel) -> None:
        """Let a channel enter a bridge, and tell."""
        channel.bridge = bridge.id
        bridge.channels.append(channel.id)
        self._world.emit("ChannelEnteredBridge", channel, bridge)

    def remove_channels(self, identity: str, members: list[str]) -> None:
        """Take channels out of a bridge by command."""
        bridge = self.own(identity)
        for member in members:
            channel = self._world.channels.get(member)
            if channel is None:
                raise Refusal(400, "Channel not found")
            if not channel.in_stasis:
                raise Refusal(422, "Channel not in Stasis application")
            if channel.bridge != bridge.id:
                raise Refusal(422, "Channel not in this bridge")
            self.leave(channel)

    def leave(self, channel: FakeChannel, *, unsubscribe: bool = True) -> None:
        """Let a channel leave its bridge, if it is in one, and tell.

        Whoever leaves by command takes the subscription along that he brought.
        """
        bridge = self._world.bridges.get(channel.bridge or "")
        channel.bridge = None
        if bridge is None:
            return
        bridge.channels.remove(channel.id)
        self._world.emit("ChannelLeftBridge", channel, bridge)
        if unsubscribe and bridge.bridge_class == "stasis":
            self._world.applications.unfollow_bridge(channel.application, bridge.id)

    def music(self, identity: str, *, on: bool) -> None:
        """Start or stop the music of a bridge."""
        bridge = self.own(identity)
        if not on and not bridge.music:
            raise Refusal(409, "Bridge isn't playing music")
        bridge.music = on

    def peer_of(self, channel: FakeChannel) -> str:
        """Return the names of those that a channel is bridged with, as BRIDGEPEER does."""
        bridge = self._world.bridges.get(channel.bridge or "")
        members = bridge.channels if bridge is not None else []
        names = [self._world.channels[member].name for member in members if member != channel.id]
        return ",".join(names)
