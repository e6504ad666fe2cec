"""What no table of roles can say: coaching, others' observers, dialling, and how often."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from bridge.api.auth.dialling import DialRule, DialRules
from bridge.api.auth.limits import Rate, RateLimits
from bridge.api.auth.tenancy import Tenancy
from bridge.api.hub import EventHub
from bridge.api.programs import Programs
from bridge.api.views import Views
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import ConfigurationError, ErrorCode
from bridge.protocol.frames import PROGRAM_SOCKET, Attach, Attached
from bridge.sdk import ActiveCall, Client
from bridge.sdk.call import Route
from bridge.sdk.events import CALL_CONNECTED
from tests.api.auth.scene import Scene, arranged
from tests.support.daemon import running_api
from tests.support.sockets import far_end


@pytest.fixture
async def scene(fake: FakeAri, tmp_path: Path) -> AsyncIterator[Scene]:
    async with arranged(fake, tmp_path) as scene:
        yield scene


async def test_who_may_only_listen_is_heard_by_nobody(scene: Scene) -> None:
    path = f"/calls/{scene.call}/observers"
    for mode in ("whisper", "barge"):
        reply = await scene.api.ask("POST", path, {"mode": mode}, key="observer")
        assert (reply.status, reply.code) == (403, "FORBIDDEN")
        assert "coach" in reply.json["detail"]
    assert {one["name"] for one in (await scene.api.done("GET", path))["items"]} == {"listener"}
    await scene.api.done("POST", path, {"name": "mine"}, key="observer")
    for mode in ("whisper", "barge"):
        reply = await scene.api.ask("PUT", f"{path}/mine/mode", {"mode": mode}, key="observer")
        assert (reply.status, reply.code) == (403, "FORBIDDEN")
    assert (await scene.api.ask("POST", f"{path}/mine/takeover", {}, key="observer")).status == 403
    shown = await scene.api.done("GET", f"{path}/mine", key="observer")
    assert (shown["mode"], shown["by"]) == ("spy", "the-observer")
    await scene.api.done("PUT", f"{path}/mine/mode", {"mode": "spy"}, key="observer")
    await scene.api.done("DELETE", f"{path}/mine", key="observer")


async def test_others_observers_are_left_alone_by_who_only_listens(scene: Scene) -> None:
    path = f"/calls/{scene.call}/observers/listener"
    for method, what, body in (
        ("DELETE", "", None),
        ("PUT", "/mode", {"mode": "spy"}),
        ("POST", "/move", {}),
    ):
        reply = await scene.api.ask(method, path + what, body, key="observer")
        assert (reply.status, reply.code) == (403, "FORBIDDEN"), what
        assert "placed by the-admin" in reply.json["detail"]
    await scene.api.done("PUT", f"{path}/mode", {"mode": "barge"}, key="supervisor")
    await scene.api.done("DELETE", path, key="supervisor")


async def test_nobody_takes_an_observer_to_what_he_does_not_see(scene: Scene) -> None:
    path = f"/calls/{scene.call}/observers"
    await scene.api.done("POST", path, {"name": "mine"}, key="observer own queue")
    for to in (scene.foreign_call, scene.support_call):
        reply = await scene.api.ask(
            "POST", f"{path}/mine/move", {"to": to}, key="observer own queue"
        )
        assert (reply.status, reply.code) == (404, "CALL_NOT_FOUND")
    # By what a party of a foreign call is called, either: all callers are 1001.
    reply = await scene.api.ask("POST", "/calls/1001/observers", {}, key="observer own queue")
    assert reply.status == 201
    assert reply.json["call_id"] == scene.call
    reply = await scene.api.ask("POST", f"{path}/mine/move", {}, key="observer own queue")
    assert reply.code == "CALL_NOT_FOUND"  # there is no next one


async def test_what_is_originated_belongs_to_who_originates_it(scene: Scene) -> None:
    api = scene.api
    call = await api.done("POST", "/calls", {"to": "1005"}, key="program foreign")
    assert (call["tenant"], call["queue"]) == ("acme", "")
    # What is dialled would be of default, and of sales: that is another's doing to say.
    own = await api.done("POST", "/calls", {"to": "1002"}, key="program foreign queue")
    assert (own["tenant"], own["queue"]) == ("acme", "sales")
    for call_id in (call["call_id"], own["call_id"]):
        assert (await api.ask("GET", f"/calls/{call_id}", key="admin own")).status == 404
        await api.done("DELETE", f"/calls/{call_id}", key="admin foreign")


DIALLING: Final = (
    ("POST", "/calls", {"to": "{}"}),
    ("POST", "/calls", {"to": "1005", "connect": "{}"}),
    ("POST", "/calls/{call}/connect", {"to": "{}"}),
    ("POST", "/calls/{call}/connect", {"to": ["1005", "{}"]}),
    ("POST", "/calls/{call}/parties", {"to": "{}"}),
    ("POST", "/calls/{call}/observers", {"phone": "{}"}),
    ("POST", "/calls/{call}/transfers", {"to": [["1005"], ["1006", "{}"]]}),
)
FRAUD: Final = (
    "PJSIP/0900@trunk",
    "PJSIP/1005/sip:0900@evil.example",
    "Local/0900@outside",
    "*21*0900",
    "PJSIP/1005&PJSIP/0900@trunk",
    "PJSIP/1005,60,tT",
)


async def test_nothing_is_dialled_that_is_not_allowed(scene: Scene) -> None:
    fake, api = scene.fake, scene.api
    before = set(fake.world.channels)
    for (method, path, body), target in itertools.product(DIALLING, FRAUD):
        reply = await api.ask(method, path.format(call=scene.call), with_target(body, target))
        assert reply.code in {"DIAL_DENIED", "BAD_ARGUMENT"}, (path, target, reply.raw)
        assert reply.status in {403, 422}
    assert set(fake.world.channels) == before
    assert api.service.dial_rules.live("default") == 0


def with_target(value: object, target: str) -> object:
    """Put what is to be dialled in its place."""
    match value:
        case str():
            return value.replace("{}", target)
        case list():
            return [with_target(one, target) for one in value]
        case dict():
            return {name: with_target(one, target) for name, one in value.items()}
        case _:
            return value


async def test_the_number_that_was_dialled_is_judged_too(fake: FakeAri, tmp_path: Path) -> None:
    rules = DialRules(DialRule(deny=("10*",)))
    async with running_api(fake, tmp_path, dial_rules=rules) as api:
        fake.incoming_call(number="1002")
        await until(lambda: api.client.calls, "the call is there")
        (call,) = api.client.calls
        await api.done("POST", f"/calls/{call.call_id}/answer")
        reply = await api.ask("POST", f"/calls/{call.call_id}/connect", {})
        assert (reply.status, reply.code) == (403, "DIAL_DENIED")
        await call.disconnect(cut=True)


@asynccontextmanager
async def falling_back(
    fake: FakeAri, may_dial: Callable[[str, str], bool], route: Route | None = None
) -> AsyncIterator[Client]:
    """Have calls that no program takes put to whom the caller dialled."""
    client = Client(fake.url, fake.username, fake.password, probe=False, route=route)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        views = Views(client, Tenancy(), recordings=Path(folder))
        stack.push_async_callback(views.close)
        hub = EventHub(views)
        hub.watch(client)
        programs = Programs(
            client, views, hub, wait_seconds=0.05, fallback="connect", may_dial=may_dial
        )
        stack.push_async_callback(programs.close)
        yield await stack.enter_async_context(client)


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_caller_without_a_program_is_connected_only_where_it_is_allowed(
    fake: FakeAri, *, allowed: bool
) -> None:
    rules = DialRules(DialRule(deny=() if allowed else ("1002",)))

    def may_dial(target: str, tenant: str) -> bool:
        return rules.allows(target, tenant=tenant)

    async with falling_back(fake, may_dial) as client:
        caller = fake.incoming_call(number="1002")
        rung: list[str] = []
        client.on(CALL_CONNECTED, lambda call, *_: rung.append(call.call_id))
        if allowed:
            await until(lambda: rung, "the callee is put to him")
            fake.channel_hangs_up(caller.id)
        await until(lambda: caller.id not in fake.world.channels, "he is hung up")
        assert bool(rung) is allowed
        asked = [one.query.get("endpoint") for one in fake.received]
        assert ("PJSIP/1002" in asked) is allowed
        await until(lambda: not fake.world.channels, "nobody is left")


async def test_a_caller_of_whom_is_not_known_whom_to_ring_is_hung_up(fake: FakeAri) -> None:
    def lost(_call: ActiveCall) -> str:
        raise ConfigurationError("the route is lost")

    async with falling_back(fake, lambda _target, _tenant: True, lost):
        caller = fake.incoming_call(number="1002")
        await until(lambda: caller.id not in fake.world.channels, "he is hung up")
        assert not [one for one in fake.received if one.query.get("endpoint")]


async def test_legs_count_until_they_are_over(fake: FakeAri, tmp_path: Path) -> None:
    rules = DialRules(DialRule(concurrent=1))
    async with running_api(fake, tmp_path, dial_rules=rules) as api:
        call = await api.done("POST", "/calls", {"to": "1005"})
        reply = await api.ask("POST", "/calls", {"to": "1006"})
        assert (reply.status, reply.code) == (403, "DIAL_DENIED")
        assert "its limit" in reply.json["detail"]
        await api.done("DELETE", f"/calls/{call['call_id']}")
        await until(lambda: rules.live("default") == 0, "the leg is over")
        again = await api.done("POST", "/calls", {"to": "1006"})
        await api.done("DELETE", f"/calls/{again['call_id']}")


async def test_who_asks_too_often_is_told_when_to_come_again(fake: FakeAri, tmp_path: Path) -> None:
    limits = RateLimits(commands=Rate(0.01, 1), reads=Rate(0.01, 2))
    async with running_api(fake, tmp_path, rate_limits=limits) as api:
        path = "/calls/none/answer"
        assert (await api.ask("POST", path)).code == "CALL_NOT_FOUND"
        reply = await api.ask("POST", path)
        assert (reply.status, reply.code) == (429, "RATE_LIMITED")
        assert 90 < int(reply.headers["Retry-After"]) <= 101
        # Reads are counted apart, and everybody for himself.
        assert (await api.ask("GET", "/me")).status == 200
        assert (await api.ask("GET", "/me")).status == 200
        assert (await api.ask("GET", "/me")).status == 429
        assert (await api.ask("POST", path, key="supervisor")).code == "CALL_NOT_FOUND"
        assert (await api.ask("GET", "/health", key=None)).status == 200


async def test_a_program_says_its_terms_no_oftener_than_it_may_command(
    fake: FakeAri, tmp_path: Path
) -> None:
    limits = RateLimits(commands=Rate(0.01, 2), reads=Rate(0.01, 1))
    async with (
        running_api(fake, tmp_path, rate_limits=limits) as api,
        far_end(api, PROGRAM_SOCKET.format(name="bot"), key="program") as far,
    ):
        for _ in range(3):
            await far.say(Attach())
            assert isinstance(await far.next(), Attached)
        await far.say(Attach())
        end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (1013, ErrorCode.RATE_LIMITED)


async def test_who_guesses_keys_is_held_up(fake: FakeAri, tmp_path: Path) -> None:
    async with running_api(fake, tmp_path) as api:
        wrong = f"cbk_{'0' * 16}_{'a' * 43}"
        codes = [(await api.ask("GET", "/me", key=wrong)).code for _ in range(30)]
        assert codes[:20] == ["UNAUTHENTICATED"] * 20
        assert codes[-1] == "RATE_LIMITED"
        reply = await api.ask("GET", "/me", key=wrong)
        assert reply.status == 429
        assert int(reply.headers["Retry-After"]) >= 1
        # Who has a key comes in from the same address.
        assert (await api.ask("GET", "/me", key="observer")).status == 200


PLAYING: Final[tuple[tuple[str, str, str, dict[str, object]], ...]] = (
    ("POST", "/announcements", "sound", {}),
    ("PATCH", "/parties/caller", "announce", {"held": True}),
    ("POST", "/transfers", "brief", {"to": [["1005"]]}),
    ("POST", "/recordings", "announce", {}),
)
SOUNDS: Final = (
    "/var/spool/asterisk/voicemail/default/1001/INBOX/msg0000",
    "../../spool/asterisk/voicemail/default/1001/INBOX/msg0000",
    "en/../../x",
    "http://127.0.0.1:8088/secret",
    "beep&/etc/x",
    "",
)


async def test_what_is_played_is_a_sound_of_asterisks(scene: Scene) -> None:
    path = f"/calls/{scene.call}"
    for (method, what, field, body), sound in itertools.product(PLAYING, SOUNDS):
        reply = await scene.api.ask(method, path + what, {**body, field: f"sound:{sound}"})
        assert (reply.status, reply.code) == (422, "BAD_ARGUMENT"), (what, reply.raw)
