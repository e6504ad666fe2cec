"""Every operation of the HTTP API: the one table for router, OpenAPI, remote SDK and tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from bridge.model.errors import ErrorCode
from bridge.protocol import requests as asked
from bridge.protocol import views as shown
from bridge.protocol.permissions import Permission

BASE: Final = "/api/v1"
_PARAMETER: Final = re.compile(r"{(\w+)}")

ANY_CALL: Final = (ErrorCode.CALL_NOT_FOUND,)
OWN_CALL: Final = (
    ErrorCode.CALL_NOT_FOUND,
    ErrorCode.CALL_CLOSED,
    ErrorCode.INVALID_STATE,
    ErrorCode.COMMAND_IN_PROGRESS,
    ErrorCode.NOT_SUPPORTED,
    ErrorCode.CALLER_GONE,
)
RINGING: Final = (
    *OWN_CALL,
    ErrorCode.DIAL_DENIED,
    ErrorCode.CALL_UNANSWERED,
    ErrorCode.CALL_BUSY,
    ErrorCode.CALL_DECLINED,
    ErrorCode.CALL_UNREACHABLE,
    ErrorCode.CALL_FAILED,
)
A_THING: Final = (ErrorCode.NOT_FOUND,)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, and all that is to be known about it.

    operation_id: its name, also of the function that carries it out. path: below ``/api/v1``, with
    ``{parameters}``. permission: what it needs; None: nothing but a key; ``open``: not even that.
    query, body, answer: their types, None for none. status: of success. errors: the codes it may
    answer with, beside those that every operation may.
    """

    operation_id: str
    method: str
    path: str
    summary: str
    tag: str
    permission: Permission | None
    answer: Any = None
    query: type[asked.Request] | None = None
    body: type[asked.Request] | None = None
    status: int = 200
    errors: tuple[ErrorCode, ...] = ()
    open: bool = False
    content_type: str = "application/json"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what stands in the path."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def idempotent_by_key(self) -> bool:
        """Whether an ``Idempotency-Key`` makes it happen once only."""
        return self.method in {"POST", "DELETE"}

    def url(self, **parameters: str) -> str:
        """Return its path, whole, for what is given."""
        return BASE + _PARAMETER.sub(lambda found: quote(parameters[found[1]], safe=""), self.path)


# --- calls ------------------------------------------------------------------------------------

