"""Asterisk itself: modules, capabilities, clock, phones, the dialplan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from bridge.ari import events
from bridge.ari.generated.events import AnyMessage
from bridge.daemon.check.pbx import Pbx, within
from bridge.daemon.check.report import Finding, fail, ok, warn
from bridge.model.errors import CapabilityError, CommandTimeoutError, ServerError
from bridge.runtime.doorstep import require

DIALPLAN_SECONDS: Final = 5.0
_SLOW_CLOCK_SECONDS: Final = 2.0
_RUNNING: Final = "Running"

DIALPLAN_MODULE: Final = "func_dialplan.so"

NEEDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "app_stasis.so": "the dialplan hands calls over by Stasis()",
        "res_ari_applications.so": "the application is registered",
        "res_ari_asterisk.so": "version and modules are told",
        "res_ari_bridges.so": "calls are bridged",
        "res_ari_channels.so": "calls are answered and placed",
        "res_ari_endpoints.so": "phones are listed",
        "res_ari_events.so": "events come",
        "res_ari_playbacks.so": "sounds are played",
        "res_stasis_answer.so": "calls are answered",
        "res_stasis_snoop.so": "calls are listened to",
        "bridge_softmix.so": "several voices are mixed",
        "bridge_simple.so": "two parties are bridged",
        "bridge_holding.so": "somebody is rung, or waits",
        "chan_websocket.so": "audio goes in and out (Asterisk 22.6 or 20.16, and later)",
        "chan_rtp.so": "lines that nobody speaks on are held open",
        "res_rtp_multicast.so": "chan_rtp needs it",
        "codec_resample.so": "audio of different rates meets",
    }
)
"""Modules without which something fails, and what."""

USEFUL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "res_musiconhold.so": "those on hold hear nothing",
        "res_stasis_playback.so": "announcements are not played",
        "app_stack.so": "parties are not tied together: should callbridge die, who is left waits",
        "app_softhangup.so": "as without app_stack",
        "func_groupcount.so": "as without app_stack",
        DIALPLAN_MODULE: "the dialplan is not tested",
        "chan_pjsip.so": "there are no SIP phones",
    }
)
"""Modules without which something is missing, and what that does."""


async def modules(pbx: Pbx) -> AsyncIterator[Finding]:
    """Test which modules run."""
    try:
        found = await pbx.ari.asterisk.list_modules()
    except ServerError as error:
        yield warn("modules", f"not listed: {error}", "let the ARI user read asterisk/modules")
        return
    running = pbx.modules = frozenset(one.name for one in found if one.status == _RUNNING)
    lacking = [name for name in NEEDED if name not in running]
    for name in lacking:
        yield fail("modules", f"{name} does not run: {NEEDED[name]}", _load(name))
    for name, what in USEFUL.items():
        if name not in running:
            yield warn("modules", f"{name} does not run: {what}", _load(name))
    if not lacking:
        yield ok("modules", f"{len(running)} run, among them all {len(NEEDED)} that are needed")


def _load(name: str) -> str:
    return f"load = {name} in modules.conf, or install the package that has it"


def capabilities(pbx: Pbx, sample_rate: int) -> Finding:
    """Test what this Asterisk can do."""
    can = pbx.ari.capabilities
    try:
        require(can, sample_rate)
    except CapabilityError as error:
        return fail("capabilities", error.error_message, "use Asterisk 22.6 or later")
    if not can.rest_over_websocket:
        return warn(
            "capabilities",
            f"Asterisk {can.version} takes no requests over the events WebSocket",
            "use Asterisk 22.4 or 20.14, or later: commands take half the time then",
        )
    return ok("capabilities", f"Asterisk {can.version} can do all that is needed")


async def clock(pbx: Pbx) -> Finding:
    """Compare Asterisk's clock with ours."""
    before = time.time()
    answer = await pbx.ari.asterisk.ping()
    here = (before + time.time()) / 2
    try:
        there = datetime.fromisoformat(answer.timestamp).timestamp()
    except ValueError:
        return warn("clock", f"Asterisk's is not understood: {answer.timestamp}", "report this")
    apart = there - here
    if abs(apart) > _SLOW_CLOCK_SECONDS:
        return warn(
            "clock",
            f"Asterisk's is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}",
            "let both machines keep time by NTP: records and events have the daemon's time",
        )
    return ok("clock", f"Asterisk's is {abs(apart) * 1000:.0f} ms from ours")


