"""Who is on which call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from bridge.model.ids import CallId
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.whereabouts import Place, Whereabouts

ONE, OTHER = CallId("000000000001"), CallId("000000000002")


def observer(number: int, call_id: CallId) -> Place:
    engine = SimpleNamespace(observer_id=CallId(f"{number:012x}"))
    return Place(cast("ObserverEngine", engine), call_id)


def test_observers_are_found_by_their_ids_and_by_their_calls() -> None:
    here, there, too = observer(1, ONE), observer(2, OTHER), observer(3, ONE)
    places = Whereabouts()
    for place in (here, there, too):
        places.add(place)
    assert list(places) == [here, there, too]
    assert places.get(there.engine.observer_id) is there
    assert (places.on(ONE), places.on(OTHER)) == ((here, too), (there,))
    for place in places.on(ONE):
        places.move(place, OTHER)
    assert (places.on(ONE), places.on(OTHER)) == ((), (there, here, too))
    assert too.call_id == OTHER
    for place in places:
        places.remove(place)
    assert (places.ids, places.on(OTHER)) == (frozenset(), ())
    assert places.get(there.engine.observer_id) is None
    assert places._on_call == {}


def test_whose_a_channel_is_is_found_until_he_has_gone() -> None:
    first, second = observer(1, ONE), observer(2, ONE)
    places = Whereabouts()
    for place in (first, second):
        places.add(place)
        assert places.sitting("") is None
    places.sit(first, "phone-1")
    places.sit(second, "phone-2")
    places.sit(second, "phone-3")
    assert [places.sitting(f"phone-{n}") for n in (1, 2, 3)] == [first, None, second]
    # Who was given away, and is had by another observer, is that one's.
    places.sit(second, "phone-1")
    places.remove(first)
    assert places.sitting("phone-1") is second
    places.remove(second)
    assert places.sitting("phone-1") is None
    places.sit(second, "phone-4")
    assert places.sitting("phone-4") is None
    assert places._seats == {}
