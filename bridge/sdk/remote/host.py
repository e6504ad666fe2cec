"""What calls, observers, transfers and recordings need of the client that handed them out."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Protocol

from bridge.model.errors import CallbridgeError, ServerUnreachableError
from bridge.protocol.views import CallView
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.remote.audio import Audio
from bridge.sdk.remote.audio_socket import Where
from bridge.sdk.remote.http import Http

if TYPE_CHECKING:
    from bridge.sdk.call import ActiveCall, Route


class Host(Protocol):
    """The client."""

    @property
    def http(self) -> Http:
        """The way to the daemon."""

    @property
    def handlers(self) -> Handlers:
        """Those of the client, which own the tasks of all others."""

    @property
    def rate(self) -> int:
        """Hz of all audio."""

    @property
    def calls_known(self) -> bool:
        """Whether the daemon has told which calls the program has, since its socket broke last."""

    @property
    def route(self) -> Route | None:
        """Says whom ``connect()`` rings."""

    def audio(self, where: Where) -> Audio:
        """Make the audio of a participant; the client closes it at its own end."""

    def call_event(self, event: CallEvent, call: ActiveCall, *details: object) -> None:
        """Tell an event of a call to those who listen at the client."""

    def view_of(self, call_id: str) -> CallView | None:
        """Return a live call as it was told last."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Own a task until the client's end."""


def require_known(host: Host, call_id: str, error: CallbridgeError) -> None:
    """Do not believe that a call is over before the daemon has said which calls there are.

    Raises ServerUnreachableError.
    """
    if not host.calls_known:
        raise ServerUnreachableError(
            f"the daemon has not taken up call {call_id} yet: try again"
        ) from error
