"""A transfer that a party makes at his phone, by its transfer key or by feature keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlsplit

from bridge.ari import AriConnection
from bridge.model.errors import CallbridgeError, TransferDeniedError
from bridge.model.headers import checked_headers, header_text
from bridge.model.participants import CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.offer import Terms
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import RING_SECONDS, Permit
from bridge.runtime.transfers import Transfers, taken_names
from bridge.session.transfer.inputs import Begin, Plan, Target

TECHNOLOGY: Final = "PJSIP/"
_NOT_IN_A_NUMBER = re.compile(r"[^0-9A-Za-z*#+_.-]")


class Host(Protocol):
    """Who has the link and the transfers: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def transfers(self) -> Transfers:
        """All transfers."""


async def begin(
    host: Host,
    call: CallEngine,
    party: Participant,
    permit: Permit,
    *,
    consult: bool,
    prepare: Callable[[TransferEngine], None],
) -> TransferEngine:
    """Transfer the others to somebody who is rung; return when it rings.

    The party stays on the line until he has answered, and gets the others back if he does not. One
    other waits with music; several go on talking with each other. consult: they talk alone until
    he completes it. prepare: called before anything of it happens.

    Raises TransferDeniedError when there are no others, CommandInProgressError, and what the call
    refuses it with.
    """
    session = call.session
    customers = session.parties - {party} - session.standing.apart
    if not customers:
        raise TransferDeniedError(f"there is nobody whom {party} could transfer")
    plan = Plan(
        rounds=((_target(host, call, party, permit),),),
        by_key=False,
        offer=False,
        consult=consult,
        hold_at_once=consult or len(customers) == 1,
    )
    transfer = host.transfers.new(call, Terms(by_key=False))
    prepare(transfer)
    try:
        await transfer.command(
            lambda token: Begin(
                token,
                party,
                customers,
                plan,
                parties=session.parties,
                agent=session.has_agent,
                taken=taken_names(call),
            )
        )
    except CallbridgeError:
        transfer.give_up()
        raise
    return transfer


def _target(host: Host, call: CallEngine, party: Participant, permit: Permit) -> Target:
    """Return who is rung, and what the INVITE tells him."""
    number = _number_of(call, party)
    server = urlsplit(host.ari.settings.url).hostname or "localhost"
    headers = {
        "X-Callbridge-Call-Id": str(call.incoming.call_id),
        "X-Callbridge-Caller": header_text(call.incoming.caller_number),
        "Referred-By": f"<sip:{number}@{server}>" if number else "",
    }
    given = {name: value for name, value in headers.items() if value}
    sip = checked_headers({**given, **dict(permit.headers)})
    with_headers = permit.endpoint.startswith(TECHNOLOGY)
    return Target(permit.endpoint, permit.ring_seconds or RING_SECONDS, sip if with_headers else ())


def _number_of(call: CallEngine, party: Participant) -> str:
    """Return the number of a party's phone, as far as it can stand in an address."""
    dialled = call.endpoint_of(party).partition("/")[2]
    number = call.incoming.caller_number if party == CALLER else dialled
    return _NOT_IN_A_NUMBER.sub("", number)
