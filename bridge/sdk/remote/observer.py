"""One who takes part in a call at a daemon beside its parties."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Final, Literal

import msgspec

from bridge.directory import LiveCall
from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CallNotFoundError,
    InvalidStateError,
    NotFoundError,
)
from bridge.model.modes import AudioMode
from bridge.protocol import operations, requests
from bridge.protocol.operations import Operation
from bridge.protocol.requests import Request
from bridge.protocol.views import EventView, ObserverView
from bridge.sdk import events
from bridge.sdk.events import ObserverEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.observer import Observer
from bridge.sdk.remote.host import Host
from bridge.sdk.remote.http import USUAL_SECONDS
from bridge.sdk.remote.shown import live_call_of
from bridge.session.observer.effects import LeftReason

_TOLD_SECONDS: Final = 2.0


class RemoteObserver(Observer):
    """An observer of a call at a daemon: see Observer."""

    def __init__(self, view: ObserverView, host: Host) -> None:
        self._host = host
        self._view = view
        self.is_own = False
        """This client has placed him, and takes him along when it leaves."""
        self._handlers = Handlers(owner=host.handlers)
        self._left: LeftReason | None = None
        self._coaches: str | None = None
        self._ended = asyncio.Event()
        self._audio = host.audio(lambda: (self.call_id, view.name))
        if view.left is not None:
            self.finish(LeftReason(view.left))

    # --- what he is -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """His name, of which there is one on a call."""
        return self._view.name

    @property
    def phone(self) -> str:
        """The endpoint of his phone, such as ``PJSIP/1003``; empty for a program."""
        return self._view.phone

    @property
    def call_id(self) -> str:
        """The call that he observes, or observed last."""
        return self._view.call_id

    @property
    def call(self) -> LiveCall | None:
        """The call as it is now; None when it is over."""
        view = self._host.view_of(self.call_id)
        return None if view is None else live_call_of(view)

    @property
    def mode(self) -> AudioMode:
        """The mode in effect."""
        return self._view.mode

    @property
    def whispers_to(self) -> frozenset[str]:
        """Who hears him in whisper mode; empty in the others."""
        return frozenset(self._view.whispers_to)

    @property
    def parties(self) -> frozenset[str]:
        """The roles of those who take part in the call: ``caller``, ``callee``, ``party3``."""
        view = self._host.view_of(self.call_id)
        return frozenset(party.name for party in view.parties if party.joined) if view else _NOBODY

    @property
    def left(self) -> LeftReason | None:
        """Why he takes part no longer; None while he does."""
        return self._left

    # --- commands -------------------------------------------------------------------------------

    async def spy(self, *, cut: bool = False) -> None:
        """Be heard by nobody. What a program sent before is heard first, unless ``cut``."""
        await self._turn_to("spy", cut=cut)

    async def whisper(self, to: str | Collection[str] | None = None, *, cut: bool = False) -> None:
        """Be heard by ``to`` alone: roles, extensions, numbers or channels of parties."""
        to = self._coaches if to is None else to
        names = None if to is None else [to] if isinstance(to, str) else sorted(to)
        if names is not None and not names:
            raise BadArgumentError("whisper to nobody: name a party, such as 'callee'")
        await self._turn_to("whisper", cut=cut, to=names)

    def coach(self, target: str) -> None:
        """Let ``whisper()`` mean by default whom an extension means, or else the callee."""
        view = self._host.view_of(self.call_id)
        at = () if view is None else live_call_of(view).at(target)
        self._coaches = at[0] if len(at) == 1 else None

    async def barge(self, *, cut: bool = False) -> None:
        """Be heard by everybody on the call."""
        await self._turn_to("barge", cut=cut)

    async def take_over(self, replaced: str | None = None, *, keep: bool = True) -> None:
        """Speak in the place of the agent: of ``replaced``."""
        who = self._coaches if replaced is None else replaced
        await self._act(operations.TAKE_OVER, requests.TakeOver(replaced=who, keep=keep))

    async def give_back(self) -> None:
        """Undo a takeover: who was replaced, and kept, speaks again."""
        await self._act(
            operations.GIVE_BACK, requests.GiveBack(), seconds=self._audio.patience_seconds
        )

    async def next(self) -> str:
        """Go to the next live call, as a spy, and return its id. A phone is not hung up."""
        await self._act(operations.MOVE_OBSERVER, requests.Move())
        return self.call_id

    async def move_to(self, target: str) -> None:
        """Go to another call, as a spy. target: as in ``client.observe``."""
        await self._act(operations.MOVE_OBSERVER, requests.Move(to=target))

    async def leave(self, *, cut: bool = False) -> None:
        """Take part no longer, after the last word that was sent unless ``cut``. Idempotent."""
        if self._left is not None:
            return

        async def dismiss(said: requests.Leave) -> None:
            await self._host.http.tell(
                operations.DISMISS_OBSERVER,
                query=said,
                seconds=self._audio.patience_seconds,
                call_id=self.call_id,
                observer=self.name,
            )

        # He may have gone by himself, or his call may have ended.
        with contextlib.suppress(NotFoundError, CallNotFoundError, CallClosedError):
            await self._audio.in_order(requests.Leave(cut=cut), dismiss)
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self.finish(LeftReason.LEFT)

    async def wait_left(self) -> LeftReason:
        """Wait until he takes part no longer; return why."""
        await self._ended.wait()
        return self._left or LeftReason.FAILED

    # --- audio of a program ---------------------------------------------------------------------

    async def send_audio(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say ``pcm`` to whoever hears him now; see ``ActiveCall.send_audio``."""
        self._require_audio()
        self._require_there()
        await self._audio.send(pcm)

    def clear_send_audio_buffer(self) -> None:
        """Fall silent as soon as the daemon hears of it: what is queued is dropped and counted."""
        self._require_audio()
        self._audio.clear()

    def get_send_audio_buffer_size(self) -> int:
        """Bytes that were sent and not yet played, by what the daemon told last (100 ms)."""
        self._require_audio()
        return self._audio.unplayed

    @property
    def dropped_audio(self) -> Dropped:
        """Bytes that were sent and not heard, by reason."""
        self._require_audio()
        return self._audio.dropped

    def audio_stream(self, speaker: str | None = None, *, max_seconds: float = 10.0) -> AudioStream:
        """Hear the call: frames of 20 ms, from now on; see ``ActiveCall.audio_stream``."""
        self._require_audio()
        stream = self._audio.subscribe(speaker, max_seconds)
        if self._left is not None:
            stream.end()
        return stream

    def attend(self) -> None:
        """Stay for as long as this client is there, which has placed him.

        A program needs its audio open for that; a phone stays by itself.
        """
        self.is_own = True
        if not self._view.phone and self._left is None:
            self._audio.attend()

    # --- what the daemon tells ------------------------------------------------------------------

    def see(self, view: ObserverView) -> None:
        """Take a view, unless a newer one is known."""
        if view.revision < self._view.revision:
            return
        self._view = view
        if view.left is not None:
            self.finish(LeftReason(view.left))

    def told(self, event: EventView) -> None:
        """Take an event about him, and tell it to those who listen."""
        now = () if event.call is None else event.call.observers
        view = next((one for one in now if one.name == self.name), None)
        self.see(view or _changed(self._view, event.call_id, event.data))
        if event.type == events.OBSERVER_LEFT:
            self.finish(LeftReason(event.data.get("reason") or LeftReason.FAILED))
        elif event.type == events.OBSERVER_MODE_CHANGED and self._left is None:
            self._handlers.emit(ObserverEvent.OBSERVER_MODE_CHANGED, self)

    def finish(self, reason: LeftReason) -> None:
        """He takes part no longer. Idempotent."""
        if self._left is not None:
            return
        self._left = reason
        self._ended.set()
        self._audio.end_soon()
        self._handlers.emit(ObserverEvent.OBSERVER_LEFT, self)

    # --- inside ---------------------------------------------------------------------------------

    async def _act(
        self, operation: Operation, asked: Request, *, seconds: float = USUAL_SECONDS
    ) -> None:
        self._require_there()

        async def ask(said: Request) -> ObserverView:
            return await self._host.http.ask(
                operation,
                ObserverView,
                query=None if operation.query is None else said,
                body=None if operation.body is None else said,
                seconds=seconds,
                call_id=self.call_id,
                observer=self.name,
            )

        try:
            view = await self._audio.in_order(asked, ask)
        except (NotFoundError, CallNotFoundError) as error:
            if operation is operations.MOVE_OBSERVER and isinstance(error, CallNotFoundError):
                raise
            raise CallClosedError(f"{self.name} is not on the call any more: {error}") from None
        if self._left is None:
            self.see(view)

    async def _turn_to(
        self,
        mode: Literal["spy", "whisper", "barge"],
        *,
        cut: bool,
        to: list[str] | None = None,
    ) -> None:
        body = requests.ChangeMode(mode=mode, to=to, cut=cut)
        await self._act(operations.CHANGE_OBSERVER_MODE, body, seconds=self._audio.patience_seconds)

    def _require_there(self) -> None:
        if self._left is not None:
            raise CallClosedError(f"{self.name} is not on the call any more")

    def _require_audio(self) -> None:
        if self._view.phone:
            raise InvalidStateError(f"{self.name} is on a phone: a program has no audio of his")


_NOBODY: Final[frozenset[str]] = frozenset()


def _changed(view: ObserverView, call_id: str | None, said: Mapping[str, object]) -> ObserverView:
    mode = said.get("mode", view.mode)
    to = said.get("whispers_to", view.whispers_to)
    return msgspec.structs.replace(
        view,
        call_id=call_id or view.call_id,
        mode=AudioMode(str(mode)),
        whispers_to=tuple(map(str, to)) if isinstance(to, list | tuple) else (),
    )
