"""Everything that happens, numbered, kept for a while, and handed to whoever wants it."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from bridge.api.auth.principal import Principal
from bridge.api.broadcast import Broadcaster, Limits
from bridge.api.told import told_of
from bridge.api.wire import text_frame
from bridge.model.errors import CallbridgeError
from bridge.model.states import CallState, EndReason
from bridge.protocol.frames import Event, Position
from bridge.protocol.permissions import Permission
from bridge.protocol.views import CallView, EventView
from bridge.runtime.listeners import tell
from bridge.sdk import Client, events

_log = logging.getLogger(__name__)

KEPT: Final = 10_000
"""Events that are kept, so that a watcher can go on where he was."""
CALLS_KEPT: Final = 5_000
"""Calls whose last views are kept: of events that come after the end of a call."""
SNAPSHOT_SECONDS: Final = 0.1
"""How long a list of all calls is good for, as long as nothing happens."""

EVERYBODYS: Final = frozenset({events.SERVER_LOST, events.SERVER_BACK})
"""Types of events that belong to no tenant, and are told to all."""
_RECORDED: Final = frozenset({events.RECORDING_ENDED, events.RECORDING_FAILED})


class Calls(Protocol):
    """Shows calls."""

    def call(self, call_id: str) -> CallView | None:
        """Return a live call as it is now, or None."""
        ...

    def calls(self) -> tuple[CallView, ...]:
        """Return all live calls as they are now."""
        ...

    def last(self, call_id: str) -> CallView | None:
        """Return a call as it was shown last, to whomever; None when that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it was told."""

    event: EventView
    frame: bytes
    """The same as a whole WebSocket frame, encoded once for all."""
    total: int
    """Bytes of the frames of all events up to this one."""


def sees(principal: Principal, event: EventView) -> bool:
    """Tell whether an event is somebody's business."""
    if event.type == events.AUDIT and not principal.may(Permission.SEE_AUDIT):
        return False
    if event.call_id is None and event.type in EVERYBODYS:
        return True
    return principal.sees(event.tenant, event.queue)


