"""A port that is nobody else's while no server listens there."""

from __future__ import annotations

import socket


def hold_port(host: str = "127.0.0.1") -> socket.socket:
    """Return a socket by which a port is nobody else's, be there a server or not.

    It does not listen: who connects while there is no server is refused. A server can have the
    port beside it, as both allow that (SO_REUSEADDR), and no port is picked that is bound.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, 0))
    return held
