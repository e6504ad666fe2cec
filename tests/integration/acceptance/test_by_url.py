"""A run whose agents are those of a daemon, with audio of the daemon's rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.lab import acceptance
from tests.support.daemon import running_api
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

TEXT = """
name: an agent of a daemon is heard, and hears
server: {sip: "${SIP}", callbridge: "${URL}", key: "${KEY}"}
phones:
  anna: {extension: "1001", password: "${PASSWORD}"}
steps:
  - place: {from: anna, to: "1002"}
  - answer: anna
  - hears: {anna: ai, ai: anna}
  - hang_up: ai
"""


@pytest.mark.parametrize("rate", [8000, 24000])
async def test_agents_are_heard_at_the_rate_of_their_daemon(
    pbx: Pbx, tmp_path: Path, rate: int
) -> None:
    info = pbx.instance.info
    password = next(one.password for one in info.accounts if one.number == "1001")
    async with running_api(pbx.instance, tmp_path, client={"sample_rate": rate}) as api:
        environment = {
            "SIP": f"{info.sip.host}:{info.sip.port}",
            "URL": api.url,
            "KEY": api.keys["program"],
            "PASSWORD": password,
        }
        run = acceptance.parse(TEXT, "text", environment)
        assert run.server is not None
        report = await acceptance.perform(run, acceptance.OwnSite(run.server))
    assert report.failures == ()
    assert report.verdict == "passed"
