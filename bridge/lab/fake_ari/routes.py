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
    application, sources = _sources(world, request)
    existing = {
        "channel": set(world.channels),
        "bridge": set(world.bridges),
        "endpoint": {f"PJSIP/{number}" for number in world.phones},
    }
    if any(identity and identity not in existing[kind] for kind, identity in sources):
        raise Refusal(422, "Event source does not exist")
    for kind, identity in sources:
        if not identity:
            application.everything.add(kind)
        elif kind == "channel":
            application.channels[identity] += 1
        elif kind == "bridge":
            application.bridges[identity] += 1
        else:
            application.endpoints.add(identity)
    return application.json()


@route("DELETE", "applications/{}/subscription")
def _unsubscribe(world: World, _server: Server, request: Request) -> Json:
    application, sources = _sources(world, request)
    own = {
        "channel": set(application.channels),
        "bridge": set(application.bridges),
        "endpoint": application.endpoints,
    }
    if any(
        identity not in own[kind] if identity else kind not in application.everything
        for kind, identity in sources
    ):
        raise Refusal(422, "Event source was not subscribed to")
    for kind, identity in sources:
        if not identity:
            application.everything.discard(kind)
        elif kind == "channel":
            world.applications.unfollow_channel(application.name, identity)
        elif kind == "bridge":
            world.applications.unfollow_bridge(application.name, identity)
        else:
            application.endpoints.discard(identity)
    return application.json()


def _sources(world: World, request: Request) -> tuple[Application, list[tuple[str, str]]]:
    """Return the application and the event sources: kind and id, which is empty for all."""
    application = world.applications.get(request.path[0])
    given = request.need("eventSource", "Missing parameter eventSource").split(",")
    sources = [(kind, identity) for kind, _, identity in (one.partition(":") for one in given)]
    if any(kind not in {"channel", "bridge", "endpoint"} for kind, _ in sources):
        raise Refusal(400, "Invalid event source URI scheme")
    return application, sources


# Endpoints and playbacks ------------------------------------------------------------------


@route("GET", "endpoints")
def _endpoints(world: World, _server: Server, _request: Request) -> list[Json]:
    return [_endpoint_of(world, "PJSIP", number) for number in world.phones]


@route("GET", "endpoints/{}/{}")
def _endpoint(world: World, _server: Server, request: Request) -> Json:
    technology, number = request.path
    if number not in world.phones:
        raise Refusal(404, "Endpoint not found")
    return _endpoint_of(world, technology, number)


def _endpoint_of(world: World, technology: str, number: str) -> Json:
    offline = world.phones[number].answer is Answer.UNREGISTERED
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
