"""Who hears whom is told across the network as it was found."""

from __future__ import annotations

from bridge.api.shown import audibility_of
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, participant
from bridge.sdk.remote.shown import report_of
from bridge.topology.standing import AudibilityReport

BOSS = participant("boss")


def test_a_report_is_the_same_by_url() -> None:
    parties = frozenset({(CALLER, CALLEE), (CALLEE, CALLER)})
    wanted = frozenset({(BOSS, CALLER), (BOSS, CALLEE)})
    report = AudibilityReport(
        call_id=CallId("c1"),
        participants=(CALLER, CALLEE, BOSS),
        wanted=wanted,
        # The parties of a call of others hear each other, which nobody here has to say.
        standing=parties | frozenset({(BOSS, CALLER), (CALLER, BOSS)}),
        unwanted=frozenset({(CALLER, BOSS)}),
        missing=frozenset({(BOSS, CALLEE)}),
        doubled=frozenset({(BOSS, CALLER)}),
    )
    assert report_of(audibility_of(report)) == report