LIST_CALLS = Operation(
    "list_calls",
    "GET",
    "/calls",
    "List the live calls",
    "calls",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.CallView],
    query=asked.CallListing,
)
ORIGINATE = Operation(
    "originate",
    "POST",
    "/calls",
    "Ring somebody",
    "calls",
    Permission.ORIGINATE,
    answer=shown.CallView,
    body=asked.Originate,
    status=201,
    errors=(*RINGING, ErrorCode.NOT_FOUND),
)
SHOW_CALL = Operation(
    "show_call",
    "GET",
    "/calls/{call_id}",
    "Show a live call",
    "calls",
    Permission.SEE_CALLS,
    answer=shown.CallView,
    errors=ANY_CALL,
)
HANG_UP = Operation(
    "hang_up",
    "DELETE",
    "/calls/{call_id}",
    "Hang up everybody",
    "calls",
    Permission.CONTROL,
    status=204,
    errors=(*ANY_CALL, ErrorCode.CALL_AMBIGUOUS),
    query=asked.Leave,
)
ANSWER = Operation(
    "answer",
    "POST",
    "/calls/{call_id}/answer",
    "Answer the caller",
    "calls",
    Permission.CONTROL,
    answer=shown.CallView,
    errors=OWN_CALL,
)
CONNECT = Operation(
    "connect",
    "POST",
    "/calls/{call_id}/connect",
    "Ring the callee and put him to the caller",
    "calls",
    Permission.CONTROL,
    answer=shown.CallView,
    body=asked.Connect,
    errors=RINGING,
)
LEAVE = Operation(
    "leave",
    "POST",
    "/calls/{call_id}/leave",
    "Let the agent leave; the parties talk on",
    "calls",
    Permission.CONTROL,
    answer=shown.CallView,
    body=asked.Leave,
    errors=OWN_CALL,
)
CHANGE_MODE = Operation(
    "change_mode",
    "PUT",
    "/calls/{call_id}/mode",
    "Change the agent's mode",
    "calls",
    Permission.COACH,
    answer=shown.CallView,
    body=asked.ChangeMode,
    errors=OWN_CALL,
)
COLLECT_DIGITS = Operation(
    "collect_digits",
    "POST",
    "/calls/{call_id}/digits",
    "Wait for keys of a party",
    "calls",
    Permission.CONTROL,
    answer=shown.DigitsView,
    body=asked.CollectDigits,
    errors=OWN_CALL,
)
ANNOUNCE = Operation(
    "announce",
    "POST",
    "/calls/{call_id}/announcements",
    "Say something to one party alone",
    "calls",
    Permission.CONTROL,
    answer=shown.AnnouncedView,
    body=asked.Announce,
    errors=OWN_CALL,
)
SAY = Operation(
    "say",
    "POST",
    "/calls/{call_id}/say",
    "Speak a text to a call",
    "calls",
    Permission.COACH,
    answer=shown.CallView,
    body=asked.Say,
    errors=(*OWN_CALL, ErrorCode.CALL_AMBIGUOUS, ErrorCode.BAD_CONFIGURATION),
)
SET_MUSIC = Operation(
    "set_music",
    "PUT",
    "/calls/{call_id}/music",
    "Choose what those on hold hear",
    "calls",
    Permission.CONTROL,
    answer=shown.CallView,
    body=asked.SetMusic,
    errors=OWN_CALL,
)
SHOW_AUDIBILITY = Operation(
    "show_audibility",
    "GET",
    "/calls/{call_id}/audibility",
    "Show who hears whom",
    "calls",
    Permission.SEE_CALLS,
    answer=shown.AudibilityView,
    errors=(*ANY_CALL, ErrorCode.CALL_AMBIGUOUS),
)

# --- parties ------------------------------------------------------------------------------------

LIST_PARTIES = Operation(
    "list_parties",
    "GET",
    "/calls/{call_id}/parties",
    "List the parties",
    "parties",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.PartyView],
    errors=ANY_CALL,
)
ADD_PARTY = Operation(
    "add_party",
    "POST",
    "/calls/{call_id}/parties",
    "Ring somebody and put him to the others",
    "parties",
    Permission.CONTROL,
    answer=shown.PartyView,
    body=asked.AddParty,
    status=201,
    errors=RINGING,
)
CHANGE_PARTY = Operation(
    "change_party",
    "PATCH",
    "/calls/{call_id}/parties/{party}",
    "Mute or hold a party",
    "parties",
    Permission.CONTROL,
    answer=shown.PartyView,
    body=asked.ChangeParty,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
)
REMOVE_PARTY = Operation(
    "remove_party",
    "DELETE",
    "/calls/{call_id}/parties/{party}",
    "Hang up one party",
    "parties",
    Permission.CONTROL,
    status=204,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
)
PARK = Operation(
    "park",
    "POST",
    "/calls/{call_id}/parking",
    "Park a party",
    "parties",
    Permission.CONTROL,
    answer=shown.CallView,
    body=asked.Park,
    errors=OWN_CALL,
)
UNPARK = Operation(
    "unpark",
    "DELETE",
    "/calls/{call_id}/parking",
    "Take back who is parked",
    "parties",
    Permission.CONTROL,
    answer=shown.CallView,
    errors=OWN_CALL,
)
LIST_PARKED = Operation(
    "list_parked",
    "GET",
    "/parking",
    "List who is parked",
    "parties",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.ParkedView],
)

# --- observers ----------------------------------------------------------------------------------

