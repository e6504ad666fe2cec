"""The dialplan of the fake server: that of the embedded Asterisk, as far as call control meets it.

Its source is ``asterisk-conf/extensions.conf.j2``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.lab.fake_ari.objects import FakeChannel
    from bridge.lab.fake_ari.world import World

FOREIGN: Final = re.compile(r"9(\d{4})")
"""What is called by a plain Dial()."""
ACCESS: Final = re.compile(r"\*55(\d*)")
"""What a supervisor dials."""
BY_SOCKET: Final = "9000"
"""What dials whoever takes the call by a media socket."""
RELEASE: Final = "callbridge-release"
HANDLER: Final = re.compile(rf"{RELEASE},(?P<exten>\w+),1\((?P<argument>.*)\)")
OTHERS: Final = "CALLBRIDGE_OTHERS"
SPARED: Final = "CALLBRIDGE_SPARED"
CATEGORY: Final = "callbridge"
LINES_CATEGORY: Final = "callbridge-agent"
NORMAL = 16


class Dialplan:
    """Lets channels run in the dialplan."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.application = "callbridge"
        """The application that phones' calls reach."""
        self.extensions = {("phones", "1002"), *((RELEASE, exten) for exten in ("s", "all", "leg"))}
        """What DIALPLAN_EXISTS() finds: contexts and extensions."""

    def run(self, channel: FakeChannel, context: str, exten: str) -> bool:
        """Let a channel run in the dialplan; False when there is nothing for it.

        ``phones``: 9 and a number is a plain Dial(), *55 and perhaps a number is a supervisor's
        access code, another number reaches the application; ``stasis-NAME`` is what every
        application has. Queues, and keys while talking, are not there.
        """
        channel.context, channel.exten, channel.priority = context, exten, 1
        application = context.removeprefix("stasis-")
        number, code = FOREIGN.fullmatch(exten), ACCESS.fullmatch(exten)
        enter, dial = self._world.enter_stasis, self._world.calls.dial
        action: Callable[[], object]
        if application != context:
            action = partial(enter, channel, application, [])
        elif context != "phones":
            return False
        elif code is not None:
            action = partial(enter, channel, self.application, ["observe", code[1]])
        elif exten == BY_SOCKET:
            action = partial(dial, channel, "WebSocket/INCOMING/c(slin16)")
        elif number is not None:
            action = partial(dial, channel, f"PJSIP/{number[1]}")
        elif exten.isdigit():
            action = partial(enter, channel, self.application, ["incoming", exten])
        else:
            return False
        channel.has_dialplan = True
        action()
        return True

    def run_handlers(self, channel: FakeChannel) -> None:
        """Run a channel's hangup handlers, the last that was pushed first."""
        while channel.handlers:
            handler = HANDLER.fullmatch(channel.handlers.pop())
            if handler is None:
                continue
            argument = handler["argument"]
            match handler["exten"]:
                case "s":
                    self._soft_hangup(argument)
                case "all":
                    for name in [c.name for c in self._world.channels.values()]:
                        if name.rpartition("-")[0] == argument:
                            self._soft_hangup(name)
                case "leg":
                    channel.groups.pop(CATEGORY, None)
                    spared = channel.variables.get(SPARED) == "1"
                    alive = self.group_count(argument, LINES_CATEGORY) > 0
                    if self.group_count(argument, CATEGORY) <= 1 and not (spared and alive):
                        for name in filter(None, channel.variables.get(OTHERS, "").split("&")):
                            self._soft_hangup(name)
                case _:
                    pass

    def group_count(self, group: str, category: str) -> int:
        """Return how many channels are in a group (func_groupcount.c)."""
        channels = self._world.channels.values()
        return sum(1 for channel in channels if channel.groups.get(category) == group)

    def limit(self, channel: FakeChannel, seconds: float) -> None:
        """End a channel in a while, unless it is given another time (func_timeout.c); 0: never."""
        channel.ends_at = None
        if seconds > 0:
            channel.ends_at = ends_at = self._world.now() + seconds
            self._world.later(seconds, lambda: self._time_is_up(channel, ends_at))

    def _time_is_up(self, channel: FakeChannel, ends_at: float) -> None:
        if channel.ends_at == ends_at and not channel.going:
            channel.going = True
            self._world.remove(channel, NORMAL if channel.has_dialplan else 0)

    def _soft_hangup(self, name: str) -> None:
        channel = self._world.named(name)
        if channel is not None and not channel.going:
            self._world.hang_up(channel.id)
