"""All live calls of the PBX, ours or not, and who takes part in them. Pure: no IO, no clock."""

from bridge.directory.directory import Directory
from bridge.directory.facts import (
    BridgeFact,
    BridgeGone,
    ChannelFact,
    ChannelGone,
    ChannelSeen,
    Entered,
    Fact,
    Hold,
    Left,
    Snapshot,
)
from bridge.directory.live import (
    CallBegan,
    CallEnded,
    Change,
    LiveCall,
    LiveParty,
    PartiesChanged,
)

__all__ = [
    "BridgeFact",
    "BridgeGone",
    "CallBegan",
    "CallEnded",
    "Change",
    "ChannelFact",
    "ChannelGone",
    "ChannelSeen",
    "Directory",
    "Entered",
    "Fact",
    "Hold",
    "Left",
    "LiveCall",
    "LiveParty",
    "PartiesChanged",
    "Snapshot",
]
