"""On which call every observer is, and who observes a call: found by either, however many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.model.ids import CallId
from bridge.runtime.desk import Desk
from bridge.runtime.observer import ObserverEngine


@dataclass(eq=False, slots=True)
class Place:
    """Where an observer is. It changes by ``Whereabouts.move`` alone."""

    engine: ObserverEngine
    call_id: CallId
    desk: Desk | None = None
    """Of a person on a phone."""


class Whereabouts:
    """All observers; they may come, go and move while somebody goes through them."""

    def __init__(self) -> None:
        self._places: dict[CallId, Place] = {}
        self._on_call: dict[CallId, dict[CallId, Place]] = {}

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

    def add(self, place: Place) -> None:
        """Note an observer who was nowhere."""
        self._places[place.engine.observer_id] = place
        self._come(place)

    def move(self, place: Place, call_id: CallId) -> None:
        """Note that an observer is on another call now."""
        self._go(place)
        place.call_id = call_id
        self._come(place)

    def remove(self, place: Place) -> None:
        """Forget an observer."""
        del self._places[place.engine.observer_id]
        self._go(place)

    def _come(self, place: Place) -> None:
        self._on_call.setdefault(place.call_id, {})[place.engine.observer_id] = place

    def _go(self, place: Place) -> None:
        here = self._on_call[place.call_id]
        del here[place.engine.observer_id]
        if not here:
            del self._on_call[place.call_id]
