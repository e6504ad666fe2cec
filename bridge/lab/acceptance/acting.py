"""What people do in a run, with their phones; and what both they and agents can do."""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.lab.acceptance import steps as do
from bridge.lab.acceptance.doing import Doing, does
from bridge.lab.acceptance.model import BRIEF
from bridge.lab.acceptance.stage import Actor, StepFailedError
from bridge.lab.hearing import tone
from bridge.lab.phones import Behaviour, CallState, Direction, Phone
from bridge.sdk import Observer
from bridge.sdk.transfer import Transfer as Handover

_RUNG: Final = frozenset({CallState.INCOMING, CallState.EARLY})


@does(do.Place)
async def _place(doing: Doing, action: do.Place) -> None:
    stage = doing.stage
    await stage.phones[action.caller].call(stage.number(action.to))


@does(do.PickUp)
async def _pick_up(doing: Doing, action: do.PickUp) -> None:
    await asyncio.gather(*(_answer(doing, name) for name in action.phone))


async def _answer(doing: Doing, name: str) -> None:
    phone = doing.stage.phones[name]
    if phone.settings.answer is not Behaviour.ANSWER:
        await _rings(doing, name)
        await phone.answer()
    await phone.wait_state(CallState.CONFIRMED, within_s=doing.within)


@does(do.Decline)
async def _decline(doing: Doing, action: do.Decline) -> None:
    await _rings(doing, action.phone)
    phone = doing.stage.phones[action.phone]
    await phone.hangup(action.code)
    await phone.wait_state(CallState.DISCONNECTED, within_s=doing.within)


async def _rings(doing: Doing, name: str) -> None:
    phone = doing.stage.phones[name]
    await doing.until(lambda: _is_rung(phone), lambda: f"{name} is not rung")


def _is_rung(phone: Phone) -> bool:
    """Tell whether a phone rings: not whether it hears that another one does."""
    newest = phone.calls[-1] if phone.calls else None
    return newest is not None and newest.direction is Direction.IN and newest.state in _RUNG


@does(do.Press)
async def _press(doing: Doing, action: do.Press) -> None:
    await doing.stage.phones[action.phone].dtmf(action.keys, by_info=action.by == "info")


@does(do.Consult)
async def _consult(doing: Doing, action: do.Consult) -> None:
    stage = doing.stage
    await stage.phones[action.phone].consult(stage.number(action.to))


@does(do.HangUp)
async def _hang_up(doing: Doing, action: do.HangUp) -> None:
    await asyncio.gather(*(_ends(doing, name) for name in action.who))


async def _ends(doing: Doing, name: str) -> None:
    stage = doing.stage
    if name not in stage.phones:
        await doing.soon(stage.actor(name).call.disconnect(cut=True))
        return
    phone = stage.phones[name]
    await phone.hangup()
    await phone.wait_state(CallState.DISCONNECTED, within_s=doing.within)


@does(do.Hold)
async def _hold(doing: Doing, action: do.Hold) -> None:
    stage = doing.stage
    if action.by in stage.phones:
        await stage.phones[action.by].hold()
    else:
        actor = stage.actor(action.by)
        await doing.soon(actor.call.hold(role_of(doing, actor, action.party)))


@does(do.Unhold)
async def _unhold(doing: Doing, action: do.Unhold) -> None:
    stage = doing.stage
    if action.by in stage.phones:
        await stage.phones[action.by].unhold()
    else:
        actor = stage.actor(action.by)
        await doing.soon(actor.call.unhold(role_of(doing, actor, action.party)))


@does(do.Mute)
async def _mute(doing: Doing, action: do.Mute) -> None:
    await _mutes(doing, action, on=True)


@does(do.Unmute)
async def _unmute(doing: Doing, action: do.Unmute) -> None:
    await _mutes(doing, action, on=False)


async def _mutes(doing: Doing, action: do.Mute, *, on: bool) -> None:
    stage = doing.stage
    if action.by in stage.phones:
        await stage.phones[action.by].mute(on=on)
        (stage.muted.add if on else stage.muted.discard)(action.by)
        return
    actor = stage.actor(action.by)
    role = role_of(doing, actor, action.party)
    await doing.soon(actor.call.mute(role) if on else actor.call.unmute(role))


