"""Channel variables and dialplan functions of the fake server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from bridge.lab.fake_ari.objects import FakeChannel, Refusal

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World

CALL: Final = re.compile(r"(?P<name>[A-Z_]+)\((?P<args>.*)\)")
Reader = Callable[["World", FakeChannel], str]

CHANNEL_ITEMS: Final[dict[str, Reader]] = {
    "name": lambda _, c: c.name,
    "state": lambda _, c: c.state,
    "uniqueid": lambda _, c: c.id,
    "linkedid": lambda _, c: c.linked,
    "channeltype": lambda _, c: c.kind.value,
    "language": lambda _, c: c.language,
    "accountcode": lambda _, c: c.accountcode,
    "context": lambda _, c: c.context,
    "exten": lambda _, c: c.exten,
    "onhold": lambda _, c: "1" if c.on_hold else "0",
    "peer": lambda w, c: w.bridging.peer_of(c),
    "musicclass": lambda _, c: c.variables.get("CHANNEL(musicclass)", ""),
}
PARTIES: Final[dict[str, dict[str, Reader]]] = {
    "CALLERID": {"num": lambda _, c: c.caller, "name": lambda _, c: c.caller_name},
    "CONNECTEDLINE": {"num": lambda _, c: c.connected, "name": lambda _, c: c.connected_name},
}
PLAIN: Final[dict[str, Reader]] = {
    "CHANNEL": lambda _, c: c.name,
    "UNIQUEID": lambda _, c: c.id,
    "EXTEN": lambda _, c: c.exten,
    "CONTEXT": lambda _, c: c.context,
}


def read(world: World, channel: FakeChannel, name: str) -> str:
    """Return a variable's or a function's value. Raises Refusal 404 or 500."""
    call = CALL.fullmatch(name)
    if call is not None:
        reader = _function(call["name"], call["args"])
        if call["name"] == "GROUP" and call["args"] in channel.groups:
            return channel.groups[call["args"]]
        if reader is None:
            raise Refusal(500, "Unable to read provided function")
        return reader(world, channel)
    if name in PLAIN:
        return PLAIN[name](world, channel)
    if name == "BRIDGEPEER" and channel.bridge is not None:
        return world.bridging.peer_of(channel)
    if name not in channel.variables:
        raise Refusal(404, "Provided variable was not found")
    return channel.variables[name]


def _function(name: str, args: str) -> Reader | None:
    first, _, rest = args.partition(",")
    match name:
        case "CHANNEL":
            return CHANNEL_ITEMS.get(args)
        case "CALLERID" | "CONNECTEDLINE":
            return PARTIES[name].get(first)
        case "DIALPLAN_EXISTS":
            wanted = first, rest.partition(",")[0]
            return lambda w, _: "1" if wanted in w.dialplan.extensions else "0"
        case "GROUP_COUNT":
            group, _, category = args.partition("@")
            return lambda w, _: str(w.dialplan.group_count(group, category))
        case "TIMEOUT" if args == "absolute":
            return lambda w, c: f"{c.ends_at - w.now():.3f}" if c.ends_at else "0"
        case _:
            return None


def write(world: World, channel: FakeChannel, name: str, value: str | None) -> None:
    """Set a variable or a function; None deletes. A function that cannot be set says nothing."""
    call = CALL.fullmatch(name)
    if call is not None:
        _write_function(world, channel, call["name"], call["args"], value or "")
    elif value is None:
        channel.variables.pop(name, None)
        world.emit("ChannelVarset", channel, variable=name, value="")
    else:
        world.set_variable(channel, name, value)


def write_all(world: World, channel: FakeChannel, variables: Mapping[str, str]) -> None:
    """Set several variables, in order."""
    for name, value in variables.items():
        write(world, channel, name, value)


def _write_function(world: World, channel: FakeChannel, name: str, args: str, value: str) -> None:
    item = args.partition(",")[0]
    match (name, item):
        case ("CHANNEL", "hangup_handler_push"):
            channel.handlers.append(value)
        case ("CHANNEL", "language"):
            channel.language = value
        case ("CHANNEL", "accountcode"):
            channel.accountcode = value
        case ("CHANNEL", "musicclass"):
            channel.variables["CHANNEL(musicclass)"] = value
        case ("CALLERID" | "CONNECTEDLINE", "num" | "name"):
            _write_party(world, channel, f"{name} {item}", value)
        case ("GROUP", _):
            if value:
                channel.groups[args] = value
            else:
                channel.groups.pop(args, None)
        case ("TIMEOUT", "absolute"):
            world.dialplan.limit(channel, float(value or 0))
        case _:
            # Asterisk logs what it cannot set, and answers 204 all the same.
            pass


def _write_party(world: World, channel: FakeChannel, item: str, value: str) -> None:
    match item:
        case "CALLERID num":
            channel.caller = value
        case "CALLERID name":
            channel.caller_name = value
        case "CONNECTEDLINE num":
            channel.connected = value
        case _:
            channel.connected_name = value
    if item.startswith("CALLERID"):
        shown = {
            "caller_presentation": 0,
            "caller_presentation_txt": "Presentation Allowed, Not Screened",
        }
        world.emit("ChannelCallerId", channel, **shown)
    else:
        world.emit("ChannelConnectedLine", channel)
