"""What a phone is tied to, on servers that have more or less of what it takes. On the fake."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bridge.lab.fake_ari import Answer, FakeAri, FakeCall
from bridge.lab.waiting import until
from bridge.model.errors import CallbridgeError, ServerError
from bridge.runtime.names import key_of
from bridge.runtime.release import CONTEXT
from bridge.sdk import Client, Observer
from tests.support.pbx import until_true

Extensions = tuple[tuple[str, str], ...]
S, ALL = (CONTEXT, "s"), (CONTEXT, "all")


@dataclass
class Stage:
    fake: FakeAri
    client: Client
    call: FakeCall

    async def is_live(self) -> bool:
        """Whether the call is known."""
        return bool(await self.client.live_calls())

    async def boss(self, name: str = "boss") -> Observer:
        return await self.client.observe("1002", name, phone="1005")

    def ids(self, key: str) -> list[str]:
        """Return the ids of channels with that key."""
        return [i for i in self.fake.world.channels if key_of(i) == key]

    def handler(self, name: str = "boss") -> str:
        """Return what is done at the end of a phone's pulse."""
        (pulse,) = self.ids(f"pulse.{name}")
        (handler,) = self.fake.world.channels[pulse].handlers
        return handler


@asynccontextmanager
async def opened(*extensions: tuple[str, str]) -> AsyncIterator[Stage]:
    """A client and a call of others, on a server whose dialplan has no more than this of ours."""
    async with FakeAri() as fake:
        fake.world.dialplan.extensions -= {S, ALL} - set(extensions)
        client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
        async with client:
            stage = Stage(fake, client, fake.place_call("1001", "1002"))
            await until_true(stage.is_live, "the call is live")
            yield stage
        assert fake.world.violations == []


async def test_all_snoops_on_the_phone_end_with_it() -> None:
    async with opened(S, ALL) as stage:
        await stage.boss()
        (leg,) = stage.ids("leg.boss")
        assert stage.handler() == f"{CONTEXT},all,1(Snoop/{leg})"


@pytest.mark.parametrize(
    ("name", "extensions"),
    [("boss", (S,)), ("b" * 32, (S, ALL))],
    ids=["no all", "long name"],
)
async def test_otherwise_the_phone_itself(name: str, extensions: Extensions) -> None:
    async with opened(*extensions) as stage:
        await stage.boss(name)
        (leg,) = stage.ids(f"leg.{name}")
        phone = stage.fake.world.channels[leg].name
        assert stage.handler(name) == f"{CONTEXT},s,1({phone})"


async def test_a_dialplan_that_has_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as stage:
        with caplog.at_level(logging.WARNING, "bridge.runtime.pulse"):
            for name in ("ann", "ben"):
                observer = await stage.boss(name)
                await observer.barge()
        (warning,) = caplog.records
        assert f"no [{CONTEXT}]" in warning.getMessage()
        assert stage.ids("pulse.ann") + stage.ids("pulse.ben") == []
        for name in ("ann", "ben"):
            (leg,) = stage.ids(f"leg.{name}")
            assert stage.fake.world.channels[leg].ends_at is not None


async def test_it_ends_with_him() -> None:
    async with opened(S, ALL) as stage:
        boss = await stage.boss()
        await boss.leave()
        await until(lambda: not stage.ids("pulse.boss"), "the pulse has ended")


async def test_a_phone_is_not_rung_when_nothing_can_answer_for_it() -> None:
    async with opened(S, ALL) as stage:
        stage.fake.world.phones["1005"].answer = Answer.RING
        stage.fake.failures.refuse("POST", "channels/externalMedia", times=10)
        with pytest.raises(CallbridgeError, match="PJSIP/1005 is not let in") as failure:
            await stage.boss()
        assert isinstance(failure.value, ServerError)
        assert not [r for r in stage.fake.received if r.resource.endswith("/dial")]
        await until(lambda: not stage.ids("leg.boss"), "nothing is left")
