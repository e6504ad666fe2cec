"""A call as it arrives from Asterisk, and what is done with who calls."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final

from bridge.ari import AriConnection, events
from bridge.model.errors import BadArgumentError, RequestFailedError, ServerError
from bridge.model.headers import HEADER_NAME
from bridge.model.participants import CALLER
from bridge.model.states import HangupCause
from bridge.runtime.names import CallId
from bridge.session import inputs
from bridge.session.inputs import Input

_log = logging.getLogger(__name__)

_GONE: Final = frozenset({404, 409})
"""Statuses of an answer for a channel that has ended, or has left the application."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """What is known of a call before anything is done with it."""

    call_id: CallId
    channel_id: str
    """The caller's channel."""
    channel_name: str
    """Asterisk's name of it, such as ``PJSIP/1001-00000001``."""
    caller_number: str
    """As the caller's endpoint gave it; empty when withheld."""
    caller_name: str
    callee_number: str
    """What the caller dialled: the original callee."""


def read_incoming(event: events.StasisStart, call_id: CallId) -> IncomingCall:
    """Read a call from its first event.

    ``Stasis(app,incoming,NUMBER)`` names the callee; without it, it is the extension that the
    caller dialled.
    """
    channel = event.channel
    named = event.args[1] if len(event.args) > 1 and event.args[0] == "incoming" else ""
    return IncomingCall(
        call_id=call_id,
        channel_id=channel.id,
        channel_name=channel.name,
        caller_number=channel.caller.number,
        caller_name=channel.caller.name,
        callee_number=named or channel.dialplan.exten,
    )


async def sip_header(ari: AriConnection, incoming: IncomingCall, name: str) -> str:
    """Return a SIP header of the caller's INVITE, empty where there is none, or no INVITE.

    Raises BadArgumentError for what is no name, ServerError.
    """
    if not re.fullmatch(HEADER_NAME, name):
        raise BadArgumentError(f"{name!r} is no name of a SIP header: letters, digits and - are")
    try:
        # As the channel driver has it (res_pjsip_header_funcs.c); empty for one that is not there.
        answer = await ari.channels.get_channel_var(
            channel_id=incoming.channel_id, variable=f"PJSIP_HEADER(read,{name})"
        )
    except RequestFailedError as error:
        _log.debug("call %s: no header %s: %s", incoming.call_id, name, error)
        return ""
    return answer.value


async def answer_caller(ari: AriConnection, incoming: IncomingCall) -> Input:
    """Answer the caller's channel; return what came of it."""
    try:
        await ari.channels.answer(channel_id=incoming.channel_id)
    except ServerError as error:
        if isinstance(error, RequestFailedError) and error.status in _GONE:
            return inputs.PartyGone(CALLER, HangupCause.NORMAL)
        return inputs.AnswerFailed(f"the caller could not be answered: {error}")
    return inputs.CallerAnswered()


async def ring_caller(ari: AriConnection, incoming: IncomingCall) -> None:
    """Let the caller's own phone ring back."""
    try:
        await ari.channels.ring(channel_id=incoming.channel_id)
    except ServerError as error:
        # The caller hears nothing for a while; the call itself is not touched by it.
        _log.warning("call %s: no ringing: %s", incoming.call_id, error)
