"""Keys that a phone's owner presses during a call: he transfers it, blindly or after a talk."""

from __future__ import annotations

from typing import Any

import pytest

from bridge import ActiveCall, FeatureKeys
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.waiting import until
from bridge.runtime.transfer_policy import TransferKind, TransferRequest, TransferSource, Verdict
from bridge.sdk import events
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from tests.audio.machine import remeasured
from tests.integration.refer.desk import HUMAN, Desk
from tests.support.conference import everyone
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

KEYS = FeatureKeys(number_seconds=1.5)


class Keys:
    """A desk whose phone has feature keys."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.requests: list[TransferRequest] = []
        self.transfers: list[Transfer] = []
        self.told = ""
        desk.call.on(
            events.TRANSFER_STARTED, lambda _call, transfer: self.transfers.append(transfer)
        )
        desk.call.on(events.DTMF_RECEIVED, self._tell)

    @classmethod
    async def begin(cls, pbx: Pbx, **arguments: Any) -> Keys:
        asked: list[TransferRequest] = []

        def policy(request: TransferRequest) -> Verdict:
            asked.append(request)
            return CALLEE_ENDPOINT if request.target == HUMAN else request.target == "1005"

        settings: dict[str, Any] = {"feature_keys": KEYS, "transfer_policy": policy, **arguments}
        keys = cls(await Desk.begin(pbx, **settings))
        keys.requests = asked
        return keys

    def _tell(self, _call: ActiveCall, _name: str, key: str) -> None:
        self.told += key

    @property
    def stage(self) -> Stage | None:
        return self.transfers[-1].stage if self.transfers else None

    async def press(self, keys: str) -> None:
        """Press keys; while they sound, the phone sends no speech."""
        before = self.told
        await self.desk.phone.dtmf(keys)
        await until(lambda: self.told == before + keys, f"{keys} are told")

    async def consult(self) -> None:
        """Dial the human after the code of an attended transfer, and let him answer."""
        await self.press(f"*2{HUMAN}#")
        await until(lambda: self.desk.is_held("caller"), "the caller is on hold")
        await self.desk.answer()
        await until(lambda: self.stage is Stage.CONSULTING, "they talk")
        # The phone itself is not measured: it talks with the human.
        await self.desk.hears({("human", "callee")}, music={"caller"})


@remeasured
async def test_a_blind_transfer(pbx: Pbx) -> None:
    keys = await Keys.begin(pbx)
    await keys.press(f"##{HUMAN}")
    await until(lambda: keys.desk.is_held("caller"), "the caller is on hold")
    await keys.desk.hears(set(), music={"caller"})
    await keys.desk.answer()
    await keys.desk.phone_is_idle()
    await keys.desk.hears(everyone("caller", "human"))
    (request,) = keys.requests
    assert (request.by, request.target, request.kind, request.source, request.endpoint) == (
        *("callee", HUMAN, TransferKind.BLIND, TransferSource.FEATURE_KEYS, "PJSIP/1001"),
    )
    records = keys.desk.program.client.audit.records
    results = [record.result for record in records if record.by == "feature keys"]
    assert results == ["allowed", "completed"]


@remeasured
async def test_an_attended_transfer_with_a_word_to_each(pbx: Pbx) -> None:
    keys = await Keys.begin(pbx)
    await keys.consult()
    await keys.press("*4")
    await until(lambda: keys.desk.is_held("human"), "the human waits")
    await keys.desk.hears({("caller", "callee")}, music={"human"})
    await keys.press("*4")
    await until(lambda: keys.desk.is_held("caller"), "the caller waits")
    await keys.desk.hears({("human", "callee")}, music={"caller"})
    await keys.press("*3")
    await until(lambda: keys.stage is Stage.TOGETHER, "all talk")
    both = {("caller", "callee"), ("human", "callee")}
    await keys.desk.hears(everyone("caller", "human") | both)
    await keys.press("*2")
    await keys.desk.phone_is_idle()
    await keys.desk.hears(everyone("caller", "human"))


@remeasured
async def test_who_changes_his_mind_has_the_caller_back(pbx: Pbx) -> None:
    keys = await Keys.begin(pbx)
    await keys.consult()
    await keys.press("*1")
    await keys.desk.conference.people.pop("human").wait_closed()
    await keys.desk.hears({("caller", "callee")})
    assert keys.desk.names() == {"caller", "callee"}
    # And it can be begun again.
    await keys.consult()


@remeasured
async def test_what_is_not_allowed_is_told_to_the_phone_alone(pbx: Pbx) -> None:
    keys = await Keys.begin(pbx)
    await keys.press("##1777#")
    await until(lambda: keys.requests, "the policy is asked")
    await keys.desk.hears({("caller", "callee")})
    assert keys.transfers == []
    denied = [r for r in keys.desk.program.client.audit.records if r.by == "feature keys"]
    assert "does not let callee transfer" in denied[0].result
    # Codes of a transfer mean nothing without one.
    await keys.press("*1*3*4")
    await keys.desk.hears({("caller", "callee")})
    # Nobody is registered there.
    await keys.press("##1005#")
    await until(lambda: keys.transfers, "it is begun")
    await keys.transfers[0].wait()
    await keys.desk.hears({("caller", "callee")})


@remeasured
async def test_by_default_keys_are_keys(pbx: Pbx) -> None:
    keys = await Keys.begin(pbx, feature_keys=None)
    await keys.press(f"##{HUMAN}#")
    await keys.desk.hears({("caller", "callee")})
    assert keys.requests == []
