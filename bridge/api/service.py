"""Everything that handlers need, in one place. The daemon puts it together; so do tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bridge.api.audio import AudioPositions
from bridge.api.auth.authenticator import Authenticator
from bridge.api.auth.dialling import DialRules
from bridge.api.auth.limits import RateLimits
from bridge.api.auth.tenancy import Tenancy
from bridge.api.hub import EventHub
from bridge.api.programs import Programs
from bridge.api.speech import Speech
from bridge.api.views import Views
from bridge.sdk import Client
from bridge.store.store import Store
from bridge.webhooks.webhooks import Webhooks


async def _at_once() -> None:
    """Of a client that is connected before anybody is served."""


@dataclass(kw_only=True)
class Service:
    """The parts of a running daemon.

    speech: None where no command speaks. version: callbridge's own. draining: it is about to stop
    and takes no new commands. health: the state of each part, ``ok`` or what is wrong with it, by
    name. taken_up: waits, not for long, until it is known what stands in Asterisk; raises
    ServerUnreachableError when it is not: nobody can say then that a call is not there.
    """

    client: Client
    store: Store
    hub: EventHub
    views: Views
    authenticator: Authenticator
    rate_limits: RateLimits
    dial_rules: DialRules
    tenancy: Tenancy
    programs: Programs
    webhooks: Webhooks
    audio_positions: AudioPositions
    speech: Speech | None
    version: str
    draining: bool = False
    health: Callable[[], Mapping[str, str]] = dict
    taken_up: Callable[[], Awaitable[None]] = _at_once
