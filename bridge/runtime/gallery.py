"""The observers of one call, as far as they hear one another: lines laid as soon as there are two.

It has no state machine: what is wanted follows from who is there and in which modes, and is looked
up anew whenever something has changed. Whatever fails leaves gates shut, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bridge.model.audibility import Cell, Gallery
from bridge.model.errors import ServerError
from bridge.model.ids import CallId
from bridge.model.modes import AudioMode, ObserverMode
from bridge.model.participants import Participant
from bridge.model.states import HangupCause
from bridge.runtime.agent import AgentMedia
from bridge.runtime.executor import Executor
from bridge.runtime.retry import Retry
from bridge.runtime.tasks import until_done
from bridge.topology.objects import Key

_log = logging.getLogger(__name__)

_MEND_SECONDS = 0.5
_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Member:
    """An observer who is on the call. He is a program or has a channel."""

    name: Participant
    modes: tuple[ObserverMode, ...]
    """The one in effect, and those that are on their way."""
    channel_id: str | None = None
    program: AgentMedia | None = None
    hears_coaching: bool = False

    def hears(self, other: Member) -> bool:
        """Tell whether he is to hear ``other`` now, or in a moment."""
        audible = {mode.mode for mode in other.modes}
        return AudioMode.BARGE in audible or (self.hears_coaching and AudioMode.WHISPER in audible)


def wanted_of(members: Iterable[Member]) -> Gallery:
    """Return what is wanted for these members. Pure."""
    there = list(members)
    cells: set[Cell] = {
        (one.name, other.name)
        for one in there
        for other in there
        if one is not other and one.hears(other)
    }
    if len(there) < _ENOUGH:
        return Gallery()
    return Gallery(
        seated=frozenset(m.name for m in there if m.channel_id is not None),
        programs=frozenset(m.name for m in there if m.channel_id is None),
        matrix=frozenset(cells),
    )


class GalleryEngine:
    """Keeps what stands in step with who is there. ``run()`` is the owner's task.

    members: asked for who is on the call whenever ``look()`` was called. programs: the mapping
    that the executor has; kept up to date here.
    """

    def __init__(
        self,
        gallery_id: CallId,
        executor: Executor,
        programs: dict[Participant, AgentMedia],
        members: Callable[[], Iterable[Member]],
    ) -> None:
        self.gallery_id = gallery_id
        self.executor = executor
        executor.may_open = self._may_open
        self._programs = programs
        self._members = members
        self._changed = asyncio.Event()
        self._laying: tuple[Gallery, asyncio.Task[None]] | None = None
        """What is being made to stand just now."""
        self._retry = Retry(self.look)
        self._met: dict[Participant, set[Participant]] = {}

    @property
    def wanted(self) -> Gallery:
        """What is wanted now."""
        return wanted_of(self._members())

    def look(self) -> None:
        """Something may have changed. Never blocks.

        A program that has left gets no line any more, and what is being laid just now is broken
        off: it would be laid for him, too. So it is if somebody is not to be heard any more who is:
        he does not wait for it.
        """
        there = {member.name: member.program for member in self._members()}
        left = [name for name, program in self._programs.items() if there.get(name) is not program]
        for name in left:
            del self._programs[name]
            for other in self._met.pop(name, set()):
                self.executor.line_lost(name, other)
        if self._laying is not None and (left or self._is_to_be_shut(self._laying[0])):
            self._laying[1].cancel()
        self._changed.set()

    def channel_gone(self, channel_id: str) -> None:
        """A channel of the gallery is gone: it is looked at, a moment later."""
        if self.executor.channel_gone(channel_id):
            asyncio.get_running_loop().call_later(_MEND_SECONDS, self.look)

    def reconnected(self) -> None:
        """Events were lost."""
        self.executor.doubt()
        self.look()

    async def run(self) -> None:
        """Keep up, until cancelled; nothing is left then."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._keep_up({member.name: member for member in self._members()})
        finally:
            self._retry.stop()
            self._introduce({})
            await self.executor.tear_down(HangupCause.NORMAL)

    async def _keep_up(self, members: Mapping[Participant, Member]) -> None:
        wanted = wanted_of(members.values())
        task = asyncio.ensure_future(self._arrange(wanted, members))
        self._laying = wanted, task
        try:
            await until_done(task)
        finally:
            self._laying = None
        if task.cancelled():
            self.executor.doubt()
        else:
            task.result()

    async def _arrange(self, wanted: Gallery, members: Mapping[Participant, Member]) -> None:
        self._introduce(members)
        channels = {m.name: m.channel_id for m in members.values() if m.channel_id is not None}
        self.executor.borrow_legs(channels)
        try:
            await self.executor.converge(wanted)
        except ServerError as error:
            _log.warning("observers do not all hear each other yet: %s", error)
            self.executor.doubt()
            self._retry.later()
        else:
            self._retry.succeeded()

    def _introduce(self, members: Mapping[Participant, Member]) -> None:
        """Let each program know to whom it may have lines, and what is to go there."""
        for name, program in self._programs.items():
            for gone in self._met.get(name, set()) - members.keys():
                program.forget(gone)
        for name, member in members.items():
            if member.program is None:
                continue
            self._programs[name] = member.program
            for other in members.values():
                if other is not member:
                    member.program.meet(
                        other.name,
                        hears_coaching=other.hears_coaching,
                        on_lost=self._lost(name, other.name),
                    )
            self._met[name] = set(members) - {name}

    def _may_open(self, end: Key) -> bool:
        """Tell whether somebody is still to hear what comes through an end of a line."""
        return _cell(end) in self.wanted.matrix

    def _is_to_be_shut(self, laying: Gallery) -> bool:
        """Tell whether somebody is heard who is not to be, other than when it was begun."""
        no_more = laying.matrix - self.wanted.matrix
        return any(_cell(end) in no_more for end in self.executor.stands.open_gates)

    def _lost(self, program: Participant, other: Participant) -> Callable[[], None]:
        def lost() -> None:
            self.executor.line_lost(program, other)
            self.look()

        return lost


def _cell(end: Key) -> Cell:
    """Return who hears whom through an end of a line."""
    kind, one, other = end.split(".")
    near, far = (other, one) if kind == "snoop" else (one, other)
    return Participant(near), Participant(far)
