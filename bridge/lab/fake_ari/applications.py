"""The ARI applications of the fake server: who is told of what.

An application hears of the channels and bridges it is subscribed to: by asking, by having made
them, and by having them in it. One that subscribes to all of them hears of everything, but not of
other applications' StasisStart and StasisEnd (measured on 22.10.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bridge.lab.fake_ari.objects import Json, Refusal, now_text

ASTERISK_ID = "00:00:5e:00:53:01"
EVERYTHING = frozenset({"channel", "bridge", "endpoint", "deviceState"})
"""What subscribeAll stands for."""
Send = Callable[[str, Json], None]
"""Sends an event to an application's socket: the application's name and the event."""


@dataclass(eq=False)
class Application:
    """One application."""

    name: str
    connected: bool = False
    everything: set[str] = field(default_factory=set)
    """Of which kinds it is told all: ``channel``, ``bridge``, ``endpoint``, ``deviceState``."""
    channels: Counter[str] = field(default_factory=Counter)
    """How often it is subscribed to each channel."""
    bridges: Counter[str] = field(default_factory=Counter)
    endpoints: set[str] = field(default_factory=set)
    allowed: frozenset[str] = frozenset()
    """Types of events that it wants; empty: all."""
    disallowed: frozenset[str] = frozenset()

    def wants(self, kind: str) -> bool:
        """Tell whether its event filter lets a type of event pass."""
        return (not self.allowed or kind in self.allowed) and kind not in self.disallowed

    def json(self) -> Json:
        """Return what ARI tells of it."""

        def ids(kind: str, topic: str, own: Iterable[str]) -> list[str]:
            return [f"__AST_{topic}_ALL_TOPIC"] if kind in self.everything else list(own)

        return {
            "name": self.name,
            "channel_ids": ids("channel", "CHANNEL", self.channels),
            "bridge_ids": ids("bridge", "BRIDGE", self.bridges),
            "endpoint_ids": ids("endpoint", "ENDPOINT", sorted(self.endpoints)),
            "device_names": ids("deviceState", "DEVICE_STATE", ()),
            "events_allowed": [{"type": kind} for kind in sorted(self.allowed)],
            "events_disallowed": [{"type": kind} for kind in sorted(self.disallowed)],
        }


class Applications:
    """All applications that are registered, or still hold a subscription."""

    def __init__(self, send: Send) -> None:
        self.known: dict[str, Application] = {}
        self._send = send

    def connect(self, name: str, *, subscribe_all: bool = False) -> None:
        """Register an application, or the next socket of one."""
        application = self.known.setdefault(name, Application(name))
        application.connected = True
        if subscribe_all:
            application.everything |= EVERYTHING

    def disconnect(self, name: str) -> None:
        """Note that an application's socket is gone; it is forgotten unless it owns something."""
        application = self.known.get(name)
        if application is None:
            return
        application.connected = False
        application.everything.clear()
        self._forget_idle(application)

    def is_active(self, name: str) -> bool:
        """Tell whether channels may enter this application."""
        application = self.known.get(name)
        return application is not None and application.connected

    def wants(self, name: str, kind: str) -> bool:
        """Tell whether an application's filter lets a type of message pass."""
        application = self.known.get(name)
        return application is None or application.wants(kind)

    def get(self, name: str) -> Application:
        """Return an application or refuse with 404."""
        application = self.known.get(name)
        if application is None:
            raise Refusal(404, "Application not found")
        return application

    def follow_channel(self, name: str, identity: str) -> None:
        """Subscribe an application to a channel, once more."""
        if name in self.known:
            self.known[name].channels[identity] += 1

    def unfollow_channel(self, name: str, identity: str) -> None:
        """Take one subscription to a channel back."""
        if name in self.known:
            _decrement(self.known[name].channels, identity)

    def follow_bridge(self, name: str, identity: str) -> None:
        """Subscribe an application to a bridge, once more."""
        if name in self.known:
            self.known[name].bridges[identity] += 1

    def unfollow_bridge(self, name: str, identity: str) -> None:
        """Take one subscription to a bridge back."""
        if name in self.known:
            _decrement(self.known[name].bridges, identity)

    def channel_gone(self, identity: str) -> None:
        """Forget a channel."""
        for application in list(self.known.values()):
            application.channels.pop(identity, None)
            self._forget_idle(application)

    def bridge_gone(self, identity: str) -> None:
        """Forget a bridge."""
        for application in list(self.known.values()):
            application.bridges.pop(identity, None)
            self._forget_idle(application)

    def publish(self, event: Json, channels: Sequence[str] = (), bridge: str = "") -> None:
        """Send an event to whoever is subscribed to one of these channels or to this bridge."""
        kind = str(event["type"])
        now = now_text()
        for application in self.known.values():
            subscribed = (
                ("channel" in application.everything and channels)
                or ("bridge" in application.everything and bridge)
                or any(application.channels[identity] > 0 for identity in channels)
                or application.bridges[bridge] > 0
            )
            if subscribed:
                self._to(application, kind, event, now)

    def tell(self, name: str, event: Json) -> None:
        """Send an event to one application."""
        application = self.known.get(name)
        if application is not None:
            self._to(application, str(event["type"]), event, now_text())

    def _to(self, application: Application, kind: str, event: Json, now: str) -> None:
        if application.connected and application.wants(kind):
            name = application.name
            envelope: Json = {"application": name, "timestamp": now, "asterisk_id": ASTERISK_ID}
            self._send(name, {**event, **envelope})

    def _forget_idle(self, application: Application) -> None:
        idle = not (application.channels or application.bridges or application.endpoints)
        if idle and not application.connected:
            self.known.pop(application.name, None)


def _decrement(counts: Counter[str], identity: str) -> None:
    counts[identity] -= 1
    if counts[identity] <= 0:
        del counts[identity]


def read_filter(application: Application, body: object) -> None:
    """Set an application's event filter as ARI does. Raises Refusal 400.

    Of ``allowed`` and ``disallowed`` only what is there is set; with neither, both are cleared.
    """
    given = body if isinstance(body, dict) else {}
    sets = {name: _types(given[name]) for name in ("allowed", "disallowed") if name in given}
    if not sets:
        sets = {"allowed": frozenset(), "disallowed": frozenset()}
    application.allowed = sets.get("allowed", application.allowed)
    application.disallowed = sets.get("disallowed", application.disallowed)


def _types(value: object) -> frozenset[str]:
    entries = value if isinstance(value, list) else [value]
    types = [entry.get("type") if isinstance(entry, dict) else None for entry in entries]
    if any(not isinstance(kind, str) for kind in types):
        raise Refusal(400, "Invalid format definition")
    return frozenset(str(kind) for kind in types)
