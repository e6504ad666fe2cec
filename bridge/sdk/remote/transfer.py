"""A transfer at a daemon."""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.model.errors import CallNotFoundError, ErrorCode, InvalidStateError, NotFoundError
from bridge.protocol import operations
from bridge.protocol.operations import Operation
from bridge.protocol.requests import DriveTransfer
from bridge.protocol.views import TransferView
from bridge.runtime.transfer import TransferEngine
from bridge.sdk.events import CallEvent
from bridge.sdk.remote.audio import Audio
from bridge.sdk.remote.host import Host, require_known
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome

_DONE: Final = {
    operations.COMPLETE_TRANSFER: Outcome.COMPLETED,
    operations.CANCEL_TRANSFER: Outcome.CANCELLED,
}
"""What has come to be already may be asked for again."""


class RemoteTransfer(Transfer):
    """A transfer of a call at a daemon."""

    def __init__(self, view: TransferView, host: Host, audio: Audio) -> None:
        self._view = view
        self._host = host
        self._audio = audio
        self._decided = asyncio.Event()
        self._over = asyncio.Event()
        self._code: ErrorCode | None = None
        self._message = ""
        self.see(view)
        if view.human is not None:
            self._decided.set()

    def is_of(self, engine: TransferEngine) -> bool:
        """Tell whether it is this one: none of this process is."""
        del engine
        return False

    @property
    def transfer_id(self) -> str:
        """Names it at the daemon."""
        return self._view.transfer_id

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return Stage.OVER if self._over.is_set() else Stage(self._view.stage)

    @property
    def over(self) -> bool:
        """Whether its end was told."""
        return self._over.is_set()

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is under way."""
        if self.stage is not Stage.OVER:
            return None
        return Outcome(self._view.outcome) if self._view.outcome else Outcome.CALL_OVER

    @property
    def human(self) -> str | None:
        """Who has accepted: the name of a party; None as long as nobody has."""
        return self._view.human

    async def complete(self, *, cut: bool = False) -> None:
        """Leave the customers to the human; while it still rings: do not wait for him."""
        await self._drive(operations.COMPLETE_TRANSFER, cut=cut)

    async def cancel(self, *, cut: bool = False) -> None:
        """Give it up: the customers come back to who transfers."""
        await self._drive(operations.CANCEL_TRANSFER, cut=cut)

    async def toggle(self, *, cut: bool = False) -> None:
        """Talk with the customers instead of the human, or with him again."""
        await self._drive(operations.TOGGLE_TRANSFER, cut=cut)

    async def conference(self, *, for_good: bool = False, cut: bool = False) -> None:
        """Let all talk together."""
        await self._drive(operations.CONFERENCE_TRANSFER, cut=cut, for_good=for_good)

    async def wait(self) -> Outcome:
        """Wait until it is over; return how it ended."""
        await self._over.wait()
        return self.outcome or Outcome.CALL_OVER

    async def _drive(self, operation: Operation, *, cut: bool, for_good: bool = False) -> None:
        seconds = self._audio.patience_seconds

        async def ask(said: DriveTransfer) -> TransferView:
            return await self._host.http.ask(
                operation,
                TransferView,
                body=said,
                seconds=seconds,
                call_id=self._view.call_id,
                transfer_id=self.transfer_id,
            )

        try:
            view = await self._audio.in_order(DriveTransfer(cut=cut, for_good=for_good), ask)
        except (NotFoundError, CallNotFoundError) as error:
            require_known(self._host, self._view.call_id, error)
            if self.outcome is None or self.outcome is not _DONE.get(operation):
                raise InvalidStateError(f"the transfer is over: {error}") from None
            return
        if not self._over.is_set():
            self.see(view)

    def see(self, view: TransferView) -> None:
        """Take a newer view."""
        self._view = view
        if view.error_code is not None:
            self._code, self._message = view.error_code, view.error_message

    def told(self, event: CallEvent) -> None:
        """Take what happened."""
        if event is CallEvent.TRANSFER_ENDED:
            self._over.set()
        if event in {CallEvent.TRANSFER_CHANGED, CallEvent.TRANSFER_ENDED}:
            self._decided.set()

    def lose(self) -> None:
        """The call is over, and nothing more will be known of it."""
        self.told(CallEvent.TRANSFER_ENDED)
