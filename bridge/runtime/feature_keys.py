"""Transfers that a party makes with keys, during the call: see ``bridge.model.features``.

Whoever is on the line with him hears the keys, too: they are his phone's, and Asterisk passes them
on. One short low tone, for him alone, tells that something was not done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final, Protocol, assert_never

import numpy as np

from bridge.ari import AriConnection, events
from bridge.media.pcm import AudioFormat
from bridge.model.errors import CallbridgeError, InvalidStateError
from bridge.model.features import Asked, Feature, FeatureKeys, Reader
from bridge.model.participants import Participant
from bridge.runtime import by_phone
from bridge.runtime.announcing import Announcements
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import (
    TransferKind,
    TransferPolicy,
    TransferRequest,
    TransferSource,
)
from bridge.runtime.transfers import Transfers
from bridge.session.transfer import inputs
from bridge.session.transfer.effects import Tell, TransferNotice

_log = logging.getLogger(__name__)

_REFUSED_HZ: Final = 220.0
_REFUSED_SECONDS: Final = 0.24
_REFUSED_DBFS: Final = -22.7
"""As loud as the cues of supervisors' phones: beside a voice, and not over it."""


class Host(Protocol):
    """Who has the link, the transfers, and owns tasks: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def transfers(self) -> Transfers:
        """All transfers."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class FeaturePhones:
    """The feature keys of all calls; without ``keys`` they are off.

    ``on_transfer``: called with every transfer that is begun by keys.
    """

    def __init__(
        self, host: Host, policy: TransferPolicy, keys: FeatureKeys | None, audio: AudioFormat
    ) -> None:
        self.host = host
        self.policy = policy
        self.audio = audio
        self._keys = keys
        self.on_transfer: Callable[[CallEngine, TransferEngine], None] = lambda _call, _transfer: (
            None
        )

    def attach(self, call: CallEngine) -> None:
        """Let the phones of a call's parties transfer it by keys, as far as they may."""
        if self._keys is not None:
            _Call(call, self, self._keys)


class _Call:
    """The feature keys of one call's parties."""

    def __init__(self, call: CallEngine, phones: FeaturePhones, keys: FeatureKeys) -> None:
        self._call = call
        self._phones = phones
        self._keys = keys
        self._host = phones.host
        self._policy = phones.policy
        self._announcements = Announcements(
            call, self._host.transfers, self._host.spawn, phones.audio
        )
        self._refusal = _refusal(phones.audio)
        self._readers: dict[Participant, Reader] = {}
        self._timers: dict[Participant, asyncio.TimerHandle] = {}
        call.handset_listeners.append(self._pressed)
        call.on_change.append(self._changed)

    @property
    def _own(self) -> TransferEngine | None:
        return self._host.transfers.of(self._call.incoming.call_id)

    def _pressed(self, party: Participant, event: HandsetEvent) -> None:
        session = self._call.session
        if not isinstance(event, events.ChannelDtmfReceived):
            return
        if party not in session.parties or party in session.standing.apart:
            # Who is apart is asked whether he accepts: his keys say that.
            return
        transfer = self._own
        transferring = transfer is not None and transfer.state.by == party
        reader = self._readers.get(party) or Reader(self._keys)
        now = asyncio.get_running_loop().time()
        self._read(party, *reader.press(event.digit, now, transferring=transferring))

    def _read(self, party: Participant, reader: Reader, asked: Asked | None) -> None:
        self._readers[party] = reader
        if (timer := self._timers.pop(party, None)) is not None:
            timer.cancel()
        if reader.deadline is not None:
            loop = asyncio.get_running_loop()
            self._timers[party] = loop.call_at(reader.deadline, self._time_is_over, party)
        if asked is not None:
            name = f"{asked.feature} by the {party} of {self._call.incoming.call_id}"
            self._host.spawn(self._serve(party, asked), name)

    def _time_is_over(self, party: Participant) -> None:
        reader = self._readers[party]
        if reader.deadline is not None:
            self._read(party, *reader.at(reader.deadline))

    def _changed(self) -> None:
        """Forget who has gone."""
        for party in self._readers.keys() - self._call.session.parties:
            del self._readers[party]
            if (timer := self._timers.pop(party, None)) is not None:
                timer.cancel()

    async def _serve(self, party: Participant, asked: Asked) -> None:
        try:
            await self._do(party, asked)
        except CallbridgeError as error:
            call_id = self._call.incoming.call_id
            _log.warning("call %s: %s by %s: %s", call_id, asked.feature, party, error)
            await self._refuse(party)

    async def _do(self, party: Participant, asked: Asked) -> None:
        match asked.feature:
            case Feature.BLIND | Feature.ATTENDED:
                await self._begin(party, asked)
            case Feature.CANCEL:
                await self._transfer(party).command(inputs.Cancel)
            case Feature.COMPLETE:
                await self._transfer(party).command(inputs.Complete)
            case Feature.SWAP:
                await self._transfer(party).command(inputs.Toggle)
            case Feature.CONFERENCE:
                await self._transfer(party).command(inputs.Conference)
            case _:
                assert_never(asked.feature)

    def _transfer(self, party: Participant) -> TransferEngine:
        transfer = self._own
        if transfer is None or transfer.state.by != party:
            raise InvalidStateError(f"{party} makes no transfer any more")
        return transfer

    async def _begin(self, party: Participant, asked: Asked) -> None:
        self._host.transfers.require_none(self._call)
        consult = asked.feature is Feature.ATTENDED
        request = await self._request(party, asked.number, consult=consult)
        permit = await self._policy.ask(request)

        def prepare(transfer: TransferEngine) -> None:
            transfer.listeners.append(lambda tell: self._told(party, request, tell))
            self._phones.on_transfer(self._call, transfer)

        try:
            await by_phone.begin(
                self._host, self._call, party, permit, consult=consult, prepare=prepare
            )
        except CallbridgeError as error:
            self._policy.note_end(request, error.error_message)
            raise

    async def _request(self, party: Participant, number: str, *, consult: bool) -> TransferRequest:
        incoming, channel_id = self._call.incoming, self._call.executor.channel_of(party)
        if channel_id is None:
            raise InvalidStateError(f"{party} has left the call")
        channel = await self._host.ari.channels.get(channel_id=channel_id)
        return TransferRequest(
            incoming.call_id,
            party,
            number,
            TransferKind.ATTENDED if consult else TransferKind.BLIND,
            TransferSource.FEATURE_KEYS,
            channel.name.rpartition("-")[0],
            incoming.caller_number,
            incoming.callee_number,
        )

    def _told(self, party: Participant, request: TransferRequest, tell: Tell) -> None:
        if tell.notice is not TransferNotice.ENDED:
            return
        self._policy.note_end(request, ": ".join(filter(None, (tell.outcome, tell.message))))
        if tell.code is not None:
            name = f"refusal to the {party} of {self._call.incoming.call_id}"
            self._host.spawn(self._refuse(party), name)

    async def _refuse(self, party: Participant) -> None:
        """Tell him, and nobody else, that something was not done."""
        try:
            await self._announcements.say(party, self._refusal)
        except CallbridgeError as error:
            _log.warning("call %s: not told: %s", self._call.incoming.call_id, error)


def _refusal(audio: AudioFormat) -> bytes:
    at = np.arange(round(_REFUSED_SECONDS * audio.rate)) / audio.rate
    wave = 10 ** (_REFUSED_DBFS / 20) * np.sin(2 * np.pi * _REFUSED_HZ * at)
    return np.rint(wave * 32767).astype("<i2").tobytes()
