"""Calls as a whole: list, ring, answer, connect, leave, hang up, and what the agent says."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Final

from bridge.api.belonging import NOT_CONNECTED, QUEUE, TENANT, labels_of
from bridge.api.decoding import one_of
from bridge.api.paging import paged
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.scope import (
    addressed,
    after_audio,
    all_dialled,
    all_visible,
    as_it_is,
    check_his,
    home_of,
    in_stream,
    own_call,
    there,
    visible,
)
from bridge.api.shown import audibility_of
from bridge.model.errors import BadArgumentError, CallNotFoundError, CapabilityError
from bridge.model.participants import CALLEE, CALLER
from bridge.protocol import operations
from bridge.protocol.requests import (
    Announce,
    CallListing,
    ChangeMode,
    CollectDigits,
    Connect,
    Leave,
    Originate,
    Say,
    SetMusic,
)
from bridge.protocol.views import AnnouncedView, AudibilityView, CallView, DigitsView, Page
from bridge.sdk import Observer

_ANNOUNCER: Final = "announcer"
_MARK: Final = "callbridge.request"
"""Label of a call that was originated by a request with a key."""


@handles(operations.LIST_CALLS)
async def list_calls(asked: Asked[NoBody, CallListing]) -> Page[CallView]:
    """List the live calls that are asked for, the eldest first."""
    await asked.service.views.settled(asked.principal)
    calls = all_visible(asked.service, asked.principal)
    meant = [view for view in calls if _is_meant(view, asked.query)]
    return paged(meant, asked.query, lambda view: (view.since, view.call_id))


def _is_meant(view: CallView, query: CallListing) -> bool:
    same = (
        (query.own, view.own),
        (query.state, view.state),
        (query.program, view.program),
        (query.tenant, view.tenant),
        (query.queue, view.queue),
    )
    if any(wanted is not None and wanted != is_so for wanted, is_so in same):
        return False
    if query.endpoint is not None and not any(one.is_at(query.endpoint) for one in view.parties):
        return False
    numbers = {view.caller_number, view.callee_number, *(one.number for one in view.parties)}
    return query.number is None or query.number in numbers


@handles(operations.SHOW_CALL)
async def show_call(asked: Asked[NoBody, NoQuery]) -> CallView:
    """Show a live call."""
    return visible(asked.service, asked.principal, asked.path["call_id"])


@handles(operations.ORIGINATE)
async def originate(asked: Asked[Originate, NoQuery]) -> CallView:
    """Ring somebody, and perhaps somebody else for him; hang him up when that one is not had."""
    body, service = asked.body, asked.service
    if (made := _made_before(asked)) is not None:
        return made
    who = asked.principal
    if body.program:
        # The call is the program's business: it has to see it.
        who = service.programs.who_is(who, body.program)
    tenant, queue = home_of(service, who)
    targets = [body.to] if body.connect is None else [body.to, body.connect]
    with all_dialled(asked, targets, tenant) as legs:
        call = await service.client.originate_labelled(
            legs.endpoints[0],
            {TENANT: tenant, QUEUE: queue} | _marked(asked),
            caller_id=body.caller_id,
            ring_time_seconds=body.ring_time_seconds,
            headers=body.headers,
        )
        try:
            if body.program:
                service.programs.assign(call, asked.principal, body.program)
            if body.connect is not None:
                await call.connect(legs.endpoints[1], ring_time_seconds=body.ring_time_seconds)
        except BaseException:
            await call.disconnect(cut=True)
            raise
        before = visible(service, asked.principal, call.call_id)
        for leg, party in zip(legs, (CALLER, CALLEE), strict=False):
            leg.keep_while(there(service, call.call_id, party))
    return as_it_is(asked, call, before)


def _made_before(asked: Asked[Originate, NoQuery]) -> CallView | None:
    """Return the live call that this request has made, of which only its mark is known any more.

    The daemon may have been started again since. Raises BadArgumentError for the mark of another
    request with its key.
    """
    if asked.mark is None:
        return None
    client = asked.service.client
    own = {call.call_id for call in client.calls}
    with suppress(*NOT_CONNECTED):
        # Those that the agent has left, too.
        own |= {call.call_id for call in client.known_calls if call.own}
    for call_id in own:
        labels = labels_of(client, call_id)
        if labels is not None and asked.mark.is_in(labels.get(_MARK, "")):
            with suppress(CallNotFoundError):
                return visible(asked.service, asked.principal, call_id)
    return None


def _marked(asked: Asked[Originate, NoQuery]) -> dict[str, str]:
    return {} if asked.mark is None else {_MARK: asked.mark.text}


@handles(operations.HANG_UP)
async def hang_up(asked: Asked[NoBody, Leave]) -> None:
    """Hang up everybody on a call, whoever placed it."""
    view = await addressed(asked)
    check_his(asked.service, asked.principal, view)
    client = asked.service.client
    own = client.get_call(view.call_id) is not None
    async with in_stream(asked, call_id=view.call_id) if own else nullcontext():
        await client.hang_up(view.call_id, cut=asked.query.cut)


@handles(operations.ANSWER)
async def answer(asked: Asked[NoBody, NoQuery]) -> CallView:
    """Answer the caller."""
    call, view = own_call(asked)
    await call.answer()
    return as_it_is(asked, call, view)


@handles(operations.CONNECT)
async def connect(asked: Asked[Connect, NoQuery]) -> CallView:
    """Ring the callee, or several, and put him to the caller."""
    call, view = own_call(asked)
    to, seconds = asked.body.to, asked.body.ring_time_seconds
    default = await call.target() if to is None else ""
    if to is None and default != call.callee_number:
        # Whoever configured the route has chosen him, nobody who asks.
        await after_audio(asked)
        await call.connect(default, ring_time_seconds=seconds)
        return as_it_is(asked, call, view)
    targets = [default] if to is None else [to] if isinstance(to, str) else to
    with all_dialled(asked, targets, view.tenant) as legs:
        await after_audio(asked)
        await call.connect(None if to is None else list(legs.endpoints), ring_time_seconds=seconds)
        # Of those who rang together one has picked up.
        legs.legs[0].keep_while(there(asked.service, view.call_id, CALLEE))
    return as_it_is(asked, call, view)


@handles(operations.LEAVE)
async def leave(asked: Asked[Leave, NoQuery]) -> CallView:
    """Let the agent leave, after what he has said."""
    call, view = own_call(asked)
    async with in_stream(asked):
        await call.close(cut=asked.body.cut)
    return as_it_is(asked, call, view)


@handles(operations.CHANGE_MODE)
async def change_mode(asked: Asked[ChangeMode, NoQuery]) -> CallView:
    """Change the agent's mode."""
    call, view = own_call(asked)
    body = asked.body
    async with in_stream(asked):
        match body.mode:
            case "spy":
                await call.spy(cut=body.cut)
            case "whisper":
                await call.whisper(CALLEE if body.to is None else body.to, cut=body.cut)
            case "barge":
                await call.barge(cut=body.cut)
    return as_it_is(asked, call, view)


