"""On which call every observer is, who observes a call, and whose a phone's channel is.

Each is found at once, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.model.ids import CallId
from bridge.runtime.desk import Desk
from bridge.runtime.observer import ObserverEngine


@dataclass(eq=False, slots=True)
class Place:
    """Where an observer is. It changes by ``Whereabouts.move`` and ``sit`` alone."""

    engine: ObserverEngine
    call_id: CallId
    desk: Desk | None = None
    """Of a person on a phone."""
    channel_id: str = ""
    """Of his phone; as ``Whereabouts.sit`` notes it."""


class Whereabouts:
    """All observers; they may come, go and move while somebody goes through them."""

    def __init__(self) -> None:
        self._places: dict[CallId, Place] = {}
        self._on_call: dict[CallId, dict[CallId, Place]] = {}
        self._seats: dict[str, Place] = {}

    @property
    def ids(self) -> frozenset[CallId]:
        """The ids of all observers."""
        return frozenset(self._places)

    def __iter__(self) -> Iterator[Place]:
        return iter(tuple(self._places.values()))

    def get(self, observer_id: CallId) -> Place | None:
        """Return where an observer is."""
        return self._places.get(observer_id)

    def on(self, call_id: CallId) -> tuple[Place, ...]:
        """Return who is on a call, in the order in which they came to it."""
        return tuple(self._on_call.get(call_id, {}).values())

    def sitting(self, channel_id: str) -> Place | None:
        """Return whose own a channel is, or was, of those who are there."""
        return self._seats.get(channel_id)

    def add(self, place: Place) -> None:
        """Note an observer who was nowhere."""
        self._places[place.engine.observer_id] = place
        self._come(place)

    def move(self, place: Place, call_id: CallId) -> None:
        """Note that an observer is on another call now."""
        self._go(place)
        place.call_id = call_id
        self._come(place)

    def sit(self, place: Place, channel_id: str) -> None:
        """Note an observer's own channel, instead of the one that he may have had before.

        Of one who has gone meanwhile nothing is noted.
        """
        if self._places.get(place.engine.observer_id) is not place:
            return
        self._stand(place)
        place.channel_id = channel_id
        self._seats[channel_id] = place

    def remove(self, place: Place) -> None:
        """Forget an observer."""
        del self._places[place.engine.observer_id]
        self._stand(place)
        self._go(place)

    def _stand(self, place: Place) -> None:
        if self._seats.get(place.channel_id) is place:
            del self._seats[place.channel_id]

    def _come(self, place: Place) -> None:
        self._on_call.setdefault(place.call_id, {})[place.engine.observer_id] = place

    def _go(self, place: Place) -> None:
        here = self._on_call[place.call_id]
        del here[place.engine.observer_id]
        if not here:
            del self._on_call[place.call_id]
