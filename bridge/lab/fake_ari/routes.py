"""Which request does what in the fake's world."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from bridge.lab.fake_ari.objects import Answer, Json, Refusal, now_text
from bridge.lab.fake_ari.world import ASTERISK_ID, World

MODULES = (
    "bridge_holding.so",
    "bridge_softmix.so",
    "chan_pjsip.so",
    "chan_rtp.so",
    "chan_websocket.so",
    "codec_resample.so",
    "res_ari.so",
    "res_stasis_snoop.so",
)


@dataclass
class Server:
    """What the fake says of itself."""

    version: str = "22.10.1"
    modules: tuple[str, ...] = MODULES
    startup_time: str = "2026-01-01T00:00:00.000+0000"


@dataclass(frozen=True)
class Request:
    """One request, on either transport. ``path`` holds the variable parts, unquoted."""

    method: str
    resource: str
    query: Mapping[str, str]
    body: object
    application: str
    path: tuple[str, ...] = ()

    def need(self, name: str, reason: str) -> str:
        """Return a parameter or refuse with 400."""
        value = self.query.get(name, "")
        if not value:
            raise Refusal(400, reason)
        return value

    def get(self, name: str, default: str = "") -> str:
        """Return a parameter that may be left out."""
        return self.query.get(name, default)

    def variables(self) -> dict[str, str]:
        """Return the ``variables`` of the body."""
        given = self.body.get("variables") if isinstance(self.body, dict) else None
        return {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}


Handler = Callable[[World, Server, Request], object]
"""Carries a request out; the JSON value of its answer, None for 204."""
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, template: str) -> Callable[[Handler], Handler]:
    """Register a handler for a resource such as ``channels/{}/answer``."""
    pattern = re.compile(re.escape(template).replace(r"\{\}", "([^/]+)"))

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, pattern, handler))
        return handler

    return register


def dispatch(world: World, server: Server, request: Request) -> object:
    """Carry a request out. Raises Refusal."""
    known = False
    for method, pattern, handler in ROUTES:
        match = pattern.fullmatch(request.resource)
        if match is None:
            continue
        known = True
        if method == request.method:
            parts = tuple(unquote(part) for part in match.groups())
            return handler(world, server, replace(request, path=parts))
    raise Refusal(405, "Invalid method") if known else Refusal(404, "Resource not found")


@route("GET", "asterisk/ping")
def _ping(_world: World, _server: Server, _request: Request) -> Json:
    return {"ping": "pong", "timestamp": now_text(), "asterisk_id": ASTERISK_ID}


@route("GET", "asterisk/info")
def _info(_world: World, server: Server, _request: Request) -> Json:
    return {
        "build": {
            "os": "Linux",
            "kernel": "",
            "machine": "",
            "options": "",
            "date": "",
            "user": "",
        },
        "system": {"version": server.version, "entity_id": ASTERISK_ID},
        "config": {"name": "", "default_language": "en", "setid": {"user": "", "group": ""}},
        "status": {
            "startup_time": server.startup_time,
            "last_reload_time": server.startup_time,
        },
    }


def _module(name: str) -> Json:
    return {
        "name": name,
        "description": name,
        "use_count": 0,
        "status": "Running",
        "support_level": "core",
    }


@route("GET", "asterisk/modules")
def _modules(_world: World, server: Server, _request: Request) -> object:
    return [_module(name) for name in server.modules]


@route("GET", "asterisk/modules/{}")
def _one_module(_world: World, server: Server, request: Request) -> Json:
    if request.path[0] not in server.modules:
        raise Refusal(404, "Module could not be found in loaded modules")
    return _module(request.path[0])


@route("POST", "applications/{}/subscription")
def _subscribe(world: World, _server: Server, request: Request) -> Json:
    """Subscribe to a bridge, the only source that needs it here."""
    kind, _, identity = request.need("eventSource", "Missing parameter eventSource").partition(":")
    if kind != "bridge" or identity not in world.bridges:
        raise Refusal(422, "Event source does not exist")
    world.bridges[identity].subscriptions += 1
    return {
        "name": request.path[0],
        "channel_ids": [],
        "bridge_ids": [b.id for b in world.bridges.values() if b.subscriptions > 0],
        "endpoint_ids": [],
        "device_names": [],
        "events_allowed": [],
        "events_disallowed": [],
    }


@route("GET", "endpoints/{}/{}")
def _endpoint(world: World, _server: Server, request: Request) -> Json:
    technology, number = request.path
    phone = world.phones.get(number)
    if phone is None:
        raise Refusal(404, "Endpoint not found")
    offline = phone.answer is Answer.UNREGISTERED
    on = [c.id for c in world.channels.values() if number in {c.endpoint, c.caller}]
    return {
        "technology": technology,
        "resource": number,
        "state": "offline" if offline else "online",
        "channel_ids": on,
    }


@route("GET", "channels")
def _channels(world: World, _server: Server, _request: Request) -> object:
    return [channel.json() for channel in world.listed().values()]


@route("POST", "channels")
def _originate(_world: World, _server: Server, request: Request) -> object:
    request.need("endpoint", "Endpoint must be specified")
    raise Refusal(501, "the fake does not originate: create and dial, or let a phone call in")


@route("POST", "channels/create")
def _create(world: World, _server: Server, request: Request) -> object:
    return world.create(
        request.get("channelId") or None,
        request.need("endpoint", "Endpoint must be specified"),
        request.need("app", "Application must be specified"),
        request.get("appArgs"),
    )


@route("POST", "channels/externalMedia")
def _external_media(world: World, _server: Server, request: Request) -> object:
    application = request.need("app", "app cannot be empty")
    audio_format = request.need("format", "format cannot be empty")
    if request.get("transport") != "websocket" or request.get("connection_type") != "server":
        raise Refusal(501, "the fake has media over an incoming WebSocket only")
    return world.external_media(request.get("channelId") or None, application, audio_format)


@route("GET", "channels/{}")
def _channel(world: World, _server: Server, request: Request) -> Json:
    lingering = world.lingering.get(request.path[0])
    return (lingering or world.channel(request.path[0])).json()


@route("DELETE", "channels/{}")
def _hangup(world: World, _server: Server, request: Request) -> None:
    causes = {"busy": 17, "no_answer": 19, "congestion": 34, "answered_elsewhere": 26}
    code = request.get("reason_code")
    world.hang_up(request.path[0], int(code) if code else causes.get(request.get("reason"), 16))


@route("POST", "channels/{}/answer")
def _answer(world: World, _server: Server, request: Request) -> None:
    world.answer(request.path[0])


@route("POST", "channels/{}/dial")
def _dial(world: World, _server: Server, request: Request) -> None:
    world.dial(request.path[0], float(request.get("timeout", "0")))


@route("POST", "channels/{}/continue")
def _continue(world: World, _server: Server, request: Request) -> None:
    channel = world.stasis_channel(request.path[0])
    world.end(channel)


@route("POST", "channels/{}/mute")
def _mute(world: World, _server: Server, request: Request) -> None:
    world.mute(request.path[0], request.get("direction", "both"), muted=True)


@route("DELETE", "channels/{}/mute")
def _unmute(world: World, _server: Server, request: Request) -> None:
    world.mute(request.path[0], request.get("direction", "both"), muted=False)


def _sound(method: str, name: str) -> None:
    @route(method, f"channels/{{}}/{name}")
    def _handler(world: World, _server: Server, request: Request) -> None:
        channel = world.stasis_channel(request.path[0])
        if method == "POST":
            channel.sounds.add(name)
        else:
            channel.sounds.discard(name)


for _name in ("ring", "hold", "moh", "silence"):
    _sound("POST", _name)
    _sound("DELETE", _name)


@route("GET", "channels/{}/variable")
def _get_variable(world: World, _server: Server, request: Request) -> Json:
    channel = world.channel(request.path[0])
    name = request.need("variable", "Variable name is required")
    if name not in channel.variables:
        raise Refusal(404, "Provided variable was not found")
    return {"value": channel.variables[name]}


@route("POST", "channels/{}/variable")
def _set_variable(world: World, _server: Server, request: Request) -> None:
    channel = world.stasis_channel(request.path[0])
    name = request.need("variable", "Variable name is required")
    channel.variables[name] = request.get("value")
    world.emit(channel, "ChannelVarset", variable=name, value=request.get("value"))


@route("POST", "channels/{}/variables")
def _set_variables(world: World, _server: Server, request: Request) -> None:
    channel = world.channel(request.path[0])
    for name, value in request.variables().items():
        channel.variables[name] = value
        world.emit(channel, "ChannelVarset", variable=name, value=value)


@route("POST", "channels/{}/snoop/{}")
def _snoop_with_id(world: World, _server: Server, request: Request) -> object:
    return _snoop(world, request, request.path[1])


@route("POST", "channels/{}/snoop")
def _snoop_without_id(world: World, _server: Server, request: Request) -> object:
    return _snoop(world, request, request.get("snoopId") or str(uuid.uuid4()))


def _snoop(world: World, request: Request, identity: str) -> object:
    return world.snoop(
        request.path[0],
        identity,
        spy=request.get("spy", "none"),
        whisper=request.get("whisper", "none"),
        application=request.get("app"),
        args=request.get("appArgs"),
    )


@route("GET", "bridges")
def _bridges(world: World, _server: Server, _request: Request) -> object:
    return [bridge.json() for bridge in world.bridges.values()]


@route("POST", "bridges")
def _create_bridge(world: World, _server: Server, request: Request) -> object:
    identity = request.get("bridgeId") or str(uuid.uuid4())
    return world.create_bridge(identity, request.get("type"), request.get("name"))


@route("POST", "bridges/{}")
def _create_bridge_with_id(world: World, _server: Server, request: Request) -> object:
    return world.create_bridge(request.path[0], request.get("type"), request.get("name"))


@route("GET", "bridges/{}")
def _bridge(world: World, _server: Server, request: Request) -> Json:
    return world.bridge(request.path[0]).json()


@route("DELETE", "bridges/{}")
def _destroy_bridge(world: World, _server: Server, request: Request) -> None:
    world.destroy_bridge(request.path[0], request.application)


@route("POST", "bridges/{}/addChannel")
def _add_channel(world: World, _server: Server, request: Request) -> None:
    world.add_to_bridge(request.path[0], request.need("channel", "Missing").split(","))


@route("POST", "bridges/{}/removeChannel")
def _remove_channel(world: World, _server: Server, request: Request) -> None:
    world.remove_from_bridge(request.path[0], request.need("channel", "Missing").split(","))


@route("POST", "bridges/{}/moh")
def _start_music(world: World, _server: Server, request: Request) -> None:
    world.bridge(request.path[0]).music = True


@route("DELETE", "bridges/{}/moh")
def _stop_music(world: World, _server: Server, request: Request) -> None:
    world.bridge(request.path[0]).music = False
