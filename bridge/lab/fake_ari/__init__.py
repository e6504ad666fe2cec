"""A fake ARI server: as much of Asterisk as call control sees, and everything that goes wrong.

It speaks real HTTP and real WebSockets on a local port. Audio is queued and played by Asterisk's
clock, but not mixed: what is heard is the real server's to show. That it tells the truth is
checked by the contract tests, which run against it and a real Asterisk alike.
"""

from __future__ import annotations

from bridge.lab.fake_ari.calls import FakeCall
from bridge.lab.fake_ari.failures import Failures, Fault, Mishap, Rule
from bridge.lab.fake_ari.hurry import HurriedLoop, run_hurried
from bridge.lab.fake_ari.media import FakeMedia
from bridge.lab.fake_ari.objects import Answer, FakeBridge, FakeChannel, Kind, Phone
from bridge.lab.fake_ari.server import FakeAri, Received

__all__ = [
    "Answer",
    "Failures",
    "FakeAri",
    "FakeBridge",
    "FakeCall",
    "FakeChannel",
    "FakeMedia",
    "Fault",
    "HurriedLoop",
    "Kind",
    "Mishap",
    "Phone",
    "Received",
    "Rule",
    "run_hurried",
]
