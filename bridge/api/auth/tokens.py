"""Tokens of an OpenID Connect issuer: JWT, signed, for this daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from bridge.api.auth.jwks import KeySource, PublicKey
from bridge.api.auth.principal import Principal, may_be_called
from bridge.model.errors import ConfigurationError, UnauthenticatedError
from bridge.protocol.permissions import EVERY_TENANT, Role

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Signatures by a private key that the issuer alone has: no shared secret, never ``none``."""
_REQUIRED: Final = ("exp", "iss", "aud", "sub")
_LONGEST_NAME: Final = 200
_EVERY_QUEUE: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Which tokens are taken, and what they say.

    issuer, audience: must be the token's. A claim is named as it is, or by a path with dots
    (``realm_access.roles``). role_claim: a word or a list of words; roles: the role of each word,
    the first that matches has it. tenant_claim: None: every token is of ``tenant``. every_tenant:
    the word that stands for all tenants; None: none does. queues_claim: a list, or words with
    spaces between; ``*`` for all of the tenant; None: no token is limited to queues. leeway: by how
    many seconds clocks may differ.
    """

    issuer: str
    audience: str
    name_claim: str = "sub"
    role_claim: str = "callbridge_role"
    roles: Mapping[str, Role] = field(default_factory=lambda: {str(role): role for role in Role})
    tenant_claim: str | None = "callbridge_tenant"
    tenant: str = ""
    every_tenant: str | None = None
    queues_claim: str | None = None
    leeway: float = 30.0

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ConfigurationError("tokens need an issuer and an audience: name both")
        if self.tenant_claim is None and not self.tenant:
            raise ConfigurationError(
                "of which tenant are those who show tokens? Give tenant_claim, or tenant"
            )


class Tokens:
    """Says who shows a token.

    keys: where the issuer's keys are had.
    """

    def __init__(self, settings: TokenSettings, keys: KeySource) -> None:
        self._settings = settings
        self._keys = keys

    async def verify(self, token: str) -> Principal:
        """Return who shows a token. Raises UnauthenticatedError, which says what is wrong with it.

        Raises ServerUnreachableError when the issuer's keys cannot be had.
        """
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise UnauthenticatedError(
                f"this is neither a key (cbk_…) nor a token (JWT) that is understood: {error}"
            ) from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise UnauthenticatedError(
                f"the token is signed by {algorithm}; taken are {', '.join(ALGORITHMS)}"
            )
        keys = await self._keys.find(kid if isinstance(kid, str) else None, algorithm)
        if not keys:
            raise UnauthenticatedError("the token is signed by a key that its issuer does not have")
        return self._principal(self._claims(token, algorithm, [key.key for key in keys]))

    async def close(self) -> None:
        """End."""
        await self._keys.close()

    def _claims(self, token: str, algorithm: str, keys: list[PublicKey]) -> dict[str, Any]:
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=self._settings.issuer,
                    audience=self._settings.audience,
                    leeway=self._settings.leeway,
                    options={"require": list(_REQUIRED)},
                )
            except InvalidSignatureError:
                continue
            except (PyJWTError, OverflowError) as error:
                raise UnauthenticatedError(self._why(error)) from error
            return claims
        raise UnauthenticatedError("the token's signature is wrong")

    def _why(self, error: Exception) -> str:
        match error:
            case ExpiredSignatureError():
                return "the token has expired: get a new one"
            case ImmatureSignatureError():
                return "the token is not valid yet: compare the clocks"
            case InvalidAudienceError():
                return f"the token is for somebody else: it must be for {self._settings.audience}"
            case InvalidIssuerError():
                return f"the token is not from {self._settings.issuer}"
            case MissingRequiredClaimError(claim=claim):
                return f"the token says nothing of {claim}"
            case _:
                return f"the token is not valid: {error}"

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        name = _claim(claims, self._settings.name_claim)
        if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and may_be_called(name)):
            raise UnauthenticatedError(
                f"the token's {self._settings.name_claim} is no name of 1 to {_LONGEST_NAME} "
                "characters, or one that the audit has for somebody else"
            )
        return Principal(
            name=name,
            role=self._role(claims),
            tenant=self._tenant(claims),
            queues=self._queues(claims),
            expires_at=float(claims["exp"]) + self._settings.leeway,
        )

    def _role(self, claims: Mapping[str, Any]) -> Role:
        words = _words(_claim(claims, self._settings.role_claim))
        for word, role in self._settings.roles.items():
            if word in words:
                return role
        raise UnauthenticatedError(
            f"the token's {self._settings.role_claim} names no role: "
            f"one of {', '.join(self._settings.roles)} does"
        )

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        if self._settings.tenant_claim is None:
            return self._settings.tenant
        tenant = _claim(claims, self._settings.tenant_claim) or self._settings.tenant
        if self._settings.every_tenant is not None and tenant == self._settings.every_tenant:
            return EVERY_TENANT
        if not isinstance(tenant, str) or not tenant or tenant == EVERY_TENANT:
            raise UnauthenticatedError(
                f"the token's {self._settings.tenant_claim} names no tenant: have it name one"
            )
        return tenant

    def _queues(self, claims: Mapping[str, Any]) -> frozenset[str]:
        if self._settings.queues_claim is None:
            return frozenset()
        queues = _words(_claim(claims, self._settings.queues_claim))
        if not queues:
            # None would be all of them.
            raise UnauthenticatedError(
                f"the token's {self._settings.queues_claim} names no queue: "
                f"have it name some, or {_EVERY_QUEUE} for all"
            )
        return frozenset() if _EVERY_QUEUE in queues else queues


def _claim(claims: Mapping[str, Any], path: str) -> object:
    """Return what stands at a path; a claim that is called like the whole path comes first."""
    if path in claims:
        return claims[path]
    found: object = claims
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _words(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(one for one in value if isinstance(one, str) and one)
    return frozenset()
