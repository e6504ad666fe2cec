"""The events that a program can listen to: ``from bridge import events``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.model.modes import AudioMode
from bridge.session.observer.effects import LeftReason


class ClientEvent(StrEnum):
    """For ``client.on``; what the handler gets is said with each."""

    INCOMING_CALL = "INCOMING_CALL"
    """Somebody calls: the handler gets the call, which is PENDING, and has a task of its own."""
    CALL_RESUMED = "CALL_RESUMED"
    """A call that an earlier program had goes on: the handler gets it, and has a task of its own.

    Nobody hears the agent yet, or only who is alone with him. Who listens to it does so before
    ``connect()``, or right after: a second later, agents of calls that nobody took have left."""
    OBSERVER_RESUMED = "OBSERVER_RESUMED"
    """An observer of an earlier program is on the call again, as a spy: the handler gets the
    Observer. Programs come back only if somebody listens; phones do in any case."""
    SERVER_LOST = "SERVER_LOST"
    """Asterisk died or cannot be reached: the handler gets the reason. Calls have ended with it."""
    SERVER_BACK = "SERVER_BACK"
    """Asterisk is there again, and calls are taken as before. The handler takes no argument."""
    LIVE_CALL_BEGAN = "LIVE_CALL_BEGAN"
    """People talk, whoever placed the call: the handler gets the LiveCall. Those first that were
    there already. Whoever listens to it before ``connect()`` has the PBX watched."""
    LIVE_CALL_ENDED = "LIVE_CALL_ENDED"
    """A live call is over, or has become part of another: the handler gets it as it was last."""
    OBSERVER_DIALLED_IN = "OBSERVER_DIALLED_IN"
    """Somebody observes by the access code: the handler gets the Observer."""
    AUDIBILITY_DIFFERS = "AUDIBILITY_DIFFERS"
    """On an observed call somebody hears, or does not hear, whom he should: the handler gets the
    report. It is being repaired."""
    AUDIT = "AUDIT"
    """Somebody did something, or something befell him: the handler gets the record."""


class CallEvent(StrEnum):
    """For ``call.on``, or ``client.on`` to hear of every call.

    A handler takes no argument, or the call, or, of an event about somebody, the call and his
    name, and what it says there besides; it may be a coroutine function.
    """

    CALL_ANSWERED = "CALL_ANSWERED"
    CALL_ANSWER_FAILED = "CALL_ANSWER_FAILED"
    CALL_CONNECTED = "CALL_CONNECTED"
    CALL_CONNECT_FAILED = "CALL_CONNECT_FAILED"
    CALL_MODE_CHANGED = "CALL_MODE_CHANGED"
    """``call.mode`` is another one: by command, or silent because something failed."""
    PARTY_JOINED = "PARTY_JOINED"
    """Somebody who was added talks with the others."""
    PARTY_LEFT = "PARTY_LEFT"
    """A party hung up or was removed, and the call goes on without him."""
    PARTY_CHANGED = "PARTY_CHANGED"
    """A party is muted or held, or is not any more; see ``call.parties``."""
    CALL_RETRIEVED = "CALL_RETRIEVED"
    """Somebody talks with who was parked: the handler gets the call, and the name of the party who
    dialled the slot, or was rung when the time was over. The agent leaves then, unless he stays."""
    PARKING_TIMED_OUT = "PARKING_TIMED_OUT"
    """Nobody fetched who was parked: the agent has him back. The handler gets the call and the
    slot. If nobody listens to it, he stays parked."""
    DTMF_RECEIVED = "DTMF_RECEIVED"
    """A party pressed a key: the handler gets the call, his name, and the key."""
    CALL_TAKEN_OVER = "CALL_TAKEN_OVER"
    """An observer, ``call.taken_over_by``, stands in for somebody: a party, or ``ai``, the agent.

    The agent, should he be the one, is a spy until it is given back.
    """
    CALL_GIVEN_BACK = "CALL_GIVEN_BACK"
    """Nobody stands in any more for the party, or the agent, who was replaced."""
    RECORDING_ENDED = "RECORDING_ENDED"
    """A recording is complete: the handler gets the call and the Recording."""
    RECORDING_FAILED = "RECORDING_FAILED"
    """A recording cannot go on, the call does: the handler gets the call and the Recording, whose
    ``failure`` says why."""
    TRANSFER_STARTED = "TRANSFER_STARTED"
    """The customers wait, and it rings. Handlers of these get the call and the Transfer."""
    TRANSFER_RINGING = "TRANSFER_RINGING"
    """Somebody is being rung: once for each."""
    TRANSFER_ANSWERED = "TRANSFER_ANSWERED"
    """Somebody has picked up, and is to accept."""
    TRANSFER_NOT_ACCEPTED = "TRANSFER_NOT_ACCEPTED"
    """Somebody was not had: ``transfer.error_code`` says why. The next is rung, if there is one."""
    TRANSFER_ACCEPTED = "TRANSFER_ACCEPTED"
    """``transfer.human`` has accepted."""
    TRANSFER_CHANGED = "TRANSFER_CHANGED"
    """Who talks with whom is another, by ``transfer.stage``: consulting, aside, together."""
    TRANSFER_ENDED = "TRANSFER_ENDED"
    """``transfer.outcome`` says how: once, last of these."""
    CALL_TERMINATED = "CALL_TERMINATED"
    """The call ended or the agent left it: once, last. ``call.end_reason`` says why."""


class ObserverEvent(StrEnum):
    """For ``observer.on``. A handler takes no argument, or the observer."""

    OBSERVER_MODE_CHANGED = "OBSERVER_MODE_CHANGED"
    """``observer.mode`` is another: by command, by a key, or silent because something failed."""
    OBSERVER_LEFT = "OBSERVER_LEFT"
    """He takes part no longer: once, last. ``observer.left`` says why."""


class WatchEvent(StrEnum):
    """What ``client.tap`` tells beside the events above."""

    LIVE_CALL_CHANGED = "LIVE_CALL_CHANGED"
    """Somebody came to a live call, went, or something about him changed: with the LiveCall."""
    OBSERVER_JOINED = "OBSERVER_JOINED"
    """Somebody observes a call: with the ObserverNews, as the two of ObserverEvent have it."""
    OBSERVER_MOVED = "OBSERVER_MOVED"
    """He goes to another call: with the ObserverNews, which names the new one."""


@dataclass(frozen=True, slots=True)
class ObserverNews:
    """What is told of an observer to who watches everything."""

    call_id: str | None
    name: str
    mode: AudioMode
    whispers_to: frozenset[str]
    left: LeftReason | None = None
    """Why he takes part no longer."""


OBSERVER_MODE_CHANGED: Final = ObserverEvent.OBSERVER_MODE_CHANGED
OBSERVER_LEFT: Final = ObserverEvent.OBSERVER_LEFT

INCOMING_CALL: Final = ClientEvent.INCOMING_CALL
CALL_RESUMED: Final = ClientEvent.CALL_RESUMED
OBSERVER_RESUMED: Final = ClientEvent.OBSERVER_RESUMED
SERVER_LOST: Final = ClientEvent.SERVER_LOST
SERVER_BACK: Final = ClientEvent.SERVER_BACK
LIVE_CALL_BEGAN: Final = ClientEvent.LIVE_CALL_BEGAN
LIVE_CALL_ENDED: Final = ClientEvent.LIVE_CALL_ENDED
OBSERVER_DIALLED_IN: Final = ClientEvent.OBSERVER_DIALLED_IN
AUDIBILITY_DIFFERS: Final = ClientEvent.AUDIBILITY_DIFFERS
AUDIT: Final = ClientEvent.AUDIT
CALL_ANSWERED: Final = CallEvent.CALL_ANSWERED
CALL_ANSWER_FAILED: Final = CallEvent.CALL_ANSWER_FAILED
CALL_CONNECTED: Final = CallEvent.CALL_CONNECTED
CALL_CONNECT_FAILED: Final = CallEvent.CALL_CONNECT_FAILED
CALL_MODE_CHANGED: Final = CallEvent.CALL_MODE_CHANGED
PARTY_JOINED: Final = CallEvent.PARTY_JOINED
PARTY_LEFT: Final = CallEvent.PARTY_LEFT
PARTY_CHANGED: Final = CallEvent.PARTY_CHANGED
CALL_RETRIEVED: Final = CallEvent.CALL_RETRIEVED
PARKING_TIMED_OUT: Final = CallEvent.PARKING_TIMED_OUT
DTMF_RECEIVED: Final = CallEvent.DTMF_RECEIVED
CALL_TAKEN_OVER: Final = CallEvent.CALL_TAKEN_OVER
CALL_GIVEN_BACK: Final = CallEvent.CALL_GIVEN_BACK
RECORDING_ENDED: Final = CallEvent.RECORDING_ENDED
RECORDING_FAILED: Final = CallEvent.RECORDING_FAILED
TRANSFER_STARTED: Final = CallEvent.TRANSFER_STARTED
TRANSFER_RINGING: Final = CallEvent.TRANSFER_RINGING
TRANSFER_ANSWERED: Final = CallEvent.TRANSFER_ANSWERED
TRANSFER_NOT_ACCEPTED: Final = CallEvent.TRANSFER_NOT_ACCEPTED
TRANSFER_ACCEPTED: Final = CallEvent.TRANSFER_ACCEPTED
TRANSFER_CHANGED: Final = CallEvent.TRANSFER_CHANGED
TRANSFER_ENDED: Final = CallEvent.TRANSFER_ENDED
CALL_TERMINATED: Final = CallEvent.CALL_TERMINATED