@handles(operations.COLLECT_DIGITS)
async def collect_digits(asked: Asked[CollectDigits, NoQuery]) -> DigitsView:
    """Wait for keys of a party."""
    call, _ = own_call(asked)
    body = asked.body
    digits = await call.collect_digits(
        max_digits=body.max_digits,
        terminator=body.terminator,
        timeout_seconds=body.timeout_seconds,
        between_seconds=body.between_seconds,
        speaker=body.speaker,
    )
    return DigitsView(digits=digits.digits, ended_by=str(digits.ended_by))


@handles(operations.ANNOUNCE)
async def announce(asked: Asked[Announce, NoQuery]) -> AnnouncedView:
    """Say something to one party alone."""
    call, _ = own_call(asked)
    body = asked.body
    sound = one_of(sound=body.sound, audio=body.audio)
    if sound is None:
        raise BadArgumentError("announce what? Give sound, or audio")
    await after_audio(asked)
    return AnnouncedView(complete=await call.announce(sound, body.to))


@handles(operations.SAY)
async def say(asked: Asked[Say, NoQuery]) -> CallView:
    """Speak a text to a call, ours or not, by an observer who comes, speaks and leaves."""
    service, body = asked.service, asked.body
    view = await addressed(asked)
    check_his(service, asked.principal, view)
    if service.speech is None:
        raise CapabilityError(
            "this daemon cannot speak: install espeak-ng, or configure a command for speech"
        )
    pcm = await service.speech.spoken(body.text, voice=body.voice)
    announcer = await _announcer(asked, view.call_id)
    # He has no audio socket, and stays all the same until everything is said.
    with service.views.attendance.attended(announcer):
        async with announcer:
            if body.to is None:
                await announcer.barge()
            else:
                await announcer.whisper(body.to)
            await service.speech.play(pcm, announcer)
    call = service.client.get_call(view.call_id)
    return (
        visible(service, asked.principal, view.call_id)
        if call is None
        else as_it_is(asked, call, view)
    )


async def _announcer(asked: Asked[Say, NoQuery], call_id: str) -> Observer:
    taken = {one.name for one in asked.service.client.observers(call_id)}
    names = (f"{_ANNOUNCER}{number}" for number in range(1, len(taken) + 2))
    observer = await asked.service.client.observe(
        call_id, next(name for name in names if name not in taken)
    )
    asked.service.views.placed(observer, asked.principal.name)
    return observer


@handles(operations.SET_MUSIC)
async def set_music(asked: Asked[SetMusic, NoQuery]) -> CallView:
    """Choose what those on hold hear."""
    call, view = own_call(asked)
    await call.set_music(asked.body.music)
    return as_it_is(asked, call, view)


@handles(operations.SHOW_AUDIBILITY)
async def show_audibility(asked: Asked[NoBody, NoQuery]) -> AudibilityView:
    """Show who hears whom on a call, ours or not."""
    view = await addressed(asked)
    return audibility_of(await asked.service.client.audibility(view.call_id))
