"""The fake server's resources below ``bridges``."""

from __future__ import annotations

import uuid

from bridge.lab.fake_ari.objects import Json
from bridge.lab.fake_ari.router import Request, Server, route
from bridge.lab.fake_ari.world import World


@route("GET", "bridges")
def _bridges(world: World, _server: Server, _request: Request) -> object:
    return [bridge.json() for bridge in world.bridges.values()]


@route("POST", "bridges")
def _create_bridge(world: World, _server: Server, request: Request) -> object:
    identity = request.get("bridgeId") or str(uuid.uuid4())
    return world.bridging.create(identity, request.get("type"), request.get("name"))


@route("POST", "bridges/{}")
def _create_bridge_with_id(world: World, _server: Server, request: Request) -> object:
    return world.bridging.create(request.path[0], request.get("type"), request.get("name"))


@route("GET", "bridges/{}")
def _bridge(world: World, _server: Server, request: Request) -> Json:
    return world.bridging.get(request.path[0]).json()


@route("DELETE", "bridges/{}")
def _destroy_bridge(world: World, _server: Server, request: Request) -> None:
    world.bridging.destroy(world.bridging.own(request.path[0]))


@route("POST", "bridges/{}/addChannel")
def _add_channel(world: World, _server: Server, request: Request) -> None:
    world.bridging.add_channels(request.path[0], request.need("channel", "Missing").split(","))


@route("POST", "bridges/{}/removeChannel")
def _remove_channel(world: World, _server: Server, request: Request) -> None:
    world.bridging.remove_channels(request.path[0], request.need("channel", "Missing").split(","))


@route("POST", "bridges/{}/moh")
def _start_music(world: World, _server: Server, request: Request) -> None:
    world.bridging.music(request.path[0], on=True)


@route("DELETE", "bridges/{}/moh")
def _stop_music(world: World, _server: Server, request: Request) -> None:
    world.bridging.music(request.path[0], on=False)


@route("POST", "bridges/{}/play", status=201)
def _play(world: World, _server: Server, request: Request) -> Json:
    identity = request.get("playbackId")
    return world.sounds.play_to_bridge(request.path[0], request.get("media"), identity)


@route("POST", "bridges/{}/play/{}", status=201)
def _play_with_id(world: World, _server: Server, request: Request) -> Json:
    bridge, playback = request.path
    return world.sounds.play_to_bridge(bridge, request.get("media"), playback)
