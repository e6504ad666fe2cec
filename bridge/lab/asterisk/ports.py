"""Ports for instances side by side: each has a block of its own.

A block is claimed by binding an abstract Unix socket that Asterisk's keeper inherits. The kernel
frees the name whichever way the process ends, and the name is seen exactly as far as the ports
are: by every user of one network namespace.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.model.errors import InstanceError

if TYPE_CHECKING:
    from collections.abc import Collection

LOOPBACK = "127.0.0.1"
_FIRST = 12000
_BLOCK = 1000
_BLOCKS = 20
"""Up to 31999: ports from 32768 on are handed to outgoing connections, ip(7)."""
_RTP_OFFSET = 10


@dataclass(frozen=True)
class Ports:
    """A block: HTTP over TCP, SIP over UDP, and RTP's range (both ends belong to it)."""

    base: int

    @property
    def http(self) -> int:
        """TCP port of ARI and of media over WebSocket."""
        return self.base

    @property
    def sip(self) -> int:
        """UDP port of SIP."""
        return self.base + 1

    @property
    def rtp_start(self) -> int:
        """First UDP port of RTP; even, as RTP wants it."""
        return self.base + _RTP_OFFSET

    @property
    def rtp_end(self) -> int:
        """Last UDP port of RTP."""
        return self.base + _BLOCK - 1


ALL_BLOCKS = tuple(Ports(_FIRST + index * _BLOCK) for index in range(_BLOCKS))


def claim(ports: Ports) -> socket.socket | None:
    """Claim a block until the returned socket is closed by all who hold it; None if it is taken.

    A block is also taken when a stranger sits on its HTTP or SIP port.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0callbridge-ports-{ports.base}")
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    if _is_free(ports.http, socket.SOCK_STREAM) and _is_free(ports.sip, socket.SOCK_DGRAM):
        return holder
    holder.close()
    return None


def claim_any(avoid: Collection[Ports] = ()) -> tuple[Ports, socket.socket]:
    """Claim the first free block that is not in ``avoid``.

    Raises InstanceError when there is none.
    """
    for ports in ALL_BLOCKS:
        if ports not in avoid and (holder := claim(ports)):
            return ports, holder
    raise InstanceError(
        f"all {len(ALL_BLOCKS)} blocks of ports from {ALL_BLOCKS[0].base} to "
        f"{ALL_BLOCKS[-1].rtp_end} are taken: stop an instance (callbridge asterisk list)"
    )


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # As Asterisk does: connections of an instance before may linger in TIME_WAIT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True
