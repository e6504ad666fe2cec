"""A webhook is no way into a private network."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.model.errors import BadArgumentError, ConfigurationError
from bridge.webhooks.addresses import Addresses, AddressRefusedError, CarefulResolver

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "255.255.255.255",
    "224.0.0.1",
    "192.0.2.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "::127.0.0.1",
    "::10.0.0.1",
    "fec0::1",
    "64:ff9b:1::7f00:1",
    "not an address",
    "",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_private_is_refused(address: str) -> None:
    assert not Addresses().allow(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_allowed(address: str) -> None:
    assert Addresses().allow(address)


def test_what_is_configured_is_allowed_and_nothing_beside_it() -> None:
    addresses = Addresses(["10.1.0.0/16", "127.0.0.1", "::1"])
    assert addresses.allow("10.1.2.3")
    assert addresses.allow("127.0.0.1")
    assert addresses.allow("::1")
    assert not addresses.allow("10.2.0.1")
    assert not addresses.allow("127.0.0.2")


def test_a_network_that_is_none_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.1\.0\.0/16"):
        Addresses(["10.1.2.3/16"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]:8080/x",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "https://user:secret@crm.example.com/",
        "https://user@crm.example.com/",
        "ftp://crm.example.com/",
        "file:///etc/passwd",
        "http:///x",
        "http://",
        "http://[::1/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com/a b",
        "http://exämple.com/",
        "http://example.com/\n",
        "javascript:alert(1)",
        "",
    ],
)
def test_nothing_is_ever_sent_there(url: str) -> None:
    with pytest.raises(BadArgumentError, match="url"):
        Addresses().checked(url)


@pytest.mark.parametrize(
    "url", ["https://crm.example.com/callbridge?x=1", "http://8.8.8.8:8080/", "http://127.1/"]
)
def test_names_are_judged_when_something_is_sent(url: str) -> None:
    # 127.1 is no address as it is written; what it leads to is judged by the resolver.
    assert Addresses().checked(url).hostname


class Answers(AbstractResolver):
    """Resolves every name to what it is given."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_leads_only_to_what_is_allowed() -> None:
    mixed = CarefulResolver(Addresses(), resolver=Answers("10.0.0.1", "8.8.8.8", "::1"))
    assert [one["host"] for one in await mixed.resolve("example.com", 80)] == ["8.8.8.8"]


async def test_a_name_that_leads_nowhere_else_is_refused() -> None:
    private = CarefulResolver(Addresses(), resolver=Answers("10.0.0.1", "::1"))
    with pytest.raises(AddressRefusedError, match="allowed_networks"):
        await private.resolve("intranet.example.com", 80)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
async def test_other_ways_to_write_this_machine(host: str) -> None:
    resolver = CarefulResolver(Addresses())
    try:
        with pytest.raises(AddressRefusedError):
            await resolver.resolve(host, 80)
    finally:
        await resolver.close()


async def test_names_that_nobody_answers_for_hold_no_thread_that_calls_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def waits(*_: object, **__: object) -> list[object]:
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", waits)
    resolver = CarefulResolver(Addresses())
    asked = [asyncio.create_task(resolver.resolve(f"{n}.example.com", 80)) for n in range(50)]
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "a sound is read") == "a sound is read"
        assert not any(one.done() for one in asked)
    finally:
        answered.set()
        await asyncio.gather(*asked, return_exceptions=True)
        await resolver.close()
