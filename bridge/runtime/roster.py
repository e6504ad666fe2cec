"""The calls that are going on, and whose channels are whose."""

from __future__ import annotations

from bridge.model.ids import CallId
from bridge.runtime.engine import CallEngine
from bridge.runtime.names import Names


class Roster:
    """Finds calls by their ids, and by the channels that belong to them."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._engines: dict[CallId, CallEngine] = {}
        self._by_channel: dict[str, CallEngine] = {}
        """Of channels whose ids do not tell whose they are, too."""

    @property
    def engines(self) -> tuple[CallEngine, ...]:
        """The calls that are going on."""
        return tuple(self._engines.values())

    @property
    def ids(self) -> frozenset[CallId]:
        """Their ids."""
        return frozenset(self._engines)

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call that is going on."""
        return self._engines.get(call_id)

    def knows(self, channel_id: str) -> bool:
        """Tell whether a channel is known to be a leg of a call."""
        return channel_id in self._by_channel

    def engine_of(self, channel_id: str) -> CallEngine | None:
        """Return the call that a channel belongs to."""
        if (engine := self._by_channel.get(channel_id)) is not None:
            return engine
        name = self._names.read(channel_id)
        return None if name is None else self._engines.get(name.call)

    def add(self, engine: CallEngine) -> None:
        """Note a call, and its caller's channel."""
        self._engines[engine.incoming.call_id] = engine
        self.note_leg(engine.incoming.channel_id, engine)

    def note_leg(self, channel_id: str, engine: CallEngine) -> None:
        """Note that a channel is a leg of a call."""
        self._by_channel[channel_id] = engine

    def remove(self, engine: CallEngine) -> None:
        """Forget a call that is over."""
        del self._engines[engine.incoming.call_id]
        for channel_id in [c for c, e in self._by_channel.items() if e is engine]:
            del self._by_channel[channel_id]
