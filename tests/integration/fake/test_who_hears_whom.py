"""Who hears whom by the fake's objects alone, as it was measured on a real Asterisk."""

from __future__ import annotations

from bridge.lab.fake_ari import FakeAri, FakeCall
from bridge.lab.waiting import until

APPLICATION = "callbridge"


class Room:
    """A foreign call and an observer who is a phone of ours, set up on the fake's own objects."""

    def __init__(self, fake: FakeAri, call: FakeCall) -> None:
        assert call.callee is not None
        self.fake = fake
        self.names = {call.caller.id: "caller", call.callee.id: "callee"}

    async def phone(self, name: str) -> str:
        """Let a phone call our application; its id."""
        channel = self.fake.incoming_call(caller=f"10{len(self.names):02}")
        self.names[channel.id] = name
        await until(lambda: channel.in_stasis, "it is in Stasis")
        return channel.id

    async def snoop(self, target: str, spy: str = "none", whisper: str = "none") -> str:
        """Put a snoop on somebody; its id."""
        world = self.fake.world
        identity = f"snoop-{len(world.channels)}"
        on = next(i for i, name in self.names.items() if name == target)
        world.snoop(on, identity, spy=spy, whisper=whisper, application=APPLICATION, args="")
        await until(lambda: world.channels[identity].in_stasis, "it is in Stasis")
        return identity

    def join(self, *members: str, kind: str = "mixing") -> None:
        """Put channels into a bridge."""
        bridge = f"bridge-{len(self.fake.world.bridges)}"
        self.fake.world.bridging.create(bridge, kind, "")
        self.fake.world.bridging.add_channels(bridge, list(members))

    def heard(self) -> dict[str, dict[str, int]]:
        """Who hears whom, by names; who hears nobody is left out."""
        found = {
            self.names[listener]: {self.names[who]: ways for who, ways in voices.items()}
            for listener, voices in self.fake.hearing().items()
        }
        return {listener: voices for listener, voices in found.items() if voices}


async def room(fake: FakeAri) -> Room:
    call = fake.place_call()
    await until(lambda: call.bridge is not None, "both talk")
    # The observer's phone reaches an application that is there.
    fake.world.applications.connect(APPLICATION)
    return Room(fake, call)


TALK = {"caller": {"callee": 1}, "callee": {"caller": 1}}


async def test_a_private_line() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        observer, line = await made.phone("observer"), await made.snoop("callee", "in", "out")
        made.join(observer, line)
        callee = {"callee": {"caller": 1, "observer": 1}}
        assert made.heard() == {**TALK, **callee, "observer": {"callee": 1}}
        fake.world.mute(line, "out", muted=True)
        assert made.heard() == {**TALK, "observer": {"callee": 1}}
        fake.world.mute(line, "in", muted=True)
        assert made.heard() == TALK
        fake.world.mute(line, "both", muted=False)
        fake.world.mute(observer, "in", muted=True)
        assert made.heard() == {**TALK, "observer": {"callee": 1}}


async def test_a_spy_on_both_directions() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        made.join(await made.phone("observer"), await made.snoop("callee", spy="both"))
        assert made.heard() == {**TALK, "observer": {"caller": 1, "callee": 1}}


async def test_a_whisper_as_if_somebody_spoke() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        made.join(await made.phone("observer"), await made.snoop("callee", whisper="in"))
        assert made.heard() == {**TALK, "caller": {"callee": 1, "observer": 1}}


async def test_two_lines_of_one_bridge_double_and_echo() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        lines = [await made.snoop(who, "in", "out") for who in ("caller", "callee")]
        made.join(await made.phone("observer"), *lines)
        assert made.heard() == {
            "caller": {"callee": 2, "observer": 1},
            "callee": {"caller": 2, "observer": 1},
            "observer": {"caller": 1, "callee": 1},
        }


async def test_nobody_is_heard_in_a_holding_bridge() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        made.join(await made.phone("one"), await made.phone("other"), kind="holding")
        assert made.heard() == TALK


async def test_a_line_on_a_line() -> None:
    async with FakeAri() as fake:
        made = await room(fake)
        observer, line = await made.phone("observer"), await made.snoop("callee", "in", "out")
        made.join(observer, line)
        ear = await made.snoop("observer", "in")
        made.join(await made.phone("second"), ear)
        assert made.heard()["second"] == {"observer": 1}