async def endpoints(pbx: Pbx, supervisors: Sequence[str], pattern: str) -> AsyncIterator[Finding]:
    """Test whether there are phones, and those of the supervisors among them."""
    found = await pbx.ari.endpoints.list()
    phones = [one for one in found if one.technology.upper() in {"PJSIP", "SIP", "IAX2"}]
    online = [one for one in phones if one.state == "online"]
    if not phones:
        yield fail("endpoints", "there are none", "define phones and trunks in pjsip.conf")
    elif not online:
        yield warn(
            "endpoints",
            f"{len(phones)}, none of them registered",
            "let a phone register (password, address, transport), or see `pjsip show endpoints`",
        )
    else:
        yield ok("endpoints", f"{len(phones)}, of which {len(online)} are registered")
    known = {f"{one.technology}/{one.resource}".lower() for one in found}
    for phone in supervisors:
        dialled = phone if "/" in phone else pattern.format(number=phone)
        if dialled.lower() not in known:
            yield warn(
                "endpoints",
                f"there is no {dialled}, whom supervisors.endpoints names",
                "correct the name, or define the endpoint in pjsip.conf",
            )


async def application(pbx: Pbx) -> Finding:
    """Tell whether the daemon is there: this decides nothing about the dialplan."""
    names = {one.name for one in await pbx.ari.applications.list()}
    if pbx.application in names:
        return ok("application", f"{pbx.application} is registered: a daemon is running")
    return ok("application", f"{pbx.application} is free: no daemon is running")


async def dialplan(pbx: Pbx, channel_id: str | None, extension: str | None) -> Finding:
    """Test whether a call to an extension is handed to the application.

    With a channel that the daemon leaves alone, so that no program is offered a call. channel_id:
    one of ours, on which functions are asked. extension: EXTENSION@CONTEXT.
    """
    if extension is None:
        return warn(
            "dialplan",
            "not tested",
            "set asterisk.test_extension to an EXTENSION@CONTEXT that is handed to callbridge, or "
            "give it by --extension",
        )
    number, _, context = extension.partition("@")
    if channel_id is not None and DIALPLAN_MODULE in pbx.modules:
        exists = await pbx.function(channel_id, f"DIALPLAN_EXISTS({context},{number},1)")
        if exists == "0":
            return fail(
                "dialplan",
                f"there is no extension {number} in [{context}]",
                f"in extensions.conf: exten => {number},1,Stasis({pbx.application})",
            )
    return await _dialled(pbx, extension)


async def _dialled(pbx: Pbx, extension: str) -> Finding:
    steps: list[str] = []
    handed = asyncio.Event()
    try:
        ours, theirs = await pbx.local(extension)

        def look(event: AnyMessage) -> None:
            match event:
                case events.ChannelDialplan(channel=channel) if channel.id == theirs:
                    steps.append(f"{event.dialplan_app}({event.dialplan_app_data})")
                    if event.dialplan_app == "Stasis":
                        handed.set()
                case events.ChannelDestroyed(channel=channel) if channel.id == theirs:
                    handed.set()
                case _:
                    pass

        pbx.listeners.append(look)
        await pbx.ari.channels.dial(channel_id=ours)
        await within(DIALPLAN_SECONDS, handed, f"[{extension}] reached no Stasis()")
    except CommandTimeoutError as error:
        return fail("dialplan", f"{error}; {_path(steps)}", _advice(pbx, extension))
    except ServerError as error:
        return fail("dialplan", f"{extension} cannot be called: {error}", _advice(pbx, extension))
    return _judge(pbx, extension, steps)


def _judge(pbx: Pbx, extension: str, steps: Sequence[str]) -> Finding:
    over = next((step for step in steps if step.startswith("Stasis(")), None)
    if over is None:
        return fail(
            "dialplan",
            f"{extension} is hung up without being handed over; {_path(steps)}",
            _advice(pbx, extension),
        )
    name = over.removeprefix("Stasis(").removesuffix(")").split(",")[0]
    if name != pbx.application:
        return fail(
            "dialplan",
            f"{extension} is handed to {name}, not to {pbx.application}",
            "correct the name in extensions.conf, or asterisk.application in the configuration",
        )
    return ok("dialplan", f"{extension} is handed over: {over}")


def _path(steps: Sequence[str]) -> str:
    return f"it went {' > '.join(steps)}" if steps else "no step of it was seen"


def _advice(pbx: Pbx, extension: str) -> str:
    number, _, context = extension.partition("@")
    return f"in extensions.conf, [{context}]: exten => {number},1,Stasis({pbx.application})"


async def release(pbx: Pbx, channel_id: str) -> Finding:
    """Test whether the dialplan has the hangup handlers that tie parties together."""
    if DIALPLAN_MODULE not in pbx.modules:
        return warn(
            "hangup handlers", f"not tested: {DIALPLAN_MODULE} does not run", _load(DIALPLAN_MODULE)
        )
    if await pbx.function(channel_id, "DIALPLAN_EXISTS(callbridge-release,leg,1)") == "0":
        return warn(
            "hangup handlers",
            "there is no [callbridge-release]: should the daemon die, who is left alone on a call "
            "is not hung up, and supervisors stay audible",
            "copy [callbridge-release] from callbridge's extensions.conf into that of the PBX",
        )
    return ok("hangup handlers", "[callbridge-release] is there")
