"""What is expected in a run: of phones, of calls, of events, of recordings."""

from __future__ import annotations

import asyncio
from typing import Final

import soundfile

from bridge.lab.acceptance import steps as do
from bridge.lab.acceptance.doing import Doing, expects
from bridge.lab.acceptance.judging import tone_seconds
from bridge.lab.acceptance.stage import Actor, StepFailedError
from bridge.lab.hearing import Pcm, pcm_from_bytes
from bridge.lab.phones import CallState, Direction, Phone
from bridge.sdk import Observer

_STATES: Final = {CallState.CONFIRMED: "talking", CallState.DISCONNECTED: "ended"}
"""All others are before that: it rings here, or elsewhere."""
_HEARD_SECONDS: Final = 0.3
"""How long a voice is in a recording at least, to be there; and less than a frame, not to be."""
_BELOW_DB: Final = 12.0
_TWO: Final = 2
_ABSENT_SECONDS: Final = 0.06
_CHANGES_SECONDS: Final = 0.1


@expects(do.Expect)
async def _expect(doing: Doing, action: do.Expect) -> None:
    await asyncio.gather(*(_phone_is(doing, action, name) for name in action.phone))


async def _phone_is(doing: Doing, action: do.Expect, name: str) -> None:
    phone = doing.stage.phones[name]

    def holds() -> bool:
        return state_of(phone) == action.state

    await doing.until(holds, lambda: f"{name} is {state_of(phone)}: not {action.state}")
    if action.state == "talking":
        doing.stage.talks(name)
    if action.code is not None:
        _ended_with(name, phone, action.code)


def state_of(phone: Phone) -> str:
    """Return how a phone is, in the words of a run."""
    if not phone.calls:
        return "idle"
    newest = phone.calls[-1]
    before = "ringing" if newest.direction is Direction.IN else "calling"
    return _STATES.get(newest.state, before)


def _ended_with(name: str, phone: Phone, code: int) -> None:
    why = phone.last_disconnect
    if why is None or why.code != code:
        found = "still talks" if why is None else f"ended with {why.code} {why.reason}"
        raise StepFailedError(f"the call of {name} {found}, not with {code}")


@expects(do.Digits)
async def _digits(doing: Doing, action: do.Digits) -> None:
    stage = doing.stage

    def received() -> str:
        if action.at in stage.phones:
            return stage.phones[action.at].digits
        actor = stage.actor(action.at)
        return actor.keys[_role(doing, actor, action.party)]

    def holds() -> bool:
        return received() == action.keys

    def unless() -> str:
        return f"{action.at} has {received()!r} within {doing.within:g} s, not {action.keys!r}"

    await stage.until(holds, unless, doing.within)
    # More keys than these are as wrong as fewer.
    await asyncio.sleep(_CHANGES_SECONDS)
    if not holds():
        raise StepFailedError(f"{action.at} has more: {received()!r}, not {action.keys!r}")


def _role(doing: Doing, actor: Actor, who: str) -> str:
    endpoint = doing.stage.endpoint(who) if who in doing.stage.phones else None
    roles = [party.name for party in actor.call.parties if party.endpoint == endpoint]
    return roles[0] if roles else who


@expects(do.Call)
async def _call(doing: Doing, action: do.Call) -> None:
    stage = doing.stage
    actor = stage.actor(action.by)
    wanted = {
        "state": action.state,
        "mode": action.mode,
        "parties": None if action.parties is None else frozenset(action.parties),
        "parked_in": action.parked_in,
        "ended_by": action.ended_by,
    }

    def differs() -> str:
        now = _facts(actor)
        for name, value in wanted.items():
            if value is not None and now[name] != value:
                return f"{name} is {_shown(now[name])}, not {_shown(value)}"
        return ""

    await doing.until(lambda: not differs(), lambda: f"the call of {action.by}: {differs()}")


def _facts(actor: Actor) -> dict[str, object]:
    hand = actor.hand
    if isinstance(hand, Observer):
        return {
            "state": None,
            "mode": hand.mode,
            "parties": hand.parties,
            "parked_in": None,
            "ended_by": None if hand.left is None else str(hand.left),
        }
    return {
        "state": hand.state,
        "mode": hand.mode,
        "parties": frozenset(party.name for party in hand.parties if party.joined),
        "parked_in": hand.parked_in,
        "ended_by": None if hand.end_reason is None else str(hand.end_reason),
    }


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "nobody"
    return "nothing" if value is None else str(value)


@expects(do.Event)
async def _event(doing: Doing, action: do.Event) -> None:
    told = doing.stage.told

    def unless() -> str:
        return f"there was no {action.type} (told were: {', '.join(told) or 'none'})"

    await doing.until(lambda: action.type in told, unless)
    told.remove(action.type)


@expects(do.NoEvent)
async def _no_event(doing: Doing, action: do.NoEvent) -> None:
    await asyncio.sleep(float(doing.step.lasts or 0.0))
    if action.type in doing.stage.told:
        raise StepFailedError(f"there was a {action.type}")


@expects(do.Recorded)
async def _recorded(doing: Doing, action: do.Recorded) -> None:
    recording = doing.stage.actor(action.by).recording
    if recording is None:
        raise StepFailedError(f"{action.by} records nothing")
    async with asyncio.timeout(doing.within):
        await recording.wait_ended()
    # A daemon's files are brought here first.
    whole = {path.name for path in recording.files}
    paths = [str(path) for path in await recording.fetch() if path.name in whole]
    if not paths:
        raise StepFailedError(f"nothing of the recording of {action.by} is whole")
    channels = await asyncio.to_thread(_channels, paths)
    wanted = {"caller": action.caller, "others": action.others}
    wrong: list[str] = []
    for side, pcm, rate in channels:
        doing.measured[side] = found = await asyncio.to_thread(_voices, doing, pcm, rate)
        wrong += [
            f"{name} is not in the {side} channel"
            for name in wanted[side]
            if found[name] < _HEARD_SECONDS
        ]
        wrong += [
            f"{name} is in the {side} channel, unwanted, for {seconds:.2f} s"
            for name, seconds in found.items()
            if name not in wanted[side] and seconds > _ABSENT_SECONDS
        ]
    if wrong:
        raise StepFailedError("; ".join(wrong))


def _voices(doing: Doing, pcm: Pcm, rate: int) -> dict[str, float]:
    """Return for how long each voice is heard in a channel, at a stretch."""
    level = doing.stage.run.hearing.level - _BELOW_DB
    return {
        name: round(tone_seconds(pcm, hz, level, rate), 2)
        for name, hz in doing.stage.scale.tones.items()
    }


def _channels(paths: list[str]) -> list[tuple[str, Pcm, int]]:
    found: dict[str, list[bytes]] = {"caller": [], "others": []}
    rate = 0
    for path in paths:
        try:
            samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise StepFailedError(f"{path} cannot be read: {error}") from error
        if samples.shape[1] != _TWO:
            raise StepFailedError(f"{path} has {samples.shape[1]} channels, not {_TWO}")
        for side, column in zip(found, samples.T, strict=True):
            found[side].append(column.astype("<i2").tobytes())
    return [(side, pcm_from_bytes(b"".join(parts)), rate) for side, parts in found.items()]
