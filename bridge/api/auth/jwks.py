"""The public keys of a token's issuer: given, or fetched from him and kept."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError
from yarl import URL

from bridge.model.errors import ConfigurationError, ServerUnreachableError

_log = logging.getLogger(__name__)

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MAX_AGE: Final = 600.0
"""Seconds after which keys are fetched again, while those that are there go on."""
BETWEEN_FETCHES: Final = 10.0
"""Seconds: tokens with invented key ids cause no more fetches than that."""
LONGEST: Final = 86_400.0
"""Seconds that keys are good for while their issuer does not answer."""
_SECONDS: Final = 5.0
_LARGEST: Final = 262_144
_MOST: Final = 64
_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and the one algorithm that it is good for."""

    kid: str | None
    algorithm: str
    key: PublicKey


class KeySource(Protocol):
    """Has the keys of an issuer."""

    async def find(self, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        """Return the keys that may have signed a token; none if none has this id.

        Raises ServerUnreachableError when no key can be had at all.
        """
        ...

    async def close(self) -> None:
        """End."""
        ...


class GivenKeys:
    """Keys of the configuration. pems: public keys, PEM. Raises ConfigurationError."""

    def __init__(self, pems: Iterable[str]) -> None:
        self._keys = tuple(_from_pem(pem) for pem in pems)

    async def find(self, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        """Return those of the algorithm: a given key has no id, and may have signed any token."""
        del kid
        return tuple(key for key in self._keys if key.algorithm == algorithm)

    async def close(self) -> None:
        """End: there is nothing to."""


class FetchedKeys:
    """Keys that the issuer publishes.

    jwks_url: by default what ``<issuer>/.well-known/openid-configuration`` says. Only HTTPS, but
    for this machine itself. Fetched at the first use, again when a token names a key that is not
    there, and every ten minutes in use. While the issuer is down those that are there go on, for a
    day. clock: seconds, monotonic. Raises ConfigurationError.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        max_age: float = MAX_AGE,
        between: float = BETWEEN_FETCHES,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        for url in (issuer, jwks_url):
            if url is not None and not _is_safe(url):
                raise ConfigurationError(f"{url} is no address to fetch keys from: give https://…")
        self._max_age, self._between, self._longest = max_age, between, longest
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._failure = ""
        self._fetching: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def find(self, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        """Return the keys that may have signed a token; none if none has this id."""
        age = self._age()
        if age is None or age > self._longest:
            await self._fetch_if_due()
            age = self._age()
            if age is None or age > self._longest:
                raise ServerUnreachableError(
                    f"the keys of {self._issuer} cannot be had, so no token can be judged: "
                    f"{self._failure}"
                )
        elif age > self._max_age:
            self._start_if_due()
        found = self._matching(kid, algorithm)
        if not found:
            await self._fetch_if_due()
            found = self._matching(kid, algorithm)
        return found

    async def close(self) -> None:
        """End, and fetch nothing more."""
        task, self._fetching = self._fetching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _age(self) -> float | None:
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    def _matching(self, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        return tuple(
            key
            for key in self._keys
            if key.algorithm == algorithm and (kid is None or key.kid in {kid, None})
        )

    def _start_if_due(self) -> asyncio.Task[None] | None:
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at < self._between:
            return None
        self._asked_at = now
        self._fetching = asyncio.create_task(self._fetch(), name="keys of the tokens' issuer")
        return self._fetching

    async def _fetch_if_due(self) -> None:
        task = self._start_if_due()
        if task is not None:
            # Whoever gives up waiting leaves the others theirs.
            await asyncio.shield(task)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                keys = _from_jwks(await self._read(await self._address()))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            self._failure = str(error) or type(error).__name__
            _log.warning("the keys of %s were not fetched: %s", self._issuer, self._failure)
            return
        if keys:
            self._keys, self._fetched_at = keys, self._clock()
        else:
            self._failure = "no key of RS256, ES256 or EdDSA among those it publishes"
            _log.warning("%s publishes no key that is good for anything", self._issuer)

    async def _address(self) -> str:
        if self._jwks_url is not None:
            return self._jwks_url
        document = await self._read(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise ValueError(f"it says that it is {document.get('issuer')!r}")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not _is_safe(address):
            raise ValueError(f"its jwks_uri is {address!r}")
        return address

    async def _read(self, url: str) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Accept": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError(f"{url} answers {answer.status}")
            body = await answer.content.read(_LARGEST + 1)
            while len(body) <= _LARGEST and (more := await answer.content.read(_LARGEST)):
                body += more
        if len(body) > _LARGEST:
            raise ValueError(f"{url} answers more than {_LARGEST} bytes")
        document = json.loads(body)
        if isinstance(document, dict):
            return document
        raise ValueError(f"{url} answers no JSON object")


def _from_jwks(document: dict[str, Any]) -> tuple[SigningKey, ...]:
    """Return the keys that are good for what is accepted; others are for somebody else."""
    listed = document.get("keys")
    if isinstance(listed, list):
        found = (_from_jwk(one) for one in listed[:_MOST] if isinstance(one, dict))
        return tuple(one for one in found if one is not None)
    raise ValueError("what is published holds no list of keys")


def _from_jwk(jwk: dict[str, Any]) -> SigningKey | None:
    if jwk.get("use") not in {None, "sig"} or "d" in jwk or jwk.get("kty") == "oct":
        return None
    kid = jwk.get("kid")
    try:
        key = PyJWK(jwk).key
    except (PyJWTError, ValueError, TypeError):
        return None
    algorithm = _algorithm_of(key)
    if algorithm is None or jwk.get("alg") not in {None, algorithm, *_ALSO.get(algorithm, ())}:
        return None
    return SigningKey(kid if isinstance(kid, str) else None, algorithm, key)


_ALSO: Final = {"EdDSA": ("Ed25519",)}
"""Names that an algorithm has beside its own."""


def _from_pem(pem: str) -> SigningKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigurationError(
            "a public key for tokens is no PEM: it begins with -----BEGIN PUBLIC KEY-----"
        ) from error
    if isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        algorithm = _algorithm_of(key)
        if algorithm is not None:
            return SigningKey(None, algorithm, key)
    raise ConfigurationError(
        "a public key for tokens is of no kind that is taken: RSA of 2048 bits at least, "
        "P-256 and Ed25519 are"
    )


def _algorithm_of(key: object) -> str | None:
    match key:
        case RSAPublicKey(key_size=bits) if bits >= _RSA_BITS:
            return "RS256"
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
        case _:
            return None


def _is_safe(text: str) -> bool:
    """Tell whether what an address answers can be believed: HTTPS, or this machine."""
    try:
        url = URL(text)
    except ValueError:
        return False
    if url.scheme == "https":
        return bool(url.host)
    if url.scheme != "http" or not url.host:
        return False
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost"
