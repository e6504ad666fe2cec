"""The voice of one observer: what he says, to whom, in the order in which he said it.

A shell around Outbox (what) and Pacer (when). It has no task: it runs in the calls of its user and
in one timer of the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bridge.media.outbox import SILENT, Barrier, Frame, Outbox, Route
from bridge.media.pacing import DEFAULT_LEAD, FAR_LEAD, Correction, Pacer, Refill
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.errors import CallClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.media.outbox import Dropped
    from bridge.media.pcm import AudioFormat
    from bridge.media.socket import QueueStatus

PLAYED_TIMEOUT: Final = 0.5
"""Seconds beyond the model's end that a mark may take before its line is flushed."""

_MARK_EVERY: Final = 1.0
_MAX_SKEW: Final = 3 * DEFAULT_LEAD
"""Seconds that the deepest line of a route may run deeper than the others."""
_MARK_AHEAD: Final = 0.010
"""Seconds before a line's modelled end: a mark that comes after the end finds the next tick only,
and by then late audio may be behind it that hides that the line ran dry."""


class Outlet(Protocol):
    """Where a line's frames go; MediaSocket is one. Nothing of it blocks or raises."""

    @property
    def closed(self) -> bool:
        """Nothing can be sent."""

    @property
    def xoff(self) -> bool:
        """The far queue is nearly full."""

    def send_frame(self, pcm: bytes) -> bool:
        """Send a frame of 20 ms; tell whether it was taken."""

    def mark(self) -> asyncio.Future[float | None]:
        """Get the event loop's time when all before this was played, or None if it never will."""

    def ask(self) -> asyncio.Future[QueueStatus]:
        """Ask how much is queued; the future gets MediaError if that will never be known."""

    def flush(self) -> None:
        """Drop what is queued."""


@dataclass(slots=True)
class VoiceCounts:
    """What became of the frames. They only grow."""

    frames: int = 0
    """Frames that left the buffer."""
    padded: int = 0
    """Of these, filled up with silence."""
    lost: dict[str, int] = field(default_factory=dict)
    """Frames that a line did not take (gone, closed or choked), by line."""
    resynced: int = 0
    """How often Asterisk's queue was far deeper than modelled."""
    unplayed: int = 0
    """Lines flushed because a mark did not come back in time."""
    refilled: int = 0
    """How often speech that ran dry was held back to get a cushion."""


@dataclass(slots=True)
class _Line:
    outlet: Outlet
    pacer: Pacer
    groups: Route = SILENT
    unconfirmed: bool = False
    """Frames were sent that no mark has shown to be played."""
    sent: int = 0
    marked_at: float = 0.0
    mark: asyncio.Future[float | None] | None = None
    asked: asyncio.Future[QueueStatus] | None = None