@does(do.Says)
async def _says(doing: Doing, action: do.Says) -> None:
    stage = doing.stage
    if action.who in stage.phones:
        phone = stage.phones[action.who]
        await phone.mute(on=action.what == "nothing" or action.who in stage.muted)
        await phone.play(stage.source(action.who, action.what))
        return
    actor = stage.actor(action.who)
    if actor.mouth is None:
        raise StepFailedError(f"{action.who} is on a phone: let {actor.phone} say it")
    actor.mouth.say(await stage.said(action.who, action.what))


@does(do.Transfer)
async def _transfer(doing: Doing, action: do.Transfer) -> None:
    stage = doing.stage
    to = [stage.number(name) for name in action.to]
    if action.by in stage.phones:
        await stage.phones[action.by].transfer(to[0])
        return
    actor = stage.actor(action.by)
    brief = None if action.brief is None else _brief(doing, action.brief)
    transferring = actor.call.transfer(
        to,
        warm=action.warm,
        consult=action.consult,
        accept=action.accept,
        brief=brief,
        ring_time_seconds=max(1, round(action.ring_time)),
        summary=action.summary,
        stay=action.stay,
    )
    actor.handover = await doing.soon(transferring)


def _brief(doing: Doing, seconds: float) -> bytes:
    voice = doing.stage.tone(BRIEF)
    rate = doing.stage.client.sample_rate
    return tone(voice.hz, voice.dbfs, seconds, rate).astype("<i2").tobytes()


@does(do.Complete)
async def _complete(doing: Doing, action: do.Complete) -> None:
    stage = doing.stage
    if action.by in stage.phones:
        await stage.phones[action.by].complete_transfer()
        return
    actor = stage.actor(action.by)
    handover = _handover(actor)
    await doing.soon(handover.wait_accepted())
    await doing.soon(handover.complete(cut=True))


@does(do.Cancel)
async def _cancel(doing: Doing, action: do.Cancel) -> None:
    actor = doing.stage.actor(action.by)
    await doing.soon(_handover(actor).cancel(cut=True))
    actor.speak_now()


@does(do.Toggle)
async def _toggle(doing: Doing, action: do.Toggle) -> None:
    actor = doing.stage.actor(action.by)
    await doing.soon(_handover(actor).toggle(cut=True))
    actor.speak_now()


@does(do.Conference)
async def _conference(doing: Doing, action: do.Conference) -> None:
    actor = doing.stage.actor(action.by)
    handover = _handover(actor)
    await doing.soon(handover.wait_accepted())
    await doing.soon(handover.conference(cut=True))
    actor.speak_now()


@does(do.Transferred)
async def _transferred(doing: Doing, action: do.Transferred) -> None:
    stage = doing.stage
    if action.by in stage.phones:
        status = await stage.phones[action.by].wait_transferred(doing.within)
        outcome = "completed" if status.completed else f"{status.code} {status.reason}"
    else:
        handover = _handover(stage.actor(action.by))
        outcome = str(await doing.soon(handover.wait()))
        stage.actor(action.by).speak_now()
    if outcome != action.outcome:
        raise StepFailedError(f"the transfer ended: {outcome}, not {action.outcome}")


def _handover(actor: Actor) -> Handover:
    if actor.handover is None:
        raise StepFailedError(f"{actor.name} has transferred nobody")
    return actor.handover


def role_of(doing: Doing, actor: Actor, who: str) -> str:
    """Return what a party is called on an actor's call: his phone's name of the run may be given.

    For an observer, who takes numbers as well, the number.
    """
    stage = doing.stage
    if who not in stage.phones:
        return who
    if isinstance(actor.hand, Observer):
        return stage.number(who)
    endpoint = stage.endpoint(who)
    for party in actor.hand.parties:
        if party.endpoint == endpoint:
            return party.name
    there = ", ".join(f"{party.name} {party.endpoint}" for party in actor.hand.parties)
    raise StepFailedError(f"{who} ({endpoint}) is not on {actor.name}'s call; there is: {there}")
