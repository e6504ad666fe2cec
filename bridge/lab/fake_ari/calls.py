"""Calls between phones of the fake server that no ARI application owns.

As a plain Dial() places them; held, transferred and parked as phones do it. Channels keep their
ids through all of it (measured on 22.10.1 with REFER): only bridges are new.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bridge.lab.fake_ari.objects import FakeBridge, FakeChannel, Json, Kind, Refusal

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World

NORMAL = 16
NO_ROUTE = 3
FIRST_SLOT = 7001


@dataclass(eq=False)
class FakeCall:
    """Two phones that talk, or one that is still calling the other."""

    caller: FakeChannel
    callee: FakeChannel | None

    @property
    def bridge(self) -> str | None:
        """The id of the bridge in which both talk; None as long as they do not."""
        callee = self.callee
        together = callee is not None and callee.bridge == self.caller.bridge
        return self.caller.bridge if together else None


class Calls:
    """What phones do without us."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slots: dict[str, str] = {}
        """Where a channel is parked: number of the slot, id of the channel."""

    def ring_in(self, caller: str, number: str) -> FakeChannel:
        """Let a phone dial a number; its channel is at the beginning of the dialplan."""
        name = f"PJSIP/{caller}-{self._world.number():08x}"
        channel = FakeChannel(
            id=self._world.new_id(),
            kind=Kind.PHONE,
            name=name,
            state="Ring",
            caller=caller,
            caller_name=f"Phone {caller}",
            context="phones",
            exten=number,
            has_dialplan=True,
        )
        return self._world.add(channel)

    def place(self, caller: str, callee: str) -> FakeCall:
        """Let a phone call another by a plain Dial(): 9 and the number."""
        channel = self.ring_in(caller, f"9{callee}")
        return FakeCall(channel, self.dial(channel, f"PJSIP/{callee}"))

    def dial(self, caller: FakeChannel, endpoint: str) -> FakeChannel | None:
        """Let a channel Dial() an endpoint; return the channel there, None if there is none."""
        caller.app_name, caller.app_data = "Dial", f"{endpoint},60"
        self._say_dialplan(caller)
        try:
            callee = self._world.dialling.made_by_dial(caller, endpoint)
        except Refusal:
            self._world.later(0.0, lambda: self._world.remove(caller, NO_ROUTE))
            return None
        self._say_dialplan(callee)
        self._introduce(callee, caller)
        self._world.dialling.say(callee, "")
        self._introduce(caller, callee)
        self._world.dialling.obey(callee)
        return callee

    def answered(self, callee: FakeChannel) -> None:
        """Note that a phone that was called by Dial() has answered: both are bridged."""
        caller = self._world.channels.get(callee.dialler or "")
        if caller is None:
            return
        if caller.state != "Up":
            caller.state = "Up"
            self._world.emit("ChannelStateChange", caller)
        callee.exten = ""
        self._talk(callee, caller)

    def hold(self, identity: str, *, on: bool) -> None:
        """Let the phone of a channel hold, or end it (by re-INVITE)."""
        channel = self._world.channels[identity]
        bridge = self._world.bridges.get(channel.bridge or "")
        for member in bridge.channels if bridge is not None else ():
            if member != identity:
                self._world.channels[member].on_hold = on
        if on:
            self._world.emit("ChannelHold", channel, musicclass="default")
        else:
            self._world.emit("ChannelUnhold", channel)

    def press(self, identity: str, digits: str) -> None:
        """Let the phone of a channel press keys."""
        channel = self._world.channels[identity]
        for digit in digits:
            self._world.emit("ChannelDtmfReceived", channel, digit=digit, duration_ms=200)

    def transfer(self, identity: str, number: str) -> FakeChannel | None:
        """Let the phone of a channel transfer its peer to another phone, blindly.

        Return the other phone's channel, None if it has none.
        """
        leaving, peer, bridge = self._pair(identity)
        self._world.emit("ChannelUnhold", leaving)
        self._tell_blind(leaving, peer, bridge, f"9{number}")
        self._part(bridge)
        peer.context, peer.exten, peer.priority = "phones", f"9{number}", 1
        peer.has_dialplan, peer.dialler = True, None
        self._world.remove(leaving, NORMAL)
        return self.dial(peer, f"PJSIP/{number}")

    def transfer_to_call(self, identity: str, consult: str) -> None:
        """Let a phone join its peer on one channel and its peer on another, and leave both."""
        first, transferee, left = self._pair(identity)
        second, target, kept = self._pair(consult)
        for channel in (first, second):
            self._world.emit("ChannelUnhold", channel)
        self._world.bridging.leave(transferee)
        self._world.bridging.leave(second)
        self._world.bridging.enter(kept, transferee)
        transferee.dialler = None
        target.dialler = None
        event: Json = {
            "type": "BridgeAttendedTransfer",
            "transferer_first_leg": first.json(),
            "transferer_first_leg_bridge": left.json(),
            "transferer_second_leg": second.json(),
            "transferer_second_leg_bridge": kept.json(),
            "transferee": transferee.json(),
            "transfer_target": target.json(),
            "result": "Success",
            "is_external": False,
            "destination_type": "bridge",
            "destination_bridge": kept.id,
        }
        concerned = [channel.id for channel in (first, second, transferee, target)]
        self._world.applications.publish(event, concerned)
        self._introduce(target, transferee)
        self._introduce(transferee, target)
        self._world.remove(second, NORMAL)
        self._world.bridging.leave(first)
        self._world.bridging.destroy(left)
        self._world.remove(first, NORMAL)

    def park(self, identity: str) -> str:
        """Let the phone of a channel park its peer; return the number that fetches him back."""
        leaving, peer, bridge = self._pair(identity)
        self._world.emit("ChannelUnhold", leaving)
        self._tell_blind(leaving, peer, bridge, "7000")
        lot = self._lot()
        self._world.bridging.leave(peer)
        self._world.bridging.enter(lot, peer)
        peer.dialler = None
        slot = str(next(n for n in range(FIRST_SLOT, 7010) if str(n) not in self._slots))
        self._slots[slot] = peer.id
        self._world.later(0.0, lambda: self._world.remove(leaving, NORMAL))
        return slot

    def retrieve(self, caller: str, slot: str) -> FakeCall:
        """Let a phone fetch a parked channel."""
        parked = self._world.channels[self._slots.pop(slot)]
        channel = self.ring_in(caller, slot)
        channel.app_name, channel.app_data = "ParkedCall", f"default,{slot}"
        self._say_dialplan(channel)
        channel.state = "Up"
        self._world.emit("ChannelStateChange", channel)
        bridge = self._world.bridging.basic()
        self._world.bridging.leave(parked)
        self._world.bridging.enter(bridge, parked)
        self._world.bridging.enter(bridge, channel)
        self._introduce(channel, parked)
        self._introduce(parked, channel)
        return FakeCall(channel, parked)

    def channel_gone(self, channel: FakeChannel, bridge: FakeBridge | None, cause: int) -> None:
        """Note that a channel is going: whoever it talked to, or called, goes too."""
        left = list(bridge.channels) if bridge and bridge.bridge_class == "basic" else []
        if bridge and bridge.bridge_class == "basic":
            self._world.bridging.destroy(bridge)
        called = [c for c in self._world.channels.values() if c.dialler == channel.id]
        calling = self._world.channels.get(channel.dialler or "")
        others = [self._world.channels[member] for member in left] + called
        if calling is not None and channel.state != "Up":
            others.append(calling)
        for slot in [slot for slot, parked in self._slots.items() if parked == channel.id]:
            del self._slots[slot]
        for other in others:
            if other.state != "Up" and other in called:
                self._world.dialling.say(other, "CANCEL")
            self._world.later(0.0, partial(self._world.remove, other, cause))

    def _pair(self, identity: str) -> tuple[FakeChannel, FakeChannel, FakeBridge]:
        """Return a channel, the one it talks to, and their bridge. Raises LookupError."""
        channel = self._world.channels[identity]
        bridge = self._world.bridges[channel.bridge or ""]
        (peer,) = (self._world.channels[member] for member in bridge.channels if member != identity)
        return channel, peer, bridge

    def _talk(self, callee: FakeChannel, caller: FakeChannel) -> None:
        bridge = self._world.bridging.basic()
        self._say_dialplan(callee)
        self._world.bridging.enter(bridge, callee)
        self._world.bridging.enter(bridge, caller)

    def _part(self, bridge: FakeBridge) -> None:
        """Let both leave a bridge, and let it end."""
        for member in reversed(bridge.channels):
            self._world.bridging.leave(self._world.channels[member])
        self._world.bridging.destroy(bridge)

    def _lot(self) -> FakeBridge:
        for bridge in self._world.bridges.values():
            if bridge.bridge_class == "parking":
                return bridge
        lot = FakeBridge(str(uuid.uuid4()), "holding", "default", bridge_class="parking")
        return self._world.bridging.add(lot)

    def _tell_blind(
        self, leaving: FakeChannel, peer: FakeChannel, bridge: FakeBridge, exten: str
    ) -> None:
        self._world.emit(
            "BridgeBlindTransfer",
            leaving,
            bridge,
            exten=exten,
            context="phones",
            result="Success",
            is_external=True,
            transferee=peer.json(),
        )

    def _introduce(self, channel: FakeChannel, other: FakeChannel) -> None:
        channel.connected, channel.connected_name = other.caller, other.caller_name
        self._world.emit("ChannelConnectedLine", channel)

    def _say_dialplan(self, channel: FakeChannel) -> None:
        self._world.emit(
            "ChannelDialplan",
            channel,
            dialplan_app=channel.app_name,
            dialplan_app_data=channel.app_data,
        )
