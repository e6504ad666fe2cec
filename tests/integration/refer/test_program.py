"""The policy and the transfers of the program itself."""

from __future__ import annotations

import pytest

from bridge import CallState, TransferRequest, TransferSource
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.model.errors import BadArgumentError, TransferDeniedError
from bridge.runtime.transfer_policy import TransferKind, Verdict
from bridge.session.transfer.effects import Outcome
from tests.support.conference import Conference, everyone
from tests.support.pbx import Pbx, state_of

pytestmark = pytest.mark.asterisk


async def test_what_is_denied_changes_nothing(pbx: Pbx) -> None:
    async def never(_request: TransferRequest) -> bool:
        return False

    direct = await pbx.direct_call(transfer_policy=never)
    conference = await Conference.of(direct)
    for warm in (True, False):
        with pytest.raises(TransferDeniedError, match="does not let callee transfer"):
            await direct.call.transfer("1004", warm=warm)
    assert direct.call.transfer_in_progress is None
    await conference.parties_hear(everyone("caller", "callee"))
    await direct.call.disconnect()


async def test_the_policy_is_asked_about_each_target(pbx: Pbx) -> None:
    asked: list[TransferRequest] = []

    def judge(request: TransferRequest) -> Verdict:
        asked.append(request)
        return CALLEE_ENDPOINT if request.target == "1004" else True

    direct = await pbx.direct_call(transfer_policy=judge)
    conference = await Conference.of(direct, connect=False)
    transfer = await direct.call.transfer(["1004", "1777"], accept="answer")
    await conference.pick_up("human")
    assert await transfer.wait() is Outcome.COMPLETED
    assert [(r.target, r.by, r.kind, r.source) for r in asked] == [
        ("1004", "ai", TransferKind.BLIND, TransferSource.PROGRAM),
        ("1777", "ai", TransferKind.BLIND, TransferSource.PROGRAM),
    ]
    audit = direct.call._controller.audit.records
    records = [(record.what, record.result) for record in audit if record.by == "program"]
    assert records == [
        (f"blind transfer to 1004, sent to {CALLEE_ENDPOINT}", "allowed"),
        ("blind transfer to 1777", "allowed"),
        ("blind transfer to 1004", "completed"),
    ]


async def test_what_cannot_be_dialled(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    await direct.call.answer()
    with pytest.raises(BadArgumentError, match="no number that can be dialled"):
        await direct.call.transfer("a b")
    assert state_of(direct.call) is CallState.ANSWERED
    await direct.call.disconnect()
