"""Offers a running instance to programs that were told of no server."""

from __future__ import annotations

from bridge.lab.asterisk.instance import Instance


def running_instance(name: str) -> tuple[str, str, str] | None:
    """Return the ARI address, username and password of an instance, None when it is not running.

    Found through the entry point group ``callbridge.servers``.
    """
    instance = Instance.find(name)
    if instance is None:
        return None
    ari = instance.info.ari
    return ari.url, ari.username, ari.password
