"""Where events may be sent: a webhook is no way into the network that callbridge stands in.

An address is judged when it is about to be connected to, after its name was resolved: a name that
is harmless today may lead elsewhere tomorrow.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.model.errors import BadArgumentError, ConfigurationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOBODYS: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10", "::/96")),
)
"""Of no global use, whatever ``ipaddress`` says: NAT64 of a network's own (RFC 8215), site-local
(RFC 3879), IPv4-compatible (RFC 4291, 2.5.5.1)."""
_SCHEMES: Final = frozenset({"http", "https"})
_LOOKUPS: Final = 8
"""Names that are looked up at a time."""


class AddressRefusedError(OSError):
    """Nothing is sent to this address."""


class Addresses:
    """Which addresses events may be sent to: those of the Internet, and what is allowed beside.

    allowed: networks such as ``10.1.0.0/16`` or ``127.0.0.1``. Raises ConfigurationError.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        try:
            self._allowed: tuple[Network, ...] = tuple(map(ipaddress.ip_network, allowed))
        except ValueError as error:
            raise ConfigurationError(
                f"{error}: a network that webhooks may reach is written 10.1.0.0/16"
            ) from None

    def allow(self, text: str) -> bool:
        """Tell whether events may be sent to an IP address."""
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        return all(self._is_allowed(one) for one in _meanings(address))

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in self._allowed):
            return True
        if any(address in network for network in _NOBODYS):
            return False
        return address.is_global and not address.is_multicast

    def checked(self, url: str) -> SplitResult:
        """Return the parts of a webhook's URL.

        Raises BadArgumentError when nothing could ever be sent there. What its name leads to is
        judged when something is sent.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise BadArgumentError(f"url: {error}") from None
        if parts.scheme not in _SCHEMES or not host or port == 0:
            raise BadArgumentError("url: give one like https://crm.example.com/callbridge")
        if parts.username is not None or parts.password is not None:
            raise BadArgumentError("url: leave out user and password: events are signed")
        if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
            raise BadArgumentError("url: write it in visible ASCII characters (%20, punycode)")
        if _is_literal(host) and not self.allow(host):
            raise BadArgumentError(refusal(host))
        return parts


class Lookups(AbstractResolver):
    """Resolves names in threads of its own.

    A name that no server answers for holds its thread for half a minute, long after who asked for
    it has given up: of the loop's own threads, which live calls need, there are few.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError when it has none."""
        look = partial(
            socket.getaddrinfo,
            host,
            port,
            family,
            socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """End; what is under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class CarefulResolver(AbstractResolver):
    """Resolves names, and leaves out addresses that nothing may be sent to."""

    def __init__(self, addresses: Addresses, *, resolver: AbstractResolver | None = None) -> None:
        self._addresses = addresses
        self._resolver = resolver or Lookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises AddressRefusedError when none may be reached."""
        found = await self._resolver.resolve(host, port, family)
        good = [one for one in found if self._addresses.allow(one["host"])]
        if not good:
            raise AddressRefusedError(refusal(host))
        return good

    async def close(self) -> None:
        """End."""
        await self._resolver.close()


def refusal(host: str) -> str:
    """Return why nothing is sent to a host."""
    return (
        f"url: {host} is in a private network; the configuration says which of those webhooks "
        "may reach ([webhooks] allowed_networks)"
    )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _meanings(address: Address) -> Iterable[Address]:
    """Go through an address and those that it stands for: IPv4 is reached by some of IPv6."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
