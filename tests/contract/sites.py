"""A server with phones: those of the fake, and real ones on a real Asterisk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from bridge.ari import AriSettings
from bridge.lab.fake_ari import Answer, FakeAri
from bridge.lab.phones import Behaviour, CallState, Phone, PhoneSettings, start_phone
from bridge.model.errors import PhoneError
from tests.support.pbx import until_true

if TYPE_CHECKING:
    from bridge.lab.asterisk import Instance

APPLICATION = "callbridge"
"""Where the dialplan of the embedded Asterisk sends the phones' calls."""
REAL = {
    Answer.ANSWER: Behaviour.ANSWER,
    Answer.RING: Behaviour.RING,
    Answer.BUSY: Behaviour.BUSY,
    Answer.DECLINE: Behaviour.DECLINE,
}


class Site(Protocol):
    """A server and its phones, by their numbers."""

    settings: AriSettings

    async def set_up(self, answer: Answer, number: str = "1002") -> None:
        """Let a phone sign in, and do this when it is called."""

    async def call(self, number: str, caller: str = "1001") -> None:
        """Let a phone dial a number."""

    async def hangs_up(self, phone: str) -> None:
        """Let a phone hang up."""

    async def holds(self, phone: str, *, on: bool) -> None:
        """Let a phone hold its call, or end that."""

    async def presses(self, phone: str, digits: str) -> None:
        """Let a phone press keys."""

    async def transfers(self, phone: str, number: str) -> None:
        """Let a phone transfer its peer to another phone, blindly."""

    async def consults(self, phone: str, number: str) -> None:
        """Let a phone hold its call, and call another phone."""

    async def joins(self, phone: str) -> None:
        """Let a phone join both its peers, and leave."""

    async def parks(self, phone: str) -> str:
        """Let a phone park its peer; return the number that fetches him."""

    async def retrieves(self, phone: str, slot: str) -> None:
        """Let a phone fetch whoever is parked."""


class FakeSite:
    """Phones that are but lines in the fake's script."""

    def __init__(self, fake: FakeAri) -> None:
        self._fake = fake
        self.settings = AriSettings(fake.url, fake.username, fake.password, APPLICATION)

    async def set_up(self, answer: Answer, number: str = "1002") -> None:
        self._fake.world.phones[number].answer = answer

    async def call(self, number: str, caller: str = "1001") -> None:
        self._fake.phone_dials(caller, number)

    async def hangs_up(self, phone: str) -> None:
        self._fake.channel_hangs_up(self._channels(phone)[-1])

    async def holds(self, phone: str, *, on: bool) -> None:
        self._fake.channel_holds(self._channels(phone)[-1], on=on)

    async def presses(self, phone: str, digits: str) -> None:
        self._fake.channel_presses(self._channels(phone)[-1], digits)

    async def transfers(self, phone: str, number: str) -> None:
        self._fake.channel_transfers(self._channels(phone)[-1], number)

    async def consults(self, phone: str, number: str) -> None:
        self._fake.place_call(phone, number)

    async def joins(self, phone: str) -> None:
        self._fake.channel_transfers_to(*self._channels(phone))

    async def parks(self, phone: str) -> str:
        return self._fake.channel_parks(self._channels(phone)[-1])

    async def retrieves(self, phone: str, slot: str) -> None:
        self._fake.retrieve_call(phone, slot)

    def _channels(self, phone: str) -> list[str]:
        """Return the ids of a phone's channels, the newest last."""
        channels = self._fake.world.channels.values()
        return [c.id for c in channels if c.name.startswith(f"PJSIP/{phone}-")]


class RealSite:
    """Softphones that register with a real Asterisk when they are needed."""

    def __init__(self, instance: Instance) -> None:
        self._info = instance.info
        ari = instance.info.ari
        self.settings = AriSettings(ari.url, ari.username, ari.password, APPLICATION)
        self.phones: dict[str, Phone] = {}

    async def set_up(self, answer: Answer, number: str = "1002") -> None:
        await self._phone(number, REAL[answer])

    async def call(self, number: str, caller: str = "1001") -> None:
        phone = await self._phone(caller)
        await phone.call(number)

    async def hangs_up(self, phone: str) -> None:
        await self.phones[phone].hangup()

    async def holds(self, phone: str, *, on: bool) -> None:
        re_invites = partial(self._re_invites, self.phones[phone], on=on)
        await until_true(re_invites, "the phone's last INVITE is over")

    async def presses(self, phone: str, digits: str) -> None:
        await self.phones[phone].dtmf(digits)

    async def transfers(self, phone: str, number: str) -> None:
        await self.phones[phone].transfer(f"9{number}")

    async def consults(self, phone: str, number: str) -> None:
        await self.phones[phone].consult(f"9{number}")
        await self.phones[phone].wait_state(CallState.CONFIRMED)

    async def joins(self, phone: str) -> None:
        await self.phones[phone].complete_transfer()

    async def parks(self, phone: str) -> str:
        await self.phones[phone].transfer("7000")
        return "7001"

    async def retrieves(self, phone: str, slot: str) -> None:
        await (await self._phone(phone)).call(slot)

    @staticmethod
    async def _re_invites(phone: Phone, *, on: bool) -> bool:
        """Hold or take back; False while the phone's last INVITE is not quite over."""
        try:
            await (phone.hold() if on else phone.unhold())
        except PhoneError as error:
            if "PJSIP_ESESSIONSTATE" not in str(error):
                raise
            return False
        return True

    async def _phone(self, number: str, answer: Behaviour = Behaviour.ANSWER) -> Phone:
        if number not in self.phones:
            password = next(a.password for a in self._info.accounts if a.number == number)
            sip = self._info.sip
            self.phones[number] = await start_phone(
                PhoneSettings(
                    number=number, password=password, host=sip.host, port=sip.port, answer=answer
                )
            )
        return self.phones[number]
