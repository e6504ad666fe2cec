"""TLS, with certificates that are made here."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from bridge.api.auth.tls import reload_certificate, server_tls
from bridge.model.errors import ConfigurationError


class Pair:
    """A certificate and its key; signed by itself unless by another."""

    def __init__(self, folder: Path, name: str, by: Pair | None = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.private = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        signer = by or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
            .sign(signer.private, hashes.SHA256())
        )
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.cert.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self.write_key(NoEncryption())

    def write_key(self, encryption: KeySerializationEncryption) -> None:
        """Write the private key."""
        self.key.write_bytes(
            self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        )

    def trusting(self, client: Pair | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this one."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path, "server")


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Serve HTTPS; yields the address."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def fetched(url: str, context: ssl.SSLContext) -> str:
    """Fetch a page over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
        return await answer.text()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_it_is_served_by_tls_1_2_at_least(pair: Pair) -> None:
    context = server_tls(pair.cert, pair.key)
    async with serving(context) as url:
        assert await fetched(url, pair.trusting()) == "hello"
        with pytest.raises(aiohttp.ClientConnectorError):
            await fetched(url, until_tls_1_1(pair.trusting()))
        with pytest.raises(aiohttp.ClientError):
            await fetched(url.replace("https", "http"), pair.trusting())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    # That client could have been served.
    older = until_tls_1_1(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    older.load_cert_chain(pair.cert, pair.key)
    async with serving(older) as url:
        assert await fetched(url, until_tls_1_1(pair.trusting())) == "hello"


def until_tls_1_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have a context speak what is not spoken any more."""
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def test_clients_may_have_to_show_certificates(pair: Pair, tmp_path: Path) -> None:
    authority = Pair(tmp_path, "authority")
    known, stranger = Pair(tmp_path, "known", authority), Pair(tmp_path, "stranger")
    context = server_tls(pair.cert, pair.key, authority.cert)
    async with serving(context) as url:
        assert await fetched(url, pair.trusting(known)) == "hello"
        for client in (None, stranger):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await fetched(url, pair.trusting(client))


async def test_a_new_certificate_is_taken_without_a_restart(pair: Pair, tmp_path: Path) -> None:
    context = server_tls(pair.cert, pair.key)
    newer = Pair(tmp_path, "newer")
    async with serving(context) as url:
        trusting = pair.trusting()
        async with aiohttp.ClientSession() as session:
            async with session.get(url, ssl=trusting) as answer:
                assert await answer.text() == "hello"
            reload_certificate(context, newer.cert, newer.key)
            async with session.get(url, ssl=trusting) as answer:
                assert await answer.text() == "hello"  # on the connection that stands
        assert await fetched(url, newer.trusting()) == "hello"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await fetched(url, pair.trusting())
        # One that cannot be had changes nothing.
        with pytest.raises(ConfigurationError):
            reload_certificate(context, pair.cert, newer.key)
        assert await fetched(url, newer.trusting()) == "hello"


def test_what_is_wrong_is_told(pair: Pair, tmp_path: Path) -> None:
    other = Pair(tmp_path, "other")
    with pytest.raises(ConfigurationError, match=r"other\.key is not the key of .*server\.pem"):
        server_tls(pair.cert, other.key)
    with pytest.raises(ConfigurationError, match=r"missing\.pem cannot be read"):
        server_tls(tmp_path / "missing.pem", pair.key)
    with pytest.raises(ConfigurationError, match=r"the key .* cannot be read"):
        server_tls(pair.cert, tmp_path)
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(ConfigurationError, match="no certificate and key in PEM"):
        server_tls(empty, pair.key)
    with pytest.raises(ConfigurationError, match="no certificate in PEM"):
        server_tls(pair.cert, pair.key, empty)
    pair.write_key(BestAvailableEncryption(b"passphrase"))
    with pytest.raises(ConfigurationError, match="without a passphrase"):
        server_tls(pair.cert, pair.key)