class EventHub:
    """Numbers events, keeps the newest, and calls ``listeners`` for each, in order, at once.

    A listener must not block; what it raises is logged. kept: how many are kept. clock: seconds
    since 1970. limits: when a watcher is too slow.
    """

    def __init__(
        self,
        views: Calls,
        *,
        kept: int = KEPT,
        clock: Callable[[], float] = time.time,
        epoch: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.epoch = epoch or secrets.token_hex(8)
        """Names this life."""
        self.seq = 0
        """Of the newest event."""
        self.total = 0
        """Bytes of the frames of all events so far."""
        self.listeners: list[Callable[[EventView], None]] = []
        self.broadcast = Broadcaster(self, limits)
        """Tells those who watch over a socket."""
        self.enders: set[Callable[[], None]] = set()
        """Each closes somebody's socket, and tells him that the daemon is about to stop."""
        self._views = views
        self._clock = clock
        self._size = kept
        self._ring: list[Kept | None] = [None] * kept
        self._calls: OrderedDict[str, CallView] = OrderedDict()
        self._snapshot: tuple[int, float, tuple[CallView, ...]] = (-1, 0.0, ())

    @property
    def position(self) -> Position:
        """The newest event."""
        return Position(epoch=self.epoch, seq=self.seq)

    @property
    def oldest(self) -> int:
        """The seq of the oldest event that is kept; that of the next one when there is none."""
        return max(1, self.seq - self._size + 1)

    # --- what happens ---------------------------------------------------------------------------

    def watch(self, client: Client) -> None:
        """Tell everything that a client tells. Before its ``connect()``."""
        client.tap(self._happened)

    def publish(
        self,
        kind: str,
        /,
        *,
        call_id: str | None = None,
        tenant: str = "",
        queue: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell something that no event of the SDK tells.

        tenant, queue: whose business it is, should it be of no call: by default nobody's but of
        who sees all tenants.
        """
        view = self._view(call_id) if call_id is not None else None
        self._tell(kind, call_id, view, dict(data or {}), (tenant, queue))

    def _happened(self, kind: str, *arguments: object) -> None:
        told = told_of(kind, arguments)
        view = self._view(told.call_id) if told.call_id is not None else None
        if kind in {events.CALL_TERMINATED, events.LIVE_CALL_ENDED} and told.call_id is not None:
            view = self._ended(told.call_id, view, told.data.get("reason"))
        elif kind in _RECORDED and view is not None:
            view = self._recorded(view, told.data["recording_id"])
        if view is not None and view.transfer is not None and str(kind).startswith("TRANSFER_"):
            told.data["transfer_id"] = view.transfer.transfer_id
        self._tell(str(kind), told.call_id, view, told.data, ("", ""))

    def _tell(
        self,
        kind: str,
        call_id: str | None,
        view: CallView | None,
        data: dict[str, Any],
        scope: tuple[str, str],
    ) -> None:
        tenant, queue = scope if view is None else (view.tenant, view.queue)
        event = EventView(
            seq=self.seq + 1,
            epoch=self.epoch,
            at=self._clock(),
            type=kind,
            call_id=call_id,
            tenant=tenant,
            queue=queue,
            call=view,
            data=data,
        )
        frame = text_frame(msgspec.json.encode(Event(event=event)))
        self.seq += 1
        self.total += len(frame)
        self._ring[self.seq % self._size] = Kept(event, frame, self.total)
        tell(self.listeners, _log, f"a listener at event {kind}", event)

    def _view(self, call_id: str) -> CallView | None:
        """Return a call as it is, or, when it is over, as it was last."""
        last = self._views.last(call_id)
        try:
            view = self._views.call(call_id)
        except CallbridgeError as error:
            _log.debug("call %s cannot be shown: %s", call_id, error)
            view = None
        if view is None:
            told = self._calls.get(call_id)
            # Whose it is may have become known after what was told of it last.
            is_newer = last is not None and (told is None or told.revision < last.revision)
            return last if is_newer else told
        self._calls[call_id] = view
        self._calls.move_to_end(call_id)
        if len(self._calls) > CALLS_KEPT:
            self._calls.popitem(last=False)
        return view

    def _ended(
        self, call_id: str, view: CallView | None, reason: EndReason | None
    ) -> CallView | None:
        """Return the last view of a call. One that the agent left goes on, and is no such."""
        if view is None or self._is_live(call_id):
            return view
        over = msgspec.structs.replace(
            view,
            state=CallState.DISCONNECTED,
            end_reason=reason or view.end_reason,
            revision=view.revision + 1,
        )
        self._calls[call_id] = over
        return over

    def _recorded(self, view: CallView, recording_id: str) -> CallView:
        """Return a call without a recording that goes on no longer: it may outlive the call."""
        left = tuple(one for one in view.recordings if one.recording_id != recording_id)
        if left == view.recordings:
            return view
        later = msgspec.structs.replace(view, recordings=left, revision=view.revision + 1)
        self._calls[view.call_id] = later
        return later

    def _is_live(self, call_id: str) -> bool:
        try:
            return self._views.call(call_id) is not None
        except CallbridgeError:
            return False

    def close(self) -> None:
        """Close all sockets: the daemon is about to stop."""
        for end in list(self.enders):
            end()

    # --- what happened --------------------------------------------------------------------------

    def kept(self, seq: int) -> Kept | None:
        """Return an event by its number; None when it is not kept any more, or not yet told."""
        if not self.oldest <= seq <= self.seq:
            return None
        return self._ring[seq % self._size]

    def since(self, seq: int) -> Iterator[EventView]:
        """Return the events behind ``seq`` that are kept, in order."""
        for number in range(max(seq + 1, self.oldest), self.seq + 1):
            if (kept := self.kept(number)) is not None:
                yield kept.event

    def can_resume(self, after: Position) -> bool:
        """Tell whether everything behind ``after`` is kept."""
        return after.epoch == self.epoch and self.oldest - 1 <= after.seq <= self.seq

    def calls(self) -> tuple[CallView, ...]:
        """Return all live calls; for many who ask at once it is looked up once."""
        seq, at, calls = self._snapshot
        now = time.monotonic()
        if seq != self.seq or now - at > SNAPSHOT_SECONDS:
            calls = self._views.calls()
            self._snapshot = (self.seq, now, calls)
        return calls
