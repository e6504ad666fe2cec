"""The resources of the fake server that are neither channels nor bridges."""

from __future__ import annotations

from bridge.lab.fake_ari.applications import ASTERISK_ID, Application, read_filter
from bridge.lab.fake_ari.objects import Answer, Json, Refusal, now_text
from bridge.lab.fake_ari.router import Request, Server, route
from bridge.lab.fake_ari.world import World


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


# Applications -----------------------------------------------------------------------------


@route("GET", "applications")
def _applications(world: World, _server: Server, _request: Request) -> object:
    return [application.json() for application in world.applications.known.values()]


@route("GET", "applications/{}")
def _application(world: World, _server: Server, request: Request) -> Json:
    return world.applications.get(request.path[0]).json()


@route("PUT", "applications/{}/eventFilter")
def _filter(world: World, _server: Server, request: Request) -> Json:
    application = world.applications.get(request.path[0])
    read_filter(application, request.body)
    return application.json()


@route("POST", "applications/{}/subscription")
def _subscribe(world: World, _server: Server, request: Request) -> Json:
    application, kind, identity = _source(world, request)
    existing = {
        "channel": identity in world.channels,
        "bridge": identity in world.bridges,
        "endpoint": identity.removeprefix("PJSIP/") in world.phones,
    }
    if not existing[kind]:
        raise Refusal(422, "Event source does not exist")
    if kind == "channel":
        application.channels[identity] += 1
    elif kind == "bridge":
        application.bridges[identity] += 1
    else:
        application.endpoints.add(identity)
    return application.json()


@route("DELETE", "applications/{}/subscription")
def _unsubscribe(world: World, _server: Server, request: Request) -> Json:
    application, kind, identity = _source(world, request)
    sources = {
        "channel": application.channels,
        "bridge": application.bridges,
        "endpoint": application.endpoints,
    }[kind]
    if identity not in sources:
        raise Refusal(422, "Event source was not subscribed to")
    if kind == "channel":
        world.applications.unfollow_channel(application.name, identity)
    elif kind == "bridge":
        world.applications.unfollow_bridge(application.name, identity)
    else:
        application.endpoints.discard(identity)
    return application.json()


def _source(world: World, request: Request) -> tuple[Application, str, str]:
    application = world.applications.get(request.path[0])
    kind, _, identity = request.need("eventSource", "Missing parameter eventSource").partition(":")
    if kind not in {"channel", "bridge", "endpoint"}:
        raise Refusal(400, "Invalid event source URI scheme")
    return application, kind, identity


# Endpoints and playbacks ------------------------------------------------------------------


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


@route("GET", "playbacks/{}")
def _playback(world: World, _server: Server, request: Request) -> Json:
    return world.sounds.get(request.path[0]).json()


@route("DELETE", "playbacks/{}")
def _stop_playback(world: World, _server: Server, request: Request) -> None:
    world.sounds.stop(request.path[0])
