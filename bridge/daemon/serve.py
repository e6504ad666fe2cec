"""``callbridge serve``: all parts together, from the first to the last moment."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from bridge.api.app import make_app
from bridge.api.auth.bootstrap import FILE as KEY_FILE
from bridge.api.auth.tls import reload_certificate, server_tls
from bridge.daemon import metrics as figures
from bridge.daemon import probes, runfile
from bridge.daemon.config import Configuration
from bridge.daemon.housekeeping import keep_removing
from bridge.daemon.metrics import Metrics
from bridge.daemon.notify import notify
from bridge.daemon.parts import Parts, first_key, local_key, make_parts, version
from bridge.daemon.paths import Paths
from bridge.daemon.pulse import LATE_SECONDS, Pulse
from bridge.daemon.requests import Requests
from bridge.daemon.runfile import RunFile
from bridge.daemon.stopping import Stop, first_of
from bridge.daemon.traces import traces
from bridge.model.errors import ConfigurationError
from bridge.runtime.tasks import Tasks
from bridge.store.store import Store

_log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 10.0
"""How long a connection to Asterisk that is being made may still take."""
IDLE_SECONDS: Final = 75.0
"""How long a connection is kept on which nobody asks for anything, or not to the end."""
SHUTDOWN_SECONDS: Final = 1.0
"""How long a request may still take when the server goes."""


class ExitCode(IntEnum):
    """How a daemon ended that had started."""

    DONE = 0
    """It was asked to."""
    REPLACED = 3
    """Another program took the application over; starting again would take it back."""


class Daemon:
    """One daemon. log_dropped: how many lines of the log were given up.

    ``url``: where it listens, once ``started`` is set.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        stop: Stop | None = None,
        log_dropped: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.configuration = configuration
        self.paths = Paths.of(configuration)
        self.stop = stop or Stop()
        self.started = asyncio.Event()
        self.url = ""
        self.metrics = Metrics()
        self._traces = traces(configuration.tracing)
        self.requests = Requests(self.metrics.request, self._traces.command)
        self._pulse = Pulse(self.metrics.lag)
        self._log_dropped = log_dropped
        self._tls: ssl.SSLContext | None = None
        self._reached = asyncio.Event()
        self.parts: Parts | None = None

    async def run(self) -> ExitCode:
        """Serve until it is asked to stop. Raises ConfigurationError when it cannot start."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._traces.close)
            parts = await self._build(stack)
            await self._listen(stack, parts)
            connecting = asyncio.create_task(
                parts.client.keep_connected(partial(self._connected, parts)), name="connect"
            )
            beside = Tasks()
            beside.spawn(self._pulse.run(), "pulse")
            beside.spawn(
                keep_removing(parts.views.archive.folder, self.configuration.recordings.keep_days),
                "old recordings",
            )
            beside.spawn(
                parts.feed.end_lost_calls(
                    self._reached, lambda: {view.call_id for view in parts.views.calls()}
                ),
                "lost calls",
            )
            try:
                return await self._serve(parts, connecting)
            finally:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
                await beside.end()

    def reload(self) -> None:
        """Read the certificate again; calls and connections go on."""
        server = self.configuration.server
        if self._tls is None or server.tls_cert is None or server.tls_key is None:
            _log.info("SIGHUP: there is no certificate to be read again")
            return
        try:
            reload_certificate(self._tls, server.tls_cert, server.tls_key)
        except ConfigurationError as error:
            _log.error("the certificate stays what it was: %s", error)
        else:
            _log.info("the certificate was read again")

    # --- the beginning --------------------------------------------------------------------------

    async def _build(self, stack: AsyncExitStack) -> Parts:
        """Make all parts; what is to be ended is, in reverse order, when all is over."""
        configuration, paths = self.configuration, self.paths
        await asyncio.to_thread(_make_private, paths.state)
        key = await asyncio.to_thread(first_key, configuration, paths)
        store = await Store.open(
            paths.store_url(configuration),
            spool=paths.spool,
            retention=configuration.store.retention(),
        )
        stack.push_async_callback(store.close)
        local, self._local_key = await asyncio.to_thread(local_key, configuration, paths)
        parts = self.parts = make_parts(configuration, paths, store, (key, local))
        service = parts.service
        service.health = self._health
        service.taken_up = parts.client.taken_up
        service.hub.listeners.append(self.metrics.event)
        self.metrics.look_at(service, log_dropped=self._log_dropped)
        stack.push_async_callback(service.authenticator.close)
        stack.push_async_callback(parts.views.close)
        stack.push_async_callback(parts.programs.close)
        await service.webhooks.start()
        stack.push_async_callback(service.webhooks.close)
        if configuration.auth.bootstrap_key is None:
            _log.info("the admin's key is in %s", paths.state / KEY_FILE)
        return parts

    async def _listen(self, stack: AsyncExitStack, parts: Parts) -> None:
        server, configured = self.configuration.server, self.configuration.metrics
        if server.tls_cert is not None and server.tls_key is not None:
            self._tls = server_tls(server.tls_cert, server.tls_key, server.tls_client_ca)
        app = make_app(parts.service, middlewares=[self.requests.middleware])
        probes.add(app, parts.service)
        if configured.enabled and configured.port is None:
            app.router.add_get(figures.PATH, self.metrics.handler(public=configured.public))
        port = await stack.enter_async_context(
            listening(app, server.host, server.port, "server", tls=self._tls)
        )
        if configured.enabled and configured.port is not None:
            apart = web.Application()
            apart.router.add_get(figures.PATH, self.metrics.handler(public=True))
            await stack.enter_async_context(
                listening(apart, configured.host, configured.port, "metrics")
            )
        self.url = f"{'http' if self._tls is None else 'https'}://{_reached(server.host)}:{port}"
        await asyncio.to_thread(
            runfile.write,
            RunFile(
                url=self.url,
                key=self._local_key,
                pid=os.getpid(),
                process=runfile.born(os.getpid()),
                started_at=time.time(),
                version=version(),
                certificate=str(server.tls_cert.absolute()) if server.tls_cert else "",
            ),
        )
        stack.callback(runfile.remove, os.getpid())
        _log.info("callbridge %s listens at %s", version(), self.url)
        if server.in_the_clear:
            _log.warning(
                "the API at %s speaks plain HTTP: keys can be read on the way; set server.tls_cert "
                "and server.tls_key, or put a proxy with TLS before it",
                server.host,
            )
        notify("READY=1", "STATUS=waiting for Asterisk")
        self.started.set()

    def _connected(self, parts: Parts) -> None:
        parts.programs.take_up()
        self._reached.set()
        notify("STATUS=connected to Asterisk")

    # --- the middle and the end -----------------------------------------------------------------

    async def _serve(self, parts: Parts, connecting: asyncio.Task[str]) -> ExitCode:
        await first_of(self.stop.asked, connecting)
        if self.stop.asked.is_set():
            await self._drain(parts)
            return ExitCode.DONE
        reason = connecting.result()
        _log.error("the daemon ends: %s", reason)
        notify("STOPPING=1", f"STATUS={reason}")
        parts.service.draining = True
        await parts.programs.close()
        parts.service.hub.close()
        await parts.client.disconnect()
        return ExitCode.REPLACED

    async def _drain(self, parts: Parts) -> None:
        """Take nothing new, wait for what is under way, leave the calls to who comes next."""
        service, server = parts.service, self.configuration.server
        service.draining = True
        notify("STOPPING=1", "STATUS=waiting for commands")
        # Who calls now rings on, until the next daemon has a program for him.
        await parts.programs.close()
        if self.requests.commands:
            _log.info("waiting for %d commands", self.requests.commands)
            await self._wait(self.requests.idle(), server.drain_seconds)
        if self.requests.commands:
            _log.warning("%d commands are not waited for any more", self.requests.commands)
        service.hub.close()
        await self._wait(parts.client.settled(), SETTLE_SECONDS)
        calls = len(parts.client.calls)
        if server.when_stopped == "hand_over":
            await parts.client.hand_over()
            _log.info("%d calls are left as they stand", calls)
        else:
            await parts.client.disconnect()
            _log.info("%d calls are left", calls)

    async def _wait(self, what: Coroutine[None, None, None], seconds: float) -> None:
        """Wait for something, no longer than that, and no longer than anybody wants."""
        waiting = asyncio.create_task(what)
        await first_of(waiting, self.stop.at_once, seconds=seconds)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    def _health(self) -> dict[str, str]:
        parts = self.parts
        if parts is None:
            return {}
        late = self._pulse.worst
        return {
            "ari": parts.client.link,
            "webhooks": parts.service.webhooks.health,
            "loop": "ok" if late <= LATE_SECONDS else f"was {late:.1f} s late: too little CPU?",
        }


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, section: str, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve an application while the block runs; the port is given. Raises ConfigurationError."""
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        # What is compressed is refused: nothing is to be unpacked of it before.
        auto_decompress=False,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise ConfigurationError(
                f"{host}:{port} cannot be listened at: {_reason(error)}; change {section}.host or "
                f"{section}.port, or end who has it"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _reason(error: OSError) -> str:
    """Return what the system says: asyncio repeats the address before it."""
    if error.errno is None or error.errno < 0:  # of the resolver
        return str(error.strerror)
    return os.strerror(error.errno)


def _reached(host: str) -> str:
    """Return the address by which this machine itself reaches a server that listens at ``host``."""
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"[{here}]" if ":" in here and not here.startswith("[") else here


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made: {error.strerror}; set server.state_folder"
        ) from error
