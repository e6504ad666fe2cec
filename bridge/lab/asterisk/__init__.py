"""An Asterisk of our own: found or fetched, configured, started and stopped, without root.

The functions block; from asyncio call them through ``asyncio.to_thread``.
"""

from __future__ import annotations

from bridge.lab.asterisk.external import external_ari
from bridge.lab.asterisk.info import Account, AriInfo, InstanceInfo, SipInfo
from bridge.lab.asterisk.instance import Instance
from bridge.lab.asterisk.progress import Progress

__all__ = ["Account", "AriInfo", "Instance", "InstanceInfo", "Progress", "SipInfo", "external_ari"]