LIST_OBSERVERS = Operation(
    "list_observers",
    "GET",
    "/calls/{call_id}/observers",
    "List the observers",
    "observers",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.ObserverView],
    errors=ANY_CALL,
)
OBSERVE = Operation(
    "observe",
    "POST",
    "/calls/{call_id}/observers",
    "Join a call as an observer",
    "observers",
    Permission.LISTEN,
    answer=shown.ObserverView,
    body=asked.Observe,
    status=201,
    errors=(*RINGING, ErrorCode.CALL_AMBIGUOUS),
)
SHOW_OBSERVER = Operation(
    "show_observer",
    "GET",
    "/calls/{call_id}/observers/{observer}",
    "Show an observer",
    "observers",
    Permission.SEE_CALLS,
    answer=shown.ObserverView,
    errors=(*ANY_CALL, ErrorCode.NOT_FOUND),
)
CHANGE_OBSERVER_MODE = Operation(
    "change_observer_mode",
    "PUT",
    "/calls/{call_id}/observers/{observer}/mode",
    "Listen, whisper or barge in",
    "observers",
    Permission.LISTEN,
    answer=shown.ObserverView,
    body=asked.ChangeMode,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
)
TAKE_OVER = Operation(
    "take_over",
    "POST",
    "/calls/{call_id}/observers/{observer}/takeover",
    "Speak in the place of the agent",
    "observers",
    Permission.COACH,
    answer=shown.ObserverView,
    body=asked.TakeOver,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
)
GIVE_BACK = Operation(
    "give_back",
    "DELETE",
    "/calls/{call_id}/observers/{observer}/takeover",
    "Undo a takeover",
    "observers",
    Permission.COACH,
    answer=shown.ObserverView,
    query=asked.GiveBack,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
)
MOVE_OBSERVER = Operation(
    "move_observer",
    "POST",
    "/calls/{call_id}/observers/{observer}/move",
    "Go to another call",
    "observers",
    Permission.LISTEN,
    answer=shown.ObserverView,
    body=asked.Move,
    errors=(*OWN_CALL, ErrorCode.NOT_FOUND, ErrorCode.CALL_AMBIGUOUS),
)
DISMISS_OBSERVER = Operation(
    "dismiss_observer",
    "DELETE",
    "/calls/{call_id}/observers/{observer}",
    "Let an observer leave",
    "observers",
    Permission.LISTEN,
    status=204,
    query=asked.Leave,
    errors=(*ANY_CALL, ErrorCode.NOT_FOUND),
)

# --- transfers ----------------------------------------------------------------------------------

START_TRANSFER = Operation(
    "start_transfer",
    "POST",
    "/calls/{call_id}/transfers",
    "Hand the customer over to a human",
    "transfers",
    Permission.CONTROL,
    answer=shown.TransferView,
    body=asked.StartTransfer,
    status=201,
    errors=(*RINGING, ErrorCode.TRANSFER_DENIED),
)
SHOW_TRANSFER = Operation(
    "show_transfer",
    "GET",
    "/calls/{call_id}/transfers/{transfer_id}",
    "Show a transfer",
    "transfers",
    Permission.SEE_CALLS,
    answer=shown.TransferView,
    errors=(*ANY_CALL, ErrorCode.NOT_FOUND),
)


def _drive(verb: str, summary: str) -> Operation:
    return Operation(
        f"{verb}_transfer",
        "POST",
        f"/calls/{{call_id}}/transfers/{{transfer_id}}/{verb}",
        summary,
        "transfers",
        Permission.CONTROL,
        answer=shown.TransferView,
        body=asked.DriveTransfer,
        errors=(*OWN_CALL, ErrorCode.NOT_FOUND),
    )


COMPLETE_TRANSFER = _drive("complete", "Put the customer to the human, and leave")
CANCEL_TRANSFER = _drive("cancel", "Take the customer back")
TOGGLE_TRANSFER = _drive("toggle", "Talk to the customer, or to the human again")
CONFERENCE_TRANSFER = _drive("conference", "Talk all together")

# --- recordings ---------------------------------------------------------------------------------

