"""This machine: store, certificates, what may be dialled, folders, speech, the API's address."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from sqlalchemy import URL, text

from bridge.api.auth.tls import server_tls
from bridge.api.speech import ESPEAK
from bridge.daemon import runfile
from bridge.daemon.check.report import Finding, fail, ok, warn
from bridge.daemon.config import Configuration
from bridge.daemon.paths import Paths
from bridge.model.errors import ConfigurationError
from bridge.store.engine import FAILURES, Database, parse_url, say
from bridge.store.migrate import current

_LITTLE_BYTES: Final = 1_000_000_000
_SOON_SECONDS: Final = 14 * 86_400.0


async def store(configuration: Configuration) -> AsyncIterator[Finding]:
    """Test whether the database can be reached, and is of this version."""
    paths = Paths.of(configuration)
    yield _folder("state", paths.state, "server.state_folder")
    try:
        url = parse_url(paths.store_url(configuration))
    except ConfigurationError as error:
        yield fail("store", error.error_message, "correct store.url")
        return
    shown = url.render_as_string(hide_password=True)
    if _is_new(url):
        yield ok("store", f"{shown} is made at the first start")
        return
    database = Database(url)
    try:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1"))
            revision = await current(connection)
    except ConfigurationError as error:
        yield fail("store", error.error_message, "see above")
    except FAILURES as error:
        yield fail(
            "store",
            f"{shown} cannot be reached: {say(error)}",
            "start the database or correct store.url; calls go on without it, and what is to be "
            "stored is kept in the spool",
        )
    else:
        yield ok("store", f"{shown} answers, schema {revision or 'made at the first start'}")
    finally:
        await database.close()


def _is_new(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def tls(configuration: Configuration) -> Iterator[Finding]:
    """Test the certificate and its key."""
    server = configuration.server
    if server.tls_cert is None or server.tls_key is None:
        if server.in_the_clear:
            yield warn(
                "tls",
                f"the API at {server.host} speaks plain HTTP: keys can be read on the way",
                "set server.tls_cert and server.tls_key, or put a proxy with TLS before it",
            )
        else:
            yield ok("tls", "not needed: the API is reached from this machine alone")
        return
    try:
        server_tls(server.tls_cert, server.tls_key, server.tls_client_ca)
        certificate = x509.load_pem_x509_certificate(server.tls_cert.read_bytes())
    except (ConfigurationError, OSError, ValueError) as error:
        yield fail("tls", str(error), "give a certificate and its key in PEM")
        return
    left = certificate.not_valid_after_utc.timestamp() - time.time()
    if left <= 0:
        yield fail("tls", f"{server.tls_cert} expired {-left / 86_400:.0f} days ago", "renew it")
    elif left < _SOON_SECONDS:
        yield warn("tls", f"{server.tls_cert} expires in {left / 86_400:.0f} days", "renew it")
    else:
        yield ok("tls", f"{server.tls_cert} is valid for {left / 86_400:.0f} days")


def dial_rules(configuration: Configuration) -> Iterator[Finding]:
    """Test whether what may be dialled is limited."""
    dialling = configuration.dialling
    rules = dialling.rules(configuration.asterisk.endpoint)
    wide = [probe for probe in _PROBES if rules.allows(probe, tenant="default")]
    if wide:
        yield warn(
            "dial rules",
            f"whoever may originate may dial {', '.join(wide)}",
            "allow in dialling.allow what is needed, and deny premium and foreign numbers",
        )
    elif None in {dialling.concurrent, dialling.per_minute}:
        yield warn(
            "dial rules", "there is no limit of how much is dialled", "set dialling.concurrent"
        )
    else:
        yield ok(
            "dial rules",
            f"{len(dialling.allow)} allowed, {len(dialling.deny)} denied, at most "
            f"{dialling.concurrent} legs at a time",
        )


_PROBES: Final = ("PJSIP/+881612345678@trunk", "PJSIP/00881612345678@trunk")
"""A satellite phone, by a trunk: among the dearest there are."""


def folders(configuration: Configuration) -> Iterator[Finding]:
    """Test where recordings go."""
    yield _folder(
        "recordings", Paths.of(configuration).recordings(configuration), "recordings.folder"
    )


def _folder(part: str, folder: Path, key: str) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return fail(
            part,
            f"{folder} cannot be written: {there} is not this user's",
            f"let the daemon's user write there, or set {key}",
        )
    free = shutil.disk_usage(there).free
    if free < _LITTLE_BYTES:
        return warn(part, f"{folder} has {free / 1e6:.0f} MB left", "make room")
    return ok(part, f"{folder} can be written, {free / 1e9:.0f} GB are free")


def speech(configuration: Configuration) -> Finding:
    """Test whether there is a program that speaks."""
    command = configuration.speech.command or ESPEAK
    found = shutil.which(command[0])
    if found is None:
        return warn(
            "speech",
            f"there is no program {command[0]}: `callbridge say` does not speak",
            "install espeak-ng, or set speech.command",
        )
    return ok("speech", f"{found} speaks")


def address(configuration: Configuration) -> Finding:
    """Test whether the API's port is free, or a daemon is there."""
    server = configuration.server
    if (running := runfile.find()) is not None:
        return ok("address", f"a daemon of this user runs at {running.url} (pid {running.pid})")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return warn(
            "address",
            f"{server.host}:{server.port} cannot be listened at: {error.strerror}",
            "a daemon of another user may be there; else change server.host or server.port",
        )
    return ok("address", f"{server.host}:{server.port} is free")
