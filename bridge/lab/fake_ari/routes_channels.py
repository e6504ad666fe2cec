"""The fake server's resources below ``channels``."""

from __future__ import annotations

import uuid

from bridge.lab.fake_ari import variables
from bridge.lab.fake_ari.dialling import Origination
from bridge.lab.fake_ari.media import FRAME_BYTES, FRAME_S
from bridge.lab.fake_ari.objects import Json, Kind, Refusal
from bridge.lab.fake_ari.router import Request, Server, route
from bridge.lab.fake_ari.world import World

REASONS = {
    "normal": 16,
    "busy": 17,
    "congestion": 34,
    "no_answer": 19,
    "timeout": 18,
    "rejected": 21,
    "unallocated": 1,
    "normal_unspecified": 31,
    "number_incomplete": 28,
    "codec_mismatch": 127,
    "interworking": 127,
    "failure": 38,
    "answered_elsewhere": 26,
}


@route("GET", "channels")
def _channels(world: World, _server: Server, _request: Request) -> object:
    return [channel.json() for channel in world.listed().values()]


@route("POST", "channels")
def _originate(world: World, _server: Server, request: Request) -> object:
    return _do_originate(world, request, request.get("channelId"))


@route("POST", "channels/{}")
def _originate_with_id(world: World, _server: Server, request: Request) -> object:
    return _do_originate(world, request, request.path[0])


def _do_originate(world: World, request: Request, identity: str) -> object:
    asked = _origination(request, identity)
    if not (asked.application or asked.exten):
        raise Refusal(400, "Application or extension must be specified")
    return world.dialling.originate(asked)


def _origination(request: Request, identity: str) -> Origination:
    return Origination(
        endpoint=request.need("endpoint", "Endpoint must be specified"),
        identity=identity,
        other=request.get("otherChannelId"),
        application=request.get("app"),
        args=request.get("appArgs"),
        context=request.get("context", "default"),
        exten=request.get("extension"),
        caller=request.get("callerId"),
        timeout_s=float(request.get("timeout", "30")),
        variables=request.variables(),
    )


@route("POST", "channels/create")
def _create(world: World, _server: Server, request: Request) -> object:
    asked = _origination(request, request.get("channelId"))
    if not asked.application:
        raise Refusal(400, "Application must be specified")
    return world.dialling.create(asked, originator=request.get("originator"))


@route("POST", "channels/externalMedia")
def _external_media(world: World, _server: Server, request: Request) -> object:
    application = request.need("app", "app cannot be empty")
    codec = request.need("format", "format cannot be empty")
    host = request.get("external_host")
    transport = request.get("transport", "udp")
    if transport == "websocket":
        if request.get("connection_type") != "server":
            raise Refusal(501, "the fake has media over an incoming WebSocket or RTP only")
        host = ""
    elif not host:
        raise Refusal(400, "external_host is required for all but websocket server connections")
    elif ":" not in host:
        raise Refusal(
            400, "external_host must be <host>:<port> for all transports other than websocket"
        )
    return world.dialling.external_media(request.get("channelId"), application, host, codec)


@route("GET", "channels/{}")
def _channel(world: World, _server: Server, request: Request) -> Json:
    lingering = world.lingering.get(request.path[0])
    return (lingering or world.channel(request.path[0])).json()


@route("DELETE", "channels/{}")
def _hangup(world: World, _server: Server, request: Request) -> None:
    world.channel(request.path[0])
    code, reason = request.get("reason_code"), request.get("reason", "normal")
    if not code and reason not in REASONS:
        raise Refusal(400, "Invalid reason for hangup reason provided")
    world.hang_up(request.path[0], int(code) if code else REASONS[reason])


@route("POST", "channels/{}/answer")
def _answer(world: World, _server: Server, request: Request) -> None:
    world.dialling.answer(request.path[0])


@route("POST", "channels/{}/dial")
def _dial(world: World, _server: Server, request: Request) -> None:
    timeout_s = float(request.get("timeout", "0"))
    world.dialling.dial(request.path[0], request.get("caller"), timeout_s)


@route("POST", "channels/{}/continue")
def _continue(world: World, _server: Server, request: Request) -> None:
    world.go_on(request.path[0], request.get("context"), request.get("extension", "s"))


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
        on = method == "POST"
        if on:
            channel.sounds.add(name)
        else:
            channel.sounds.discard(name)
        channel.on_hold = on if name == "hold" else channel.on_hold


for _name in ("ring", "hold", "moh", "silence"):
    _sound("POST", _name)
    _sound("DELETE", _name)


@route("GET", "channels/{}/rtp_statistics")
def _rtp_statistics(world: World, _server: Server, request: Request) -> Json:
    channel = world.channel(request.path[0])
    if channel.kind is Kind.RTP:
        raise Refusal(404, "RTP info not found")
    if channel.kind is not Kind.PHONE:
        raise Refusal(403, "Unsupported channel type")
    sent = round((world.now() - channel.began) / FRAME_S)
    channel.received = channel.received if channel.silent else sent
    return {
        "txcount": sent,
        "rxcount": channel.received,
        "txploss": 0,
        "rxploss": 0,
        "local_ssrc": 1,
        "remote_ssrc": 2,
        "txoctetcount": sent * FRAME_BYTES["ulaw"],
        "rxoctetcount": channel.received * FRAME_BYTES["ulaw"],
        "channel_uniqueid": channel.id,
    }


@route("POST", "channels/{}/dtmf")
def _dtmf(world: World, _server: Server, request: Request) -> None:
    channel = world.stasis_channel(request.path[0])
    channel.digits += request.need("dtmf", "DTMF is required")


@route("POST", "channels/{}/play", status=201)
def _play(world: World, _server: Server, request: Request) -> Json:
    identity = request.get("playbackId")
    return world.sounds.play_to_channel(request.path[0], request.get("media"), identity)


@route("POST", "channels/{}/play/{}", status=201)
def _play_with_id(world: World, _server: Server, request: Request) -> Json:
    channel, playback = request.path
    return world.sounds.play_to_channel(channel, request.get("media"), playback)


@route("GET", "channels/{}/variable")
def _get_variable(world: World, _server: Server, request: Request) -> Json:
    channel = world.channel(request.path[0])
    name = request.need("variable", "Variable name is required")
    return {"value": variables.read(world, channel, name)}


@route("POST", "channels/{}/variable")
def _set_variable(world: World, _server: Server, request: Request) -> None:
    channel = world.stasis_channel(request.path[0])
    name = request.need("variable", "Variable name is required")
    body = request.body if isinstance(request.body, dict) else {}
    variables.write(world, channel, name, request.query.get("value", body.get("value")))


@route("POST", "channels/{}/variables")
def _set_variables(world: World, _server: Server, request: Request) -> None:
    variables.write_all(world, world.channel(request.path[0]), request.variables())


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
