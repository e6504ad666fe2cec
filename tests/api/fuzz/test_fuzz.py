"""Schemathesis against the running service: no fault of ours, no answer that is not documented.

What tells that Asterisk or the store failed (502, 503, 504, as a problem) is documented.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from bridge.api.app import OPENAPI_PATH
from bridge.api.router import Endpoint
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import POLL_S, until
from bridge.model.errors import CallbridgeError
from bridge.model.states import CallState
from bridge.protocol.operations import OPERATIONS
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import assert_no_task_left

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
ROOT = Path(__file__).parents[3]
CALLS = 3
MOST_CALLS = 5
SECONDS = 250
NOT_OURS = ("bridge.webhooks", "aiohttp.server")
"""Who may log errors: nobody listens where webhooks are sent, and some requests are no HTTP."""


async def keep_calls(fake: FakeAri, api: RunningApi) -> None:
    """See to it that there are calls of our own, some connected, and one that is not ours."""
    while True:
        for call in api.client.calls:
            # It may end, or somebody else may command it, at any moment.
            with suppress(CallbridgeError):
                if call.state is CallState.PENDING:
                    await call.answer()
                elif call.state is CallState.ANSWERED:
                    await call.connect(ring_time_seconds=1)
        if len(api.client.calls) < CALLS:
            fake.incoming_call()
        for call in api.client.calls[:-MOST_CALLS]:
            with suppress(CallbridgeError):
                await call.disconnect(cut=True)
        if all(view.own for view in api.service.views.calls()):
            fake.place_call()
        await asyncio.sleep(POLL_S * 10)


@asynccontextmanager
async def busy_api(folder: Path) -> AsyncIterator[tuple[FakeAri, RunningApi]]:
    """Run an API with calls; at the end nothing may be left of whatever was done to them."""
    before = asyncio.all_tasks()
    async with FakeAri() as fake:
        async with running_api(fake, folder) as api:
            keeping = asyncio.create_task(keep_calls(fake, api))
            yield fake, api
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            fake.failures.rules.clear()
            for call in api.client.calls:
                with suppress(CallbridgeError):
                    await call.disconnect(cut=True)
            for channel in list(fake.world.channels):
                with suppress(KeyError):
                    fake.channel_hangs_up(channel)
            await until(lambda: not fake.remains(), "nothing is left in Asterisk")
        assert fake.world.violations == []
    await assert_no_task_left(before)


class Heard(Counter[tuple[str, int]]):
    """How often each operation was answered with each status."""

    def listen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count from now on."""
        answer = Endpoint.answer

        async def counted(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
            response = await answer(endpoint, request)
            self[endpoint.operation.operation_id, response.status] += 1
            return response

        monkeypatch.setattr(Endpoint, "answer", counted)

    def well(self) -> set[str]:
        """Return the operations that were carried out at least once."""
        return {operation for operation, status in self if status < 300}


async def fuzz(api: RunningApi, role: str, *, phases: str, examples: int) -> str:
    """Run schemathesis; return what it says. Raises AssertionError when it finds something."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", api.url + OPENAPI_PATH),
        *("--header", f"Authorization: Bearer {api.keys[role]}"),
        *("--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", str(examples)),
        *("--seed", "1", "--no-shrink", "--no-color", "--generation-database", "none"),
        *("--request-timeout", "20"),
    ]
    settings = {
        **os.environ,
        "API_URL": api.url,
        "API_KEY": api.keys["admin"],
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.api.fuzz.hooks",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        env=settings,
        cwd=api.service.views.archive.folder.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    text = said.decode(errors="replace")
    assert process.returncode == 0, text
    return text


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as an error."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and not record.name.startswith(NOT_OURS)
    ]


PLANS = {
    "admin": ("examples,coverage,fuzzing", 4),
    "supervisor": ("fuzzing", 6),
    "program": ("fuzzing", 6),
    "observer": ("fuzzing", 2),
    "foreign-admin": ("fuzzing", 2),
}
"""Phases of schemathesis and examples for each operation, by whose key is shown."""


@pytest.mark.timeout(SECONDS + 50)
@pytest.mark.parametrize("role", PLANS)
async def test_no_fault_and_no_undocumented_answer(
    role: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases, examples = PLANS[role]
    # What tests before this one left to be collected is not told of as this one's.
    gc.collect()
    caplog.clear()
    heard = Heard()
    heard.listen(monkeypatch)
    async with busy_api(tmp_path) as (_, api):
        await fuzz(api, role, phases=phases, examples=examples)
    gc.collect()
    assert {operation for operation, _ in heard} == {o.operation_id for o in OPERATIONS}
    assert faults(caplog) == []
    if role == "admin":
        # Else all this would only show how well it says no.
        assert len(heard.well()) > len(OPERATIONS) // 2, sorted(heard.well())


async def test_an_asterisk_that_fails_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    heard.listen(monkeypatch)
    async with busy_api(tmp_path) as (fake, api):
        await until(lambda: len(api.client.calls) == CALLS, "there are calls")
        for method in ("GET", "POST"):
            fake.failures.refuse(method, "(channels|bridges|endpoints).*", times=10_000)
        await fuzz(api, "admin", phases="fuzzing", examples=2)
    assert any(status == 502 for _, status in heard)
    assert not any(status == 500 for _, status in heard)
