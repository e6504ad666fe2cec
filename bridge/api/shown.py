"""What the SDK has in hand, as the API shows it. Reads and changes nothing."""

from __future__ import annotations

import msgspec

from bridge.directory import LiveCall, LiveParty
from bridge.model.states import CallState
from bridge.protocol.views import (
    AudibilityView,
    ChannelView,
    EndpointView,
    HearingView,
    ObserverView,
    ParkedView,
    PartyView,
    RecordingView,
    StrangerView,
    TransferView,
)
from bridge.runtime.audibility import AudibilityReport
from bridge.runtime.parking import ParkedCall
from bridge.sdk import Observer
from bridge.sdk.exchange import Channel, Endpoint
from bridge.sdk.parties import Party
from bridge.sdk.recording import Recording
from bridge.sdk.transfer import Transfer

_TALKING = 2


def party_of(live: LiveParty) -> PartyView:
    """Return somebody who takes part in a call, as Asterisk shows him."""
    return PartyView(
        name=live.role,
        endpoint=live.endpoint,
        number=live.number,
        display_name=live.name,
        channel_id=live.channel_id,
        channel_name=live.channel_name,
        joined=live.up,
        away=live.holding,
        alone=live.alone,
        parked=live.parked,
        on_hold=live.on_hold,
    )


def own_party_of(party: Party, live: LiveParty | None, *, parked: bool = False) -> PartyView:
    """Return a party of a call of our own. live: as Asterisk shows him, once it does.

    parked: by the program, not by the PBX, which knows nothing of it.
    """
    shown = PartyView(name=party.name, endpoint="") if live is None else party_of(live)
    return msgspec.structs.replace(
        shown,
        name=party.name,
        endpoint=party.endpoint or shown.endpoint,
        joined=party.joined,
        muted=party.muted,
        held=party.held,
        apart=party.apart,
        away=party.away or shown.away,
        parked=parked or shown.parked,
    )


def state_of(live: LiveCall) -> CallState:
    """Return the state of a call that no agent is on, or not yet."""
    there = sum(party.up for party in live.parties)
    if not there:
        return CallState.PENDING
    return CallState.CONNECTED if there >= _TALKING else CallState.ANSWERED


def observer_of(observer: Observer, call_id: str, by: str) -> ObserverView:
    """Return an observer."""
    left = observer.left
    return ObserverView(
        name=observer.name,
        call_id=call_id,
        mode=observer.mode,
        whispers_to=tuple(sorted(observer.whispers_to)),
        phone=observer.phone,
        by=by,
        left=None if left is None else str(left),
    )


def transfer_of(transfer: Transfer, transfer_id: str, call_id: str) -> TransferView:
    """Return a transfer."""
    outcome = transfer.outcome
    return TransferView(
        transfer_id=transfer_id,
        call_id=call_id,
        stage=str(transfer.stage),
        outcome=None if outcome is None else str(outcome),
        human=transfer.human,
        error_code=transfer.error_code,
        error_message=transfer.error_message,
    )


def recording_of(recording: Recording, call_id: str) -> RecordingView:
    """Return a recording that this program makes, or has made."""
    return RecordingView(
        recording_id=recording.recording_id,
        call_id=call_id,
        state=str(recording.state),
        seconds=round(recording.seconds, 3),
        files=tuple(file.name for file in recording.files),
        coaching_files=tuple(file.name for file in recording.coaching_files),
        failure=recording.failure,
        ended_by=recording.ended_by,
        description=recording.path.name,
        began_at=recording.began_at,
    )


def parked_of(parked: ParkedCall) -> ParkedView:
    """Return somebody who is parked."""
    return ParkedView(
        slot=parked.slot, call_id=parked.call_id, party=parked.party, since=parked.since
    )


def audibility_of(report: AudibilityReport) -> AudibilityView:
    """Return who hears whom."""
    pairs = sorted(report.wanted | report.standing)
    return AudibilityView(
        call_id=report.call_id,
        differs=not report.ok,
        participants=tuple(report.participants),
        pairs=tuple(
            HearingView(
                listener=listener,
                speaker=speaker,
                wanted=(listener, speaker) in report.wanted,
                stands=(listener, speaker) in report.standing,
                unwanted=(listener, speaker) in report.unwanted,
                doubled=(listener, speaker) in report.doubled,
            )
            for listener, speaker in pairs
        ),
        strangers=tuple(
            StrangerView(
                name=one.name,
                channel_id=one.channel_id,
                place=one.place,
                snoops=one.snoops,
                intrudes=one.intrudes,
            )
            for one in report.strangers
        ),
    )


def endpoint_of(endpoint: Endpoint) -> EndpointView:
    """Return a phone or trunk."""
    return EndpointView(
        endpoint=endpoint.endpoint, state=endpoint.state, channels=endpoint.channels
    )


def channel_of(channel: Channel) -> ChannelView:
    """Return a channel."""
    return ChannelView(
        channel_id=channel.channel_id,
        name=channel.name,
        state=channel.state,
        number=channel.number,
        display_name=channel.display_name,
        created=channel.created,
        call_id=channel.call_id,
    )