LIST_RECORDINGS = Operation(
    "list_recordings",
    "GET",
    "/recordings",
    "List the recordings",
    "recordings",
    Permission.HEAR_RECORDINGS,
    answer=shown.Page[shown.RecordingView],
    query=asked.RecordingListing,
)
START_RECORDING = Operation(
    "start_recording",
    "POST",
    "/calls/{call_id}/recordings",
    "Record a call",
    "recordings",
    Permission.RECORD,
    answer=shown.RecordingView,
    body=asked.StartRecording,
    status=201,
    errors=(*OWN_CALL, ErrorCode.BAD_CONFIGURATION),
)
SHOW_RECORDING = Operation(
    "show_recording",
    "GET",
    "/recordings/{recording_id}",
    "Show a recording",
    "recordings",
    Permission.HEAR_RECORDINGS,
    answer=shown.RecordingView,
    errors=A_THING,
)
CHANGE_RECORDING = Operation(
    "change_recording",
    "PATCH",
    "/recordings/{recording_id}",
    "Pause a recording, or go on",
    "recordings",
    Permission.RECORD,
    answer=shown.RecordingView,
    body=asked.ChangeRecording,
    errors=(*A_THING, ErrorCode.INVALID_STATE),
)
STOP_RECORDING = Operation(
    "stop_recording",
    "POST",
    "/recordings/{recording_id}/stop",
    "End a recording",
    "recordings",
    Permission.RECORD,
    answer=shown.RecordingView,
    errors=A_THING,
)
FETCH_RECORDING = Operation(
    "fetch_recording",
    "GET",
    "/recordings/{recording_id}/files/{name}",
    "Fetch a file of it",
    "recordings",
    Permission.HEAR_RECORDINGS,
    errors=A_THING,
    content_type="audio/wav",
)

# --- notes, contexts, history -------------------------------------------------------------------

