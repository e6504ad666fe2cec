"""From objects to the matrix: who hears whom, given what stands in Asterisk."""

from __future__ import annotations

from collections import Counter

from bridge.model.audibility import Cell, Matrix
from bridge.model.participants import Participant
from bridge.topology.objects import Direction, Key, Snoop, Topology

Voices = Counter[Participant]
"""How many times each voice is in a signal. Twice is an echo or a doubling."""


def audibility(topology: Topology) -> Counter[Cell]:
    """Return for every (listener, speaker) the number of ways the voice takes.

    One is right, more is a doubled voice, an absent pair is silence. The rules are those of
    res_stasis_snoop.c and main/audiohook.c: on a channel spies come before whispers, so a spy
    never hears a whisper of its own direction; whispers are added to what is heard.
    """
    cells: Counter[Cell] = Counter()
    for leg, person in topology.legs.items():
        for speaker, ways in _heard(topology, leg).items():
            cells[person, speaker] += ways
    for channel, media in topology.media.items():
        if media.gate_open:
            for speaker, ways in _heard(topology, channel).items():
                cells[media.owner, speaker] += ways
    return cells


def matrix_of(topology: Topology) -> Matrix:
    """Return the pairs in which something is heard, however often."""
    return frozenset(audibility(topology))


def _heard(topology: Topology, channel: Key) -> Voices:
    """Return what reaches the ear behind ``channel``: its bridge, and whispers to it."""
    voices = _written(topology, channel, frozenset())
    for key, snoop in _snoops_on(topology, channel):
        if snoop.gate_open and snoop.whisper is Direction.OUT:
            voices += _written(topology, key, frozenset())
    return voices


def _written(topology: Topology, channel: Key, seen: frozenset[Key]) -> Voices:
    """Return what ``channel``'s bridge writes to it: what all other members bring."""
    bridge = topology.bridge_of(channel)
    voices: Voices = Counter()
    if bridge is None:
        return voices
    for member in sorted(topology.bridges[bridge] - {channel}):
        voices += _brought(topology, member, seen)
    return voices


def _brought(topology: Topology, channel: Key, seen: frozenset[Key]) -> Voices:
    """Return what ``channel`` brings into its bridge."""
    if channel in seen:
        return Counter()
    seen |= {channel}
    if snoop := topology.snoops.get(channel):
        match snoop.spy:
            case Direction.IN:
                return _said(topology, snoop.target)
            case Direction.OUT:
                return _written(topology, snoop.target, seen)
            case Direction.NONE:
                return Counter()
    voices = _said(topology, channel)
    for key, on_it in _snoops_on(topology, channel):
        if on_it.gate_open and on_it.whisper is Direction.IN:
            voices += _written(topology, key, seen)
    return voices


def _said(topology: Topology, channel: Key) -> Voices:
    """Return the voice of the one whose channel it is."""
    if channel in topology.media:
        return Counter({topology.media[channel].owner: 1})
    speaks = channel in topology.legs and channel not in topology.muted
    return Counter({topology.legs[channel]: 1}) if speaks else Counter()


def _snoops_on(topology: Topology, channel: Key) -> list[tuple[Key, Snoop]]:
    return [(key, snoop) for key, snoop in topology.snoops.items() if snoop.target == channel]
