"""Commands about calls and their parties."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from bridge.cli.choosing import chosen, party_of, shown_call, shown_party
from bridge.cli.command import command
from bridge.cli.connection import Api, Shown
from bridge.cli.output import Out, lasting, moment
from bridge.cli.parameters import Call, Party, Ring, Target, complete_party
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CallNotFoundError,
    ErrorCode,
    InvalidStateError,
)
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.problems import Problem, error_of
from bridge.protocol.views import (
    AudibilityView,
    CallView,
    HearingView,
    ObserverView,
    PartyView,
    TransferView,
)

app = typer.Typer()

_SLACK_SECONDS: Final = 30.0
"""How much longer than it rings an answer may take."""
_POLL_SECONDS: Final = 0.25
_DONE: Final = frozenset({"completed", "conferenced"})
_DRIVES: Final = {
    "--cancel": ops.CANCEL_TRANSFER,
    "--complete": ops.COMPLETE_TRANSFER,
    "--conference": ops.CONFERENCE_TRANSFER,
    "--toggle": ops.TOGGLE_TRANSFER,
}


async def call_of(api: Api, text: str) -> CallView:
    """Return the call that is meant; see ``choosing.chosen``."""
    return chosen(await api.calls(), text)


async def call_id_of(api: Api, text: str) -> str:
    """Return the id of a call that goes on, or the text itself: a call that is over has no more."""
    try:
        return (await call_of(api, text)).call_id
    except CallNotFoundError:
        return text


def row_of(call: CallView) -> tuple[str, ...]:
    """Return a call for a table; HEADS are its heads."""
    return (
        call.call_id,
        lasting(call.since),
        call.state.lower(),
        ", ".join(map(shown_party, call.parties)),
        ", ".join(map(shown_observer, observers_of(call))),
        call.program or ("callbridge" if call.own else "-"),
        call.queue,
    )


HEADS: Final = ("call", "lasts", "state", "parties", "observers", "program", "queue")


def observers_of(call: CallView) -> list[ObserverView]:
    """Return who takes part beside the parties now."""
    return [one for one in call.observers if one.left is None]


def shown_observer(one: ObserverView) -> str:
    """Return an observer for people: who, what he does, and for whom."""
    to = f" {'+'.join(one.whispers_to)}" if one.whispers_to else ""
    phone = f" on {one.phone.partition('/')[2] or one.phone}" if one.phone else ""
    return f"{one.name}{phone} ({one.mode.lower()}{to})"


@command(app)
async def calls(
    api: Api,
    out: Out,
    *,
    at: Annotated[
        str | None, typer.Option(metavar="EXTENSION", help="With somebody there.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="With somebody of this number.")] = None,
    program: Annotated[str | None, typer.Option(help="Which this program has.")] = None,
    queue: Annotated[str | None, typer.Option(help="Of this queue.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant.")] = None,
    own: Annotated[
        bool | None, typer.Option("--own/--foreign", help="Which callbridge has, or has not.")
    ] = None,
) -> None:
    """List the live calls."""
    query = asked.CallListing(
        own=own, endpoint=at, number=number, program=program, queue=queue, tenant=tenant
    )
    out.rows(await api.listed_calls(query), HEADS, row_of, "no calls")


@command(app)
async def show(api: Api, out: Out, call: Call) -> None:
    """Show a call: who takes part, how, and since when."""
    meant = await call_of(api, call)
    out.facts(await api.ask(ops.SHOW_CALL, call_id=meant.call_id), facts_of)


def facts_of(call: CallView) -> Iterable[tuple[str, str]]:
    """Return what there is to say of a call."""
    yield "call", call.call_id
    yield "state", call.state.lower()
    yield "since", f"{moment(call.since)} ({lasting(call.since)})"
    yield "tenant", call.tenant
    yield "queue", call.queue
    yield "program", call.program or ("" if call.own else "none: observe it, or hang it up")
    yield "dialled", call.callee_number
    for party in call.parties:
        yield party.name, _party(party)
    for one in observers_of(call):
        yield "observer", shown_observer(one)
    if call.mode is not None:
        yield "ai", f"{call.mode.lower()} {'+'.join(call.whispers_to)}".rstrip()
    yield "taken over by", call.taken_over_by or ""
    yield "parked in", call.parked_in or ""
    if call.transfer is not None:
        yield "transfer", _transfer(call.transfer)
    for recording in call.recordings:
        yield "recording", f"{recording.recording_id} {recording.state.lower()}"


def _party(party: PartyView) -> str:
    name = f" “{party.display_name}”" if party.display_name else ""
    number = f" {party.number}" if party.number not in party.endpoint else ""
    return f"{shown_party(party)}{number}{name}  {party.endpoint}  {party.channel_id}".rstrip()


@command(app)
async def hangup(api: Api, out: Out, call: Call) -> None:
    """Hang everybody on a call up."""
    meant = await call_of(api, call)
    await api.tell(ops.HANG_UP, query=asked.Leave(cut=True), call_id=meant.call_id)
    out.done(f"{meant.call_id} is over", call_id=meant.call_id)


@command(app)
async def say(
    api: Api,
    out: Out,
    call: Call,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is said.")],
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTY", help="Who hears it.", autocompletion=complete_party),
    ] = None,
    voice: Annotated[str, typer.Option(help="Of the speech command.")] = "",
) -> None:
    """Speak a text to a call, or to some on it; returns when it was said."""
    meant = await call_of(api, call)
    parties = [party_of(meant, one) for one in to] if to else None
    body = asked.Say(text=text, to=parties, voice=voice)
    seconds = _SLACK_SECONDS + len(text)
    said = await api.ask(ops.SAY, body=body, seconds=seconds, call_id=meant.call_id)
    out.one(said, lambda _: f"said to {', '.join(parties or ['everybody'])}")


@command(app)
async def transfer(
    api: Api,
    out: Out,
    call: Call,
    to: Annotated[
        list[str] | None, typer.Argument(metavar="TO", help="Rung one after the other.")
    ] = None,
    *,
    blind: Annotated[bool, typer.Option("--blind", help="The agent leaves at once.")] = False,
    by: Annotated[str | None, typer.Option(metavar="PARTY", help="Who transfers.")] = None,
    ring: Ring = 20,
    summary: Annotated[str, typer.Option(help="What the human's phone is told.")] = "",
    wait: Annotated[bool, typer.Option(help="Until it is over.")] = True,
    complete: Annotated[
        bool, typer.Option("--complete", help="One under way: the human has the customer.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="One under way: the customer is taken back.")
    ] = False,
    toggle: Annotated[
        bool, typer.Option("--toggle", help="Talk to the customer meanwhile, or to the human.")
    ] = False,
    conference: Annotated[
        bool, typer.Option("--conference", help="All talk together, until it is completed.")
    ] = False,
) -> None:
    """Hand the customer over to a human; exit code 1 when nobody took him.

    Without TO, a transfer that is under way is driven.
    """
    given = zip(_DRIVES, (cancel, complete, conference, toggle), strict=True)
    wanted = [name for name, on in given if on]
    if len(wanted) + bool(to) != 1:
        typed = f", not {', '.join([*(to or ()), *wanted])}" if wanted else ""
        raise BadArgumentError(f"transfer CALL: TO..., or one of {', '.join(_DRIVES)}{typed}")
    meant = await call_of(api, call)
    if not to:
        await _drive(api, out, meant, wanted[0])
        return
    body = asked.StartTransfer(
        to=[[one] for one in to],
        warm=not blind,
        by=None if by is None else party_of(meant, by) if by != "ai" else by,
        ring_time_seconds=ring,
        summary=summary,
    )
    shown = await api.ask(ops.START_TRANSFER, body=body, call_id=meant.call_id)
    if wait:
        shown = await _over(api, shown)
    out.one(shown, _transfer)
    view: TransferView = shown.view
    if view.outcome is not None and view.outcome not in _DONE:
        raise _not_taken(view)


async def _drive(api: Api, out: Out, call: CallView, how: str) -> None:
    """Drive the transfer of a call that is under way."""
    if call.transfer is None or call.transfer.outcome is not None:
        raise InvalidStateError(
            f"call {call.call_id} is not being transferred: callbridge transfer CALL TO begins that"
        )
    shown = await api.ask(
        _DRIVES[how],
        body=asked.DriveTransfer(),
        call_id=call.call_id,
        transfer_id=call.transfer.transfer_id,
    )
    out.one(shown, _transfer)


async def _over(api: Api, shown: Shown) -> Shown:
    """Wait until a transfer is over. Interrupted, it goes on."""
    while shown.view.outcome is None:
        await asyncio.sleep(_POLL_SECONDS)
        call_id, transfer_id = shown.view.call_id, shown.view.transfer_id
        try:
            shown = await api.ask(ops.SHOW_TRANSFER, call_id=call_id, transfer_id=transfer_id)
        except CallNotFoundError:
            raise CallClosedError(
                f"call {call_id} ended during the transfer: callbridge events {call_id} tells how"
            ) from None
    return shown


def _transfer(view: TransferView) -> str:
    human = f" by {view.human}" if view.human else ""
    return f"{view.transfer_id} {view.outcome or view.stage}{human} {view.error_message}".rstrip()


def _not_taken(view: TransferView) -> CallbridgeError:
    code = view.error_code
    message = view.error_message or f"the transfer ended: {view.outcome}"
    if code is None:
        return CallbridgeError(message, code=ErrorCode.CALL_FAILED)
    return error_of(Problem(type="", title="", status=0, code=code, detail=message))


async def _change(
    api: Api, out: Out, call: str, party: str, *, change: asked.ChangeParty, told: str
) -> None:
    meant = await call_of(api, call)
    name = party_of(meant, party)
    shown = await api.ask(ops.CHANGE_PARTY, body=change, call_id=meant.call_id, party=name)
    out.one(shown, lambda _: f"{name} {told}")


@command(app)
async def hold(
    api: Api,
    out: Out,
    call: Call,
    party: Party,
    *,
    music: Annotated[str | None, typer.Option(metavar="CLASS", help="What he hears.")] = None,
) -> None:
    """Put a party on hold."""
    change = asked.ChangeParty(held=True, music=music)
    await _change(api, out, call, party, change=change, told="is on hold")


@command(app)
async def unhold(api: Api, out: Out, call: Call, party: Party) -> None:
    """Bring a party back from hold."""
    change = asked.ChangeParty(held=False)
    await _change(api, out, call, party, change=change, told="is back")


@command(app)
async def mute(api: Api, out: Out, call: Call, party: Party) -> None:
    """Let nobody hear a party."""
    change = asked.ChangeParty(muted=True)
    await _change(api, out, call, party, change=change, told="is muted")


@command(app)
async def unmute(api: Api, out: Out, call: Call, party: Party) -> None:
    """Let a party be heard again."""
    change = asked.ChangeParty(muted=False)
    await _change(api, out, call, party, change=change, told="is heard again")


@command(app)
async def add(
    api: Api,
    out: Out,
    call: Call,
    to: Target,
    *,
    name: Annotated[str | None, typer.Option(help="His on the call.")] = None,
    ring: Ring = 30,
) -> None:
    """Ring somebody and put him to the others."""
    meant = await call_of(api, call)
    body = asked.AddParty(to=to, name=name, ring_time_seconds=ring)
    shown = await api.ask(
        ops.ADD_PARTY, body=body, seconds=ring + _SLACK_SECONDS, call_id=meant.call_id
    )
    out.one(shown, lambda party: f"{party.name} has joined")


@command(app)
async def remove(api: Api, out: Out, call: Call, party: Party) -> None:
    """Hang one party up; the others talk on."""
    meant = await call_of(api, call)
    name = party_of(meant, party)
    await api.tell(ops.REMOVE_PARTY, call_id=meant.call_id, party=name)
    out.done(f"{name} is off the call", call_id=meant.call_id, party=name)


@command(app)
async def park(
    api: Api,
    out: Out,
    call: Call,
    party: Annotated[
        str, typer.Argument(metavar="PARTY", autocompletion=complete_party)
    ] = "caller",
    *,
    slot: Annotated[str | None, typer.Option(help="By default one that is free.")] = None,
    seconds: Annotated[float, typer.Option(metavar="SECONDS", help="How long he waits.")] = 120.0,
    stay: Annotated[bool, typer.Option("--stay", help="The agent stays afterwards.")] = False,
) -> None:
    """Let a party wait until a phone dials the slot."""
    meant = await call_of(api, call)
    body = asked.Park(slot=slot, name=party_of(meant, party), timeout_seconds=seconds, stay=stay)
    shown = await api.ask(ops.PARK, body=body, call_id=meant.call_id)
    out.one(shown, lambda view: f"parked: dial {view.parked_in}")


@command(app)
async def unpark(api: Api, out: Out, call: Call) -> None:
    """Take back who is parked."""
    meant = await call_of(api, call)
    shown = await api.ask(ops.UNPARK, call_id=meant.call_id)
    out.one(shown, lambda _: "back from the slot")


@command(app)
async def parked(api: Api, out: Out) -> None:
    """List who is parked."""
    out.rows(
        await api.listed(ops.LIST_PARKED),
        ("slot", "waits", "party", "call"),
        lambda one: (one.slot, lasting(one.since), one.party, one.call_id),
        "nobody is parked",
    )


@command(app)
async def originate(
    api: Api,
    out: Out,
    to: Target,
    *,
    connect: Annotated[
        str | None, typer.Option(metavar="TO", help="Rung then, and put to him.")
    ] = None,
    caller_id: Annotated[str, typer.Option(help="What his phone shows: Name <number>.")] = "",
    program: Annotated[str, typer.Option(help="Which gets the call.")] = "",
    ring: Ring = 30,
) -> None:
    """Ring somebody; returns when he has answered, and with --connect when both talk."""
    body = asked.Originate(
        to=to, connect=connect, caller_id=caller_id, program=program, ring_time_seconds=ring
    )
    seconds = ring * 2 + _SLACK_SECONDS
    out.one(await api.ask(ops.ORIGINATE, body=body, seconds=seconds), shown_call)


@command(app)
async def audibility(api: Api, out: Out, call: Call) -> None:
    """Show who hears whom; exit code 1 when it is not as it is to be."""
    meant = await call_of(api, call)
    shown = await api.ask(ops.SHOW_AUDIBILITY, call_id=meant.call_id)
    view: AudibilityView = shown.view
    if out.as_json:
        out.raw(shown.raw)
    else:
        rows = ((one.listener, one.speaker, _wanted(one), _WORDS[one.stands]) for one in view.pairs)
        out.show(out.table(("listener", "speaker", "is to hear", "hears"), rows))
    if view.differs:
        raise CallbridgeError(
            "somebody hears, or does not hear, whom he should", code=ErrorCode.INVALID_STATE
        )


def _wanted(pair: HearingView) -> str:
    return "" if not (pair.wanted or pair.unwanted) else _WORDS[pair.wanted]


_WORDS: Final = {True: "yes", False: "no"}
