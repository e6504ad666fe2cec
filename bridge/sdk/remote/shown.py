"""What the daemon shows, as the SDK in process has it."""

from __future__ import annotations

from bridge.ari import Capabilities
from bridge.directory import LiveCall, LiveParty
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.protocol.views import (
    AudibilityView,
    CallView,
    CapabilitiesView,
    HearingView,
    PartyView,
)
from bridge.sdk.parties import Party
from bridge.topology.standing import AudibilityReport, Stranger


def party_of(view: PartyView) -> Party:
    """Return a party as ``call.parties`` has him."""
    return Party(
        name=view.name,
        endpoint=view.endpoint,
        joined=view.joined,
        muted=view.muted,
        held=view.held,
        apart=view.apart,
        away=view.away,
    )


def live_call_of(view: CallView) -> LiveCall:
    """Return a call as ``client.live_calls()`` has it."""
    return LiveCall(
        call_id=CallId(view.call_id),
        parties=tuple(_live_party(party) for party in view.parties if party.channel_id),
        since=view.since,
        own=view.own,
    )


def report_of(view: AudibilityView) -> AudibilityReport:
    """Return who hears whom as ``client.audibility`` has it."""

    def those(pairs: tuple[HearingView, ...]) -> frozenset[tuple[Participant, Participant]]:
        return frozenset((Participant(one.listener), Participant(one.speaker)) for one in pairs)

    wanted = those(tuple(pair for pair in view.pairs if pair.wanted))
    standing = those(tuple(pair for pair in view.pairs if pair.stands))
    named = view.participants or sorted({who for cell in wanted | standing for who in cell})
    return AudibilityReport(
        call_id=CallId(view.call_id),
        participants=tuple(map(Participant, named)),
        wanted=wanted,
        standing=standing,
        unwanted=those(tuple(pair for pair in view.pairs if pair.unwanted)),
        missing=wanted - standing,
        doubled=those(tuple(pair for pair in view.pairs if pair.doubled)),
        strangers=tuple(
            Stranger(one.name, one.channel_id, one.place, one.snoops, one.intrudes)
            for one in view.strangers
        ),
    )


def capabilities_of(view: CapabilitiesView) -> Capabilities:
    """Return what the server can do as ``client.capabilities`` has it."""
    return Capabilities(
        version=view.version,
        rest_over_websocket=view.rest_over_websocket,
        websocket_media=view.websocket_media,
        snoop=view.snoop,
        softmix=view.softmix,
        rtp_media=view.rtp_media,
        dialling=view.dialling,
        sample_rates=view.sample_rates,
        refer_sub=view.refer_sub,
        whisper_to_silent_leg=view.whisper_to_silent_leg,
        sources=view.sources,
    )


def _live_party(view: PartyView) -> LiveParty:
    return LiveParty(
        role=Participant(view.name),
        channel_id=view.channel_id,
        channel_name=view.channel_name or view.endpoint,
        endpoint=view.endpoint,
        number=view.number,
        name=view.display_name,
        up=view.joined,
        alone=view.alone,
        parked=view.parked,
        holding=view.away,
        on_hold=view.on_hold,
    )