class Voice:
    """Sends an observer's audio into the lines of its route.

    seconds: how much audio is buffered here; lead: seconds that Asterisk's queue is kept filled
    with; far_lead: the same from when more than that is buffered until nothing is. Lines come and
    go with ``add_line`` and ``remove_line``; their sockets stay the caller's to close. It starts
    silent. Must be made and used in one running event loop.
    The first frame goes at once: speech sent in real time has no cushion at first, and gets one
    when it first comes late (see Refill); what is sent faster is never interrupted.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        *,
        seconds: float = 120.0,
        lead: float = DEFAULT_LEAD,
        far_lead: float = FAR_LEAD,
    ) -> None:
        self._format = audio_format
        self._lead = lead
        self._far_lead = far_lead
        self._far = False
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(audio_format, seconds=seconds)
        self._refill = Refill()
        self._route: Route = SILENT
        self._lines: dict[str, _Line] = {}
        # Paces what is routed to lines that are all gone: said to nobody, in the same time.
        self._nobody = Pacer(lead=lead)
        self._timer: asyncio.TimerHandle | None = None
        self._tokens = itertools.count(1)
        self._reached: dict[int, asyncio.Future[None]] = {}
        self._failed: set[int] = set()
        self._latest = 0
        self._changing = asyncio.Lock()
        self._dry = asyncio.Event()
        self._dry.set()
        self._closed = False
        self.counts = VoiceCounts()

    @property
    def route(self) -> Route:
        """The lines that audio sent now will go to."""
        return self._route

    @property
    def dropped(self) -> Dropped:
        """Bytes that were sent and not heard, by reason."""
        return self._outbox.dropped

    @property
    def buffered_bytes(self) -> int:
        """Bytes of audio that were sent and not yet played: here and in Asterisk's queue."""
        now = self._loop.time()
        depth = max((line.pacer.depth(now) for line in self._lines.values()), default=0.0)
        return self._outbox.size_bytes + round(depth * self._format.rate) * 2

    def add_line(self, key: str, outlet: Outlet, groups: Route = SILENT) -> None:
        """Let routes that name ``key`` reach ``outlet``; one that was there is replaced.

        groups: names that begin with "@", of which several lines may have the same; a route that
        names one reaches all lines that have it.
        """
        lead = self._far_lead if self._far else self._lead
        self._lines[key] = _Line(outlet, Pacer(lead=lead), groups)
        self._run()

    def remove_line(self, key: str) -> None:
        """Forget a line; audio routed to it is dropped for it alone. Unknown keys are ignored."""
        self._lines.pop(key, None)
        self._run()

    def send(self, pcm: bytes | bytearray | memoryview) -> int:
        """Say ``pcm`` (s16le, mono, any length) to the lines of the route; return the bytes taken.

        In silence (spy) it is dropped and counted. Raises BadArgumentError for half a sample,
        BufferFullError when it does not fit, CallClosedError after ``aclose()``.
        """
        if self._closed:
            raise CallClosedError("the observer has left the call: nothing can be said any more")
        was_dry = not self._outbox.size_bytes
        taken = self._outbox.send(pcm, self._route)
        if taken:
            if was_dry:
                self.counts.refilled += self._refill.resume(
                    self._loop.time(), self._dry_at(), self._format.seconds(taken)
                )
            self._dry.clear()
            self._look_ahead()
            self._run()
        return taken

    def clear(self) -> int:
        """Fall silent within two frames: drop all that is not yet played; return those bytes.

        Changes of mode that wait behind the audio stay, and happen now.
        """
        dropped = self.buffered_bytes
        in_asterisk = dropped - self._outbox.clear()
        self._outbox.dropped.cleared += in_asterisk
        self._refill.begin_anew()
        now = self._loop.time()
        for line in self._lines.values():
            self._flush(line, now)
        self._nobody.flushed(now)
        self._run()
        return dropped

    async def change(
        self,
        route: Route,
        *,
        prepare: Callable[[], Awaitable[object]],
        settle: Callable[[], Awaitable[object]],
        cut: bool = False,
    ) -> None:
        """Speak to ``route`` from now on; return when the change is in effect.

        What was sent before is heard first, where it was sent to, unless ``cut`` drops it. Then
        ``prepare`` opens the way to lines that are new in the route, and only when it returned is
        anything sent to them. When the lines that left the route have played their last frame,
        ``settle`` may close the way to them. Whatever prevents the change leaves the observer
        silent: audio sent for this mode is dropped and counted, and the error is raised here.
        Changes happen one after another, in the order of the calls.
        """
        if self._closed:
            raise CallClosedError("the observer has left the call: its mode cannot change")
        if cut:
            self.clear()
        token = next(self._tokens)
        reached: asyncio.Future[None] = self._loop.create_future()
        self._reached[token] = reached
        self._latest = token
        self._route = route
        self._outbox.barrier(token)
        self._refill.begin_anew()
        self._dry.clear()
        self._run()
        try:
            async with self._changing:
                await reached
                before = self._outbox.allowed
                await prepare()
                self._outbox.release(token, route)
                self._refill.begin_anew()
                self._reached.pop(token, None)
                self._run()
                await self._played(before - route)
                await settle()
        except BaseException:
            self._fail(token)
            raise

    async def drain(self) -> None:
        """Wait until all that was sent has been played."""
        while not self._dry.is_set() or any(
            line.unconfirmed for line in self._live(frozenset(self._lines))
        ):
            await self._dry.wait()
            await self._played(frozenset(self._lines))

    async def aclose(self) -> None:
        """Fall silent for good. Changes on their way raise CallClosedError."""
        if self._closed:
            return
        self._closed = True
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for reached in self._reached.values():
            if not reached.done():
                reached.set_exception(CallClosedError("the observer left the call meanwhile"))
        self._dry.set()
        self._route = SILENT

    def _fail(self, token: int) -> None:
        """Keep everything of a change silent that did not come to be."""
        if self._reached.pop(token, None) is None:
            # It was released: the new mode is in effect, only its tidying up failed.
            return
        if token == self._latest:
            self._route = SILENT
        if self._outbox.held == token:
            self._outbox.release(token, SILENT)
            self._run()
        else:
            self._failed.add(token)

    def _run(self) -> None:
        """Send all that may go now, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        while (at := self._next_at(now := self._loop.time())) is not None and at <= now:
            item = self._outbox.next(now, self._busy_until())
            if isinstance(item, Barrier):
                self._reach(item.token)
            elif item is not None:
                self._say(item, now)
        if not self._outbox.size_bytes and not self._outbox.waiting:
            self._dry.set()
        self._look_ahead()
        if at is None:
            at = self._mark_dry(now)
        if at is not None:
            self._timer = self._loop.call_at(at, self._run)

    def _look_ahead(self) -> None:
        """Keep the lines filled for longer once much is buffered, and until nothing is."""
        waiting = self._format.seconds(self._outbox.size_bytes)
        far = waiting > self._far_lead or (self._far and waiting > 0)
        if far is not self._far:
            self._far = far
            for line in self._lines.values():
                line.pacer.lead = self._far_lead if far else self._lead

    def _next_at(self, now: float) -> float | None:
        """When the head of the outbox may go; None if nothing will without another call."""
        ready = self._outbox.ready_at(now, self._busy_until())
        if ready is None:
            return None
        route = self._outbox.head_route
        if route is None:
            return max(ready, self._nearly_played_at())
        pacers = [line.pacer for line in self._live(route)] or [self._nobody]
        shallow = min(pacer.due_at for pacer in pacers)
        # A line that joins the route starts empty and is filled up while the others run deeper;
        # the deepest bounds how far.
        deep = max(pacer.due_at for pacer in pacers) - _MAX_SKEW
        return max(ready, shallow, deep, self._refill.until)

    def _nearly_played_at(self) -> float:
        """When a change of mode is due: as soon as the audio before it leaves but the least lead.

        What stands behind it may go to a line that has nothing queued, and would be heard there
        while the end of what was said before it is still waiting.
        """
        ends = (line.pacer.queue_end for line in self._live(self._outbox.allowed))
        return min(ends, default=-math.inf) - self._lead - FRAME_SECONDS

    def _busy_until(self) -> float:
        """When the lines that the head goes to will have run out."""
        lines = self._live(self._outbox.head_route or SILENT)
        return min((line.pacer.queue_end for line in lines), default=self._nobody.queue_end)

    def _live(self, route: Route) -> list[_Line]:
        """Lines of the route that take audio."""
        lines = [line for key, line in self._lines.items() if key in route or line.groups & route]
        return [line for line in lines if not line.outlet.closed and not line.outlet.xoff]

    def _named(self, route: Route) -> set[str]:
        """Return the keys of all lines that a route means, gone ones too."""
        grouped = {key for key, line in self._lines.items() if line.groups & route}
        return grouped | {key for key in route if not key.startswith("@")}

    def _dry_at(self) -> float | None:
        """The tick at which the first line of the route runs dry, as far as it was measured."""
        ends = (line.pacer.measured_end for line in self._live(self._route))
        return min((end for end in ends if end is not None), default=None)

    def _reach(self, token: int) -> None:
        """Tell the change that waits for this barrier, or pass it in silence if it failed."""
        if token in self._failed:
            self._failed.discard(token)
            self._outbox.release(token, SILENT)
            return
        reached = self._reached[token]
        if not reached.done():
            reached.set_result(None)

    def _say(self, frame: Frame, now: float) -> None:
        """Write one frame into every line of its route."""
        self.counts.frames += 1
        self.counts.padded += bool(frame.padding)
        heard = False
        for key in self._named(frame.route):
            line = self._lines.get(key)
            if line is not None and line.outlet.xoff:
                # 18 s of backlog would never drain by itself, and only delay all that follows.
                self._flush(line, now)
            if line is None or not line.outlet.send_frame(frame.pcm):
                self.counts.lost[key] = self.counts.lost.get(key, 0) + 1
                continue
            heard = True
            if not line.unconfirmed:
                line.marked_at = now
            line.sent += 1
            line.unconfirmed = True
            line.pacer.sent(now)
            if now - line.marked_at >= _MARK_EVERY and line.mark is None:
                self._mark(line, now)
        if not heard:
            self._nobody.sent(now)

    def _mark(self, line: _Line, now: float) -> asyncio.Future[float | None]:
        """Ask when the frames so far were played, and correct the line's model by it.

        The answer is also how a line is seen to have run dry: nothing stood behind the mark.
        """
        expected = line.pacer.queue_end
        sent = line.sent
        # A queue that has run dry answers at Asterisk's next tick: that says nothing of its end.
        measures = expected > now
        mark = line.mark = line.outlet.mark()
        line.marked_at = now

        def played(done: asyncio.Future[float | None]) -> None:
            if line.mark is done:
                line.mark = None
            at = None if done.cancelled() else done.result()
            if at is None:
                return
            if line.sent == sent:
                line.unconfirmed = False
                if measures:
                    line.pacer.ran_dry(at)
                return
            if measures and line.pacer.correct(at - expected) is Correction.DOUBTED:
                self._ask(line)
            self._run()

        mark.add_done_callback(played)
        return mark

    def _ask(self, line: _Line) -> None:
        """Ask Asterisk itself how deep a line is, and take that over if it is far too deep."""
        if line.asked is not None:
            return
        at = self._loop.time()
        expected = line.pacer.queue_end
        asked = line.asked = line.outlet.ask()

        def told(done: asyncio.Future[QueueStatus]) -> None:
            if line.asked is not done:
                return
            line.asked = None
            if done.cancelled() or done.exception() is not None:
                return
            if line.pacer.count(done.result().queue_length, at, expected):
                self.counts.resynced += 1
                self._run()

        asked.add_done_callback(told)

    def _mark_dry(self, now: float) -> float | None:
        """Mark the ends of lines that ran dry, so that a later change need not wait for them.

        Returns when to look again, or None.
        """
        again: list[float] = []
        for line in self._lines.values():
            if line.outlet.closed or not line.unconfirmed or line.mark is not None:
                continue
            if line.pacer.queue_end - _MARK_AHEAD <= now:
                self._mark(line, now)
            else:
                again.append(line.pacer.queue_end - _MARK_AHEAD)
        return min(again, default=None)

    def _flush(self, line: _Line, now: float) -> None:
        if line.unconfirmed:
            line.outlet.flush()
            line.pacer.flushed(now)
            line.unconfirmed = False
            line.mark = line.asked = None

    async def _played(self, route: Route) -> None:
        """Wait until these lines have played all they were given; flush one that does not."""
        now = self._loop.time()
        waiting = [
            (line, self._mark(line, now), line.pacer.depth(now))
            for line in self._live(route)
            if line.unconfirmed
        ]
        for line, mark, depth in waiting:
            _, late = await asyncio.wait({mark}, timeout=depth + PLAYED_TIMEOUT)
            if late:
                self.counts.unplayed += 1
                self._flush(line, self._loop.time())
