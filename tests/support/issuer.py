"""An OpenID Connect issuer that publishes its keys, rotates them, stalls and lies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE: Final = "callbridge"

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def made_key(algorithm: str = "ES256") -> PrivateKey:
    """Make a private key for an algorithm."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> str:
    """Return the public half, PEM."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def jwk_of(key: PrivateKey, kid: str | None) -> dict[str, Any]:
    """Return the public half as a JSON Web Key."""
    found: dict[str, Any]
    match key:
        case rsa.RSAPrivateKey():
            found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            found = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return found if kid is None else {**found, "kid": kid}


class Issuer:
    """Where tokens come from.

    keys: by kid, with their algorithms; tokens are signed by the last. asked: how often its keys
    were. status, stall, body: what it answers instead.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, tuple[str, PrivateKey]] = {"one": ("ES256", made_key())}
        self.asked = 0
        self.status = 200
        self.stall = False
        self.body: bytes | None = None
        self.jwks_uri: str | None = None
        self.says: str | None = None

    def token(
        self,
        *,
        kid: str | None = None,
        header: dict[str, Any] | None = None,
        drop: tuple[str, ...] = (),
        **claims: Any,
    ) -> str:
        """Sign a token; kid: of the key; drop: claims that are left out."""
        kid = kid or list(self.keys)[-1]
        algorithm, key = self.keys[kid]
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": int(time.time()) + 300,
            "callbridge_role": "supervisor",
            "callbridge_tenant": "acme",
            **claims,
        }
        for name in drop:
            del whole[name]
        return jwt.encode(whole, key, algorithm, headers={"kid": kid, **(header or {})})

    def forged(self, header: dict[str, Any], secret: bytes | None = None) -> str:
        """Return a token that is signed by a shared secret (HS256), or by nobody."""
        claims = jwt.decode(self.token(), options={"verify_signature": False})
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        digest = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
        return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    async def configuration(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.says or self.url,
                "jwks_uri": self.jwks_uri or f"{self.url}/keys",
            }
        )

    async def published(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.stall:
            await asyncio.Event().wait()
        if self.body is not None:
            return web.Response(body=self.body, status=self.status)
        keys = [jwk_of(key, kid) for kid, (_, key) in self.keys.items()]
        return web.json_response({"keys": keys}, status=self.status)


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@asynccontextmanager
async def running_issuer() -> AsyncIterator[Issuer]:
    """Run an issuer on this machine."""
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.configuration)
    app.router.add_get("/keys", issuer.published)
    app.router.add_get("/moved", _moved)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()


async def _moved(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/keys")
