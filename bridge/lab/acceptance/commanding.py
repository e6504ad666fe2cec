"""What callbridge does in a run: agents on calls of its own, and observers of any call."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bridge.lab.acceptance import steps as do
from bridge.lab.acceptance.acting import role_of
from bridge.lab.acceptance.doing import Doing, does
from bridge.lab.acceptance.stage import Actor, StepFailedError
from bridge.model.errors import CallNotFoundError, ConnectFailedError
from bridge.sdk import Observer

_AGAIN_SECONDS: Final = 0.05
_SLACK_SECONDS: Final = 2.0
"""How much later than its ringing ends it may be told that nobody picked up."""


@does(do.Answer)
async def _answer(doing: Doing, action: do.Answer) -> None:
    stage = doing.stage
    call = await stage.incoming(action.call, doing.within)
    await doing.soon(call.answer())
    await stage.embody(action.by, call, None)


@does(do.Connect)
async def _connect(doing: Doing, action: do.Connect) -> None:
    stage = doing.stage
    if action.call is None:
        actor = stage.actor(action.by)
    else:
        call = await stage.incoming(action.call, doing.within)
        actor = Actor(action.by, call)
    to = [stage.number(name) for name in action.to] or None
    ring_seconds = max(1, round(action.ring_time))
    connecting = actor.call.connect(to, ring_time_seconds=ring_seconds)
    try:
        await doing.soon(connecting, at_least=ring_seconds + _SLACK_SECONDS)
    except ConnectFailedError as error:
        doing.measured["code"] = str(error.error_code)
        if error.error_code != action.fails:
            raise
    else:
        if action.fails:
            raise StepFailedError(f"it was connected, instead of {action.fails}")
    if action.call is not None and actor.call.state != "PENDING":
        await stage.embody(action.by, actor.call, None)
    elif action.call is not None:
        # Nobody has been answered: there is no audio yet.
        await stage.enter(actor)
    actor.speak_now()


@does(do.Originate)
async def _originate(doing: Doing, action: do.Originate) -> None:
    stage = doing.stage
    ringing = stage.client.originate(stage.number(action.to), caller_id=action.caller_id)
    call = await doing.soon(ringing)
    await stage.embody(action.by, call, None)


@does(do.Observe)
async def _observe(doing: Doing, action: do.Observe) -> None:
    stage = doing.stage
    phone = None if action.phone is None else stage.number(action.phone)
    deadline = time.monotonic() + doing.within

    async def joined() -> Observer:
        while True:
            try:
                return await stage.client.observe(
                    stage.endpoint(action.call),
                    action.by,
                    phone=phone,
                    hear_coaching=action.hear_coaching,
                )
            except CallNotFoundError:
                # A call is listed when its parties talk, a moment after their phones say so.
                if time.monotonic() > deadline - _AGAIN_SECONDS:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    await stage.embody(action.by, await doing.soon(joined()), action.phone)


@does(do.Spy)
async def _spy(doing: Doing, action: do.Spy) -> None:
    await doing.soon(doing.stage.actor(action.by).hand.spy(cut=action.cut))


@does(do.Whisper)
async def _whisper(doing: Doing, action: do.Whisper) -> None:
    actor = doing.stage.actor(action.by)
    to = [role_of(doing, actor, name) for name in action.to]
    hand = actor.hand
    if isinstance(hand, Observer):
        await doing.soon(hand.whisper(to or None, cut=action.cut))
    else:
        await doing.soon(hand.whisper(to or "callee", cut=action.cut))
    actor.speak_now()


@does(do.Barge)
async def _barge(doing: Doing, action: do.Barge) -> None:
    actor = doing.stage.actor(action.by)
    await doing.soon(actor.hand.barge(cut=action.cut))
    actor.speak_now()


@does(do.TakeOver)
async def _take_over(doing: Doing, action: do.TakeOver) -> None:
    actor = doing.stage.actor(action.by)
    replaced = None if action.replaced is None else role_of(doing, actor, action.replaced)
    await doing.soon(actor.observer.take_over(replaced, keep=action.keep))
    actor.speak_now()


@does(do.GiveBack)
async def _give_back(doing: Doing, action: do.GiveBack) -> None:
    await doing.soon(doing.stage.actor(action.by).observer.give_back())


@does(do.Leave)
async def _leave(doing: Doing, action: do.Leave) -> None:
    actor = doing.stage.actor(action.by)
    hand = actor.hand
    leaving = hand.leave(cut=True) if isinstance(hand, Observer) else hand.close(cut=True)
    await doing.soon(leaving)
    await actor.aclose()


@does(do.Add)
async def _add(doing: Doing, action: do.Add) -> None:
    stage = doing.stage
    adding = stage.actor(action.by).call.add(stage.number(action.to), name=action.name)
    doing.measured["party"] = await doing.soon(adding)


@does(do.Remove)
async def _remove(doing: Doing, action: do.Remove) -> None:
    actor = doing.stage.actor(action.by)
    await doing.soon(actor.call.remove(role_of(doing, actor, action.party)))


@does(do.Park)
async def _park(doing: Doing, action: do.Park) -> None:
    actor = doing.stage.actor(action.by)
    party = role_of(doing, actor, action.party)
    doing.measured["slot"] = await doing.soon(actor.call.park(action.slot, name=party))


@does(do.Unpark)
async def _unpark(doing: Doing, action: do.Unpark) -> None:
    actor = doing.stage.actor(action.by)
    await doing.soon(actor.call.unpark())
    actor.speak_now()


@does(do.Announce)
async def _announce(doing: Doing, action: do.Announce) -> None:
    actor = doing.stage.actor(action.by)
    sound = action.sound if ":" in action.sound else doing.stage.path(action.sound)
    await doing.soon(actor.call.announce(sound, to=role_of(doing, actor, action.to)))


@does(do.Record)
async def _record(doing: Doing, action: do.Record) -> None:
    stage = doing.stage
    actor = stage.actor(action.by)
    folder = stage.folder / "recordings"
    folder.mkdir(exist_ok=True)
    actor.recording = await doing.soon(actor.call.record(folder, coaching=action.coaching))


@does(do.StopRecording)
async def _stop_recording(doing: Doing, action: do.StopRecording) -> None:
    recording = doing.stage.actor(action.by).recording
    if recording is None:
        raise StepFailedError(f"{action.by} records nothing")
    await doing.soon(recording.stop())


@does(do.Pause)
async def _pause(doing: Doing, action: do.Pause) -> None:
    await asyncio.sleep(float(action.length))
    del doing
