"""What only holds when all parts are together: TLS, traces, what phones may transfer, the audit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.daemon import runfile, serve
from bridge.daemon.serve import Daemon
from bridge.daemon.traces import OpenTelemetry
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE
from bridge.runtime.transfer_policy import TransferKind, TransferRequest, TransferSource
from tests.api.auth.test_tls import Pair
from tests.integration.daemon.running import Running, configured, running


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as server:
        yield server


async def incoming(one: Running, fake: FakeAri) -> str:
    """Let somebody call; return the call's id when it is known whose it is."""
    await one.ready()
    fake.incoming_call()
    async with asyncio.timeout(5):
        while not (calls := (await one.ask("GET", "/calls"))[2]["items"]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return str(calls[0]["call_id"])


async def test_https_by_its_certificate_which_is_read_again(fake: FakeAri, tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server")
    tls = f'tls_cert = "{pair.cert}"\ntls_key = "{pair.key}"'
    daemon = Daemon(configured(fake, tmp_path, of_server=tls))
    task = asyncio.create_task(daemon.run())
    await daemon.started.wait()
    run = runfile.find()
    assert run is not None
    assert (run.url.partition(":")[0], run.certificate) == ("https", str(pair.cert))

    async def seen_by(context: ssl.SSLContext) -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{daemon.url}/live", ssl=context) as answer,
        ):
            return answer.status

    assert await seen_by(pair.trusting()) == 200
    other = Pair(tmp_path, "other")
    with pytest.raises(aiohttp.ClientSSLError):
        await seen_by(other.trusting())
    pair.cert.write_bytes(other.cert.read_bytes())
    daemon.reload()  # The key does not fit yet: the old pair stays.
    with pytest.raises(aiohttp.ClientSSLError):
        await seen_by(other.trusting())
    pair.key.write_bytes(other.key.read_bytes())
    daemon.reload()
    assert await seen_by(other.trusting()) == 200
    daemon.stop.ask()
    await task


async def test_a_command_is_traced_down_to_asterisk(
    fake: FakeAri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(serve, "traces", lambda _configured: OpenTelemetry(provider))
    async with running(configured(fake, tmp_path)) as one:
        call_id = await incoming(one, fake)
        exporter.clear()
        status, headers, _ = await one.ask("POST", f"/calls/{call_id}/answer")
        assert status == 200
        spans = exporter.get_finished_spans()
    [command] = [span for span in spans if span.name == "answer"]
    assert command.attributes is not None
    assert command.attributes["callbridge.call_id"] == call_id
    assert command.attributes["callbridge.principal"] == "local"
    assert command.attributes["callbridge.request_id"] == headers["X-Request-ID"]
    below = [s for s in spans if s.parent is not None and s.parent.span_id == _id(command.context)]
    asked = {str((span.attributes or {}).get("url.path", "")).split("/")[-1] for span in below}
    assert "answer" in asked, asked


def _id(context: object) -> object:
    return getattr(context, "span_id", None)


async def test_what_phones_may_transfer_to_is_what_may_be_dialled(
    fake: FakeAri, tmp_path: Path
) -> None:
    more = '[dialling]\nallow = ["PJSIP/1*"]\n'
    async with running(configured(fake, tmp_path, more)) as one:
        call_id = await incoming(one, fake)
        assert one.daemon.parts is not None
        policy = one.daemon.parts.client._settings.transfers.decide
        assert policy is not None

        def may(target: str, source: TransferSource, kind: TransferKind) -> object:
            return policy(TransferRequest(CallId(call_id), CALLEE, target, kind, source))

        assert may("1003", TransferSource.PHONE, TransferKind.BLIND) is True
        assert may("0900123", TransferSource.PHONE, TransferKind.BLIND) is False
        for kind in TransferKind:
            assert may("0900123", TransferSource.FEATURE_KEYS, kind) is False
        assert may("0900123", TransferSource.PHONE, TransferKind.ATTENDED) is True


async def test_the_audit_has_what_was_asked_and_what_became_of_it(
    fake: FakeAri, tmp_path: Path
) -> None:
    async with running(configured(fake, tmp_path)) as one:
        call_id = await incoming(one, fake)
        await one.ask("POST", f"/calls/{call_id}/answer")
        status, _, _ = await one.ask("POST", f"/calls/{call_id}/observers", {"name": "coach"})
        assert status == 201
        found: list[tuple[str, str]] = []

        async with asyncio.timeout(5):
            while "joined" not in [what for what, _ in found]:
                items = (await one.ask("GET", "/audit"))[2]["items"]
                found[:] = [(item["what"], item["by"]) for item in items]
                await asyncio.sleep(0.02)
        assert {("answer", "local"), ("observe", "local")} <= set(found)
        store = one.daemon.parts.service.store if one.daemon.parts else None
        assert store is not None
        await until(lambda: store.backlog == 0, "all is stored")
