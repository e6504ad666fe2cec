"""How a program calls somebody: the part of ``Client`` that does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bridge.model.errors import BadArgumentError
from bridge.model.headers import checked_headers
from bridge.model.ids import CallId
from bridge.model.participants import AGENT
from bridge.runtime import CallEngine, Controller
from bridge.runtime.audit import PROGRAM
from bridge.runtime.names import new_call_id
from bridge.runtime.notes import Notes
from bridge.runtime.seat import Rung
from bridge.sdk.labels import Labels
from bridge.sdk.routing import endpoint_for

if TYPE_CHECKING:
    from bridge.sdk.call import ActiveCall

_CALLER_ID: Final = re.compile(r'\s*"?(?P<name>[^"<>]*?)"?\s*<(?P<number>[^"<>]*)>\s*')
_NUMBER: Final = re.compile(r"\+?[0-9*#]+")
_LONGEST: Final = 80


class Originating:
    """Calls people. Mixed into ``Client``, which has all that is named here."""

    _endpoint: str

    def _connected(self) -> Controller:
        raise NotImplementedError

    def _begin(self, engine: CallEngine) -> ActiveCall | None:
        raise NotImplementedError

    async def originate(
        self,
        to: str,
        *,
        caller_id: str = "",
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> ActiveCall:
        """Ring somebody; return the call when he has answered: ANSWERED, he is its ``caller``.

        to: a number or an endpoint. caller_id: what his phone shows, a number, a name, or
        ``Name <number>``; by default what Asterisk has for such calls. headers: SIP headers for his
        phone. The agent and he can talk at once; ``connect`` rings somebody else for him. There is
        no INCOMING_CALL for it. Cancelling the wait hangs him up.

        Raises ConnectFailedError, whose ``error_code`` says why he was not had, CallerGoneError
        when he hung up at once, BadArgumentError, InvalidStateError when the client leaves, and
        ServerError. Nothing of the call is left then.
        """
        return await self.originate_labelled(
            to,
            {},
            caller_id=caller_id,
            ring_time_seconds=ring_time_seconds,
            headers=headers,
        )

    async def originate_labelled(
        self,
        to: str,
        labels: Mapping[str, str],
        *,
        caller_id: str = "",
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> ActiveCall:
        """Do what ``originate`` does. labels: what the call has from its beginning."""
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        # Refused before anybody is rung.
        Labels(Notes()).update(labels)
        endpoint = endpoint_for(to, self._endpoint, dialled="")
        number, name = shown_caller(caller_id)
        phone = Rung(endpoint, ring_time_seconds, number, name, checked_headers(headers or {}))
        return await self._originate(phone, labels)

    async def _originate(self, phone: Rung, labels: Mapping[str, str]) -> ActiveCall:
        controller, call_id = self._connected(), new_call_id()
        with controller.audit.command(call_id, AGENT, f"originate {phone.endpoint}", by=PROGRAM):
            call = await self._rung(controller, call_id, phone, labels)
            try:
                await call.answer()
            except BaseException:
                await call.disconnect(cut=True)
                raise
        return call

    async def _rung(
        self, controller: Controller, call_id: CallId, phone: Rung, labels: Mapping[str, str]
    ) -> ActiveCall:
        calls: list[ActiveCall] = []

        def answered(engine: CallEngine) -> None:
            Labels(engine.notes).update(labels)
            if (call := self._begin(engine)) is not None:
                calls.append(call)

        try:
            await controller.originations.ring(
                call_id, phone, number=number_of(phone.endpoint), on_call=answered
            )
        except BaseException:
            # He answered as who asked stopped waiting.
            for call in calls:
                await call.disconnect(cut=True)
            raise
        return calls[0]


def shown_caller(caller_id: str) -> tuple[str, str]:
    """Return number and name of ``Name <number>``, or of one of them. Raises BadArgumentError."""
    if len(caller_id) > _LONGEST or not caller_id.isprintable():
        raise BadArgumentError(f"caller_id={caller_id!r}: one line of at most {_LONGEST} letters")
    if (both := _CALLER_ID.fullmatch(caller_id)) is not None:
        return both["number"].strip(), both["name"].strip()
    if set('"<>') & set(caller_id):
        raise BadArgumentError(f"caller_id={caller_id!r}: a number, a name, or Name <number>")
    text = caller_id.strip()
    return (text, "") if _NUMBER.fullmatch(text) else ("", text)


def number_of(endpoint: str) -> str:
    """Return whom an endpoint means: ``+4930`` of ``PJSIP/+4930@trunk``."""
    return endpoint.partition("/")[2].partition("@")[0]
