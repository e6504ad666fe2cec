"""The PBX as a program sees it beside its own calls: the part of ``Client`` for that."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from bridge.ari import models
from bridge.directory import Change, Directory, LiveCall
from bridge.model.errors import BadArgumentError, RequestFailedError
from bridge.model.ids import CallId
from bridge.model.participants import AGENT
from bridge.runtime import Controller
from bridge.runtime.audit import PROGRAM

if TYPE_CHECKING:
    from bridge.sdk.call import ActiveCall

_log = logging.getLogger(__name__)

_TOLD_SECONDS: Final = 1.0
_GONE: Final = frozenset({404, 409})
_NO_SUCH: Final = frozenset({400, 404})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A phone or trunk that Asterisk knows."""

    endpoint: str
    """Such as ``PJSIP/1002``."""
    state: str
    """``online``, ``offline`` or ``unknown``."""
    channels: tuple[str, ...]
    """Ids of its channels."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as Asterisk shows it."""

    channel_id: str
    name: str
    """Such as ``PJSIP/1002-00000003``."""
    state: str
    """Asterisk's word: ``Up``, ``Ring``, ``Ringing``, ``Down``, …"""
    number: str
    """Its owner's caller id; may be empty."""
    display_name: str
    created: float
    """Seconds since 1970, by Asterisk's clock."""
    call_id: str | None
    """The live call that it is a party's of; None for any other."""


class Exchange:
    """Looks at the PBX. Mixed into ``Client``, which has all that is named here."""

    _calls: dict[str, ActiveCall]

    def _connected(self) -> Controller:
        raise NotImplementedError

    async def hang_up(self, target: str | LiveCall | ActiveCall, *, cut: bool = False) -> None:
        """Hang up everybody on a live call, whoever placed it; return when it is over.

        target: as in ``observe``. cut: of a call that this program has, drop what the agent said
        and nobody has heard yet. Raises CallNotFoundError, AmbiguousCallError, ServerError.
        """
        selector = target if isinstance(target, str) else target.call_id
        controller = self._connected()
        directory = await controller.watch()
        own = self._calls.get(selector)
        call_id = CallId(selector) if own is not None else directory.find(selector).call_id
        own = self._calls.get(call_id)
        with controller.audit.command(call_id, AGENT, "hang up all", by=PROGRAM):
            if own is not None:
                await own.disconnect(cut=cut)
            elif (call := directory.get(call_id)) is not None:
                await asyncio.gather(*(_hung_up(controller, i) for i in call.channels.values()))
            await _over(controller, call_id)

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the phones and trunks that Asterisk knows, by name. Raises ServerError."""
        found = map(_endpoint, await self._connected().ari.endpoints.list())
        return tuple(sorted(found, key=lambda one: one.endpoint))

    async def endpoint(self, name: str) -> Endpoint | None:
        """Return one of them, such as ``PJSIP/1002``; None when there is none. Raises ServerError.

        Raises BadArgumentError for what is no name of an endpoint.
        """
        technology, _, resource = name.partition("/")
        if not technology or not resource:
            raise BadArgumentError(f"{name!r} is no endpoint: one like PJSIP/1002 is")
        try:
            found = await self._connected().ari.endpoints.get(tech=technology, resource=resource)
        except RequestFailedError as error:
            if error.status in _NO_SUCH:
                return None
            raise
        return _endpoint(found)

    async def channels(self) -> tuple[Channel, ...]:
        """Return all channels of Asterisk, the eldest first, ours included. Raises ServerError."""
        controller = self._connected()
        directory = await controller.watch()
        listed = await controller.ari.channels.list()
        found = (_channel(channel, directory) for channel in listed)
        return tuple(sorted(found, key=lambda one: (one.created, one.channel_id)))


async def _over(controller: Controller, call_id: CallId) -> None:
    """Wait until a call is no live call any more, as it is told; but not for long."""
    over = asyncio.Event()

    def look(_change: Change | None = None) -> None:
        if controller.directory.get(call_id) is None:
            over.set()

    controller.live_listeners.append(look)
    look()
    try:
        async with asyncio.timeout(_TOLD_SECONDS):
            await over.wait()
    except TimeoutError:
        _log.info("call %s: hung up, and not told to be over yet", call_id)
    finally:
        controller.live_listeners.remove(look)


async def _hung_up(controller: Controller, channel_id: str) -> None:
    try:
        await controller.ari.channels.hangup(channel_id=channel_id)
    except RequestFailedError as error:
        if error.status not in _GONE:
            raise


def _endpoint(found: models.Endpoint) -> Endpoint:
    name = f"{found.technology}/{found.resource}"
    return Endpoint(name, found.state or "unknown", found.channel_ids)


def _channel(found: models.Channel, directory: Directory) -> Channel:
    call = directory.call_of(found.id)
    return Channel(
        channel_id=found.id,
        name=found.name,
        state=found.state,
        number=found.caller.number,
        display_name=found.caller.name,
        created=datetime.fromisoformat(found.creationtime).timestamp(),
        call_id=None if call is None else call.call_id,
    )