LIST_NOTES = Operation(
    "list_notes",
    "GET",
    "/calls/{call_id}/notes",
    "List the notes of a call",
    "notes",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.NoteView],
    query=asked.Listing,
    errors=(ErrorCode.CALL_NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
WRITE_NOTE = Operation(
    "write_note",
    "POST",
    "/calls/{call_id}/notes",
    "Write a note",
    "notes",
    Permission.WRITE_NOTES,
    answer=shown.NoteView,
    body=asked.WriteNote,
    status=201,
    errors=ANY_CALL,
)
SHOW_CONTEXT = Operation(
    "show_context",
    "GET",
    "/calls/{call_id}/context",
    "Show what was saved about a call",
    "notes",
    Permission.SEE_CALLS,
    answer=shown.ContextView,
    errors=(ErrorCode.CALL_NOT_FOUND, ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
SAVE_CONTEXT = Operation(
    "save_context",
    "PUT",
    "/calls/{call_id}/context",
    "Save what the next one should know",
    "notes",
    Permission.WRITE_NOTES,
    answer=shown.ContextView,
    body=asked.SaveContext,
    errors=ANY_CALL,
)
LIST_HISTORY = Operation(
    "list_history",
    "GET",
    "/history",
    "List call detail records",
    "history",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.CallRecordView],
    query=asked.HistoryListing,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
SHOW_HISTORY = Operation(
    "show_history",
    "GET",
    "/history/{call_id}",
    "Show a call detail record",
    "history",
    Permission.SEE_CALLS,
    answer=shown.CallRecordView,
    errors=(ErrorCode.NOT_FOUND, ErrorCode.STORE_UNAVAILABLE),
)
LIST_EVENTS = Operation(
    "list_events",
    "GET",
    "/events",
    "List what happened",
    "history",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.EventView],
    query=asked.EventListing,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
LIST_AUDIT = Operation(
    "list_audit",
    "GET",
    "/audit",
    "List who did what",
    "history",
    Permission.SEE_AUDIT,
    answer=shown.Page[shown.AuditView],
    query=asked.AuditListing,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)

# --- the PBX ------------------------------------------------------------------------------------

LIST_ENDPOINTS = Operation(
    "list_endpoints",
    "GET",
    "/endpoints",
    "List phones and trunks",
    "pbx",
    Permission.SEE_PBX,
    answer=shown.Page[shown.EndpointView],
    query=asked.Listing,
)
SHOW_ENDPOINT = Operation(
    "show_endpoint",
    "GET",
    "/endpoints/{technology}/{resource}",
    "Show a phone or trunk",
    "pbx",
    Permission.SEE_PBX,
    answer=shown.EndpointView,
    errors=A_THING,
)
LIST_CHANNELS = Operation(
    "list_channels",
    "GET",
    "/channels",
    "List Asterisk's channels",
    "pbx",
    Permission.SEE_PBX,
    answer=shown.Page[shown.ChannelView],
    query=asked.Listing,
)

SHOW_CAPABILITIES = Operation(
    "show_capabilities",
    "GET",
    "/capabilities",
    "Show what the server can do",
    "pbx",
    Permission.SEE_CALLS,
    answer=shown.CapabilitiesView,
)

# --- programs, webhooks, keys, health -----------------------------------------------------------

LIST_PROGRAMS = Operation(
    "list_programs",
    "GET",
    "/programs",
    "List who takes incoming calls",
    "programs",
    Permission.SEE_CALLS,
    answer=shown.Page[shown.ProgramView],
    query=asked.Listing,
)
LIST_WEBHOOKS = Operation(
    "list_webhooks",
    "GET",
    "/webhooks",
    "List the webhooks",
    "webhooks",
    Permission.ADMINISTER,
    answer=shown.Page[shown.WebhookView],
    query=asked.Listing,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
CREATE_WEBHOOK = Operation(
    "create_webhook",
    "POST",
    "/webhooks",
    "Send events to an address",
    "webhooks",
    Permission.ADMINISTER,
    answer=shown.WebhookView,
    body=asked.CreateWebhook,
    status=201,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
DELETE_WEBHOOK = Operation(
    "delete_webhook",
    "DELETE",
    "/webhooks/{webhook_id}",
    "Send nothing there any more",
    "webhooks",
    Permission.ADMINISTER,
    status=204,
    errors=(*A_THING, ErrorCode.STORE_UNAVAILABLE),
)
LIST_DELIVERIES = Operation(
    "list_deliveries",
    "GET",
    "/webhooks/{webhook_id}/deliveries",
    "List what was sent",
    "webhooks",
    Permission.ADMINISTER,
    answer=shown.Page[shown.DeliveryView],
    query=asked.DeliveryListing,
    errors=(*A_THING, ErrorCode.STORE_UNAVAILABLE),
)
REPLAY_DELIVERIES = Operation(
    "replay_deliveries",
    "POST",
    "/webhooks/{webhook_id}/replay",
    "Send deliveries again",
    "webhooks",
    Permission.ADMINISTER,
    answer=shown.WebhookView,
    body=asked.Replay,
    errors=(*A_THING, ErrorCode.STORE_UNAVAILABLE),
)
LIST_KEYS = Operation(
    "list_keys",
    "GET",
    "/keys",
    "List the API keys",
    "keys",
    Permission.ADMINISTER,
    answer=shown.Page[shown.KeyView],
    query=asked.Listing,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
CREATE_KEY = Operation(
    "create_key",
    "POST",
    "/keys",
    "Make an API key",
    "keys",
    Permission.ADMINISTER,
    answer=shown.NewKeyView,
    body=asked.CreateKey,
    status=201,
    errors=(ErrorCode.STORE_UNAVAILABLE,),
)
REVOKE_KEY = Operation(
    "revoke_key",
    "DELETE",
    "/keys/{key_id}",
    "Revoke an API key",
    "keys",
    Permission.ADMINISTER,
    status=204,
    errors=(*A_THING, ErrorCode.STORE_UNAVAILABLE),
)
SHOW_ME = Operation(
    "show_me",
    "GET",
    "/me",
    "Show who is asking",
    "keys",
    None,
    answer=shown.MeView,
)
SHOW_HEALTH = Operation(
    "show_health",
    "GET",
    "/health",
    "Show how the daemon does",
    "health",
    None,
    answer=shown.HealthView,
    open=True,
)

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Operation)
)
"""All of them, in the order of the documentation."""
