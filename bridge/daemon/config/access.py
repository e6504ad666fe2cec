"""Who may do what, and what may be dialled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from bridge.api.auth.bootstrap import configured_key
from bridge.api.auth.dialling import OWN_ENDPOINTS, DialRule, DialRules
from bridge.api.auth.jwks import FetchedKeys
from bridge.api.auth.limits import COMMANDS, READS
from bridge.api.auth.tenancy import DEFAULT_TENANT, Tenancy, TenantRule
from bridge.daemon.config.base import ExistingFile, Seconds, Section, WebAddress, example
from bridge.daemon.config.secret import Secret, resolved
from bridge.model.errors import CallbridgeError
from bridge.protocol.permissions import Role

PerSecond = Annotated[float, Field(gt=0, le=100_000)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]
Limit = Annotated[int, Field(ge=0, le=1_000_000)]


class Oidc(Section):
    """Whose tokens are taken beside API keys; without it, none are."""

    issuer: WebAddress = Field(
        description="As in the tokens' `iss`.", examples=["https://login.example/realm"]
    )
    audience: str = Field(description="As in the tokens' `aud`.", examples=["callbridge"])
    jwks_url: Annotated[
        WebAddress | None,
        example(
            "https://login.example/realm/keys", "Where its public keys are; else by discovery."
        ),
    ] = None
    public_keys: list[ExistingFile] = Field(
        default_factory=list,
        description="Its public keys (PEM), instead of fetching them.",
        examples=[["/etc/callbridge/issuer.pem"]],
    )
    name_claim: str = Field(default="sub", description="Claim that names who asks.")
    role_claim: str = Field(
        default="callbridge_role",
        description="Claim of the role: a word or a list of them; a path has dots.",
    )
    roles: dict[str, Role] = Field(
        default_factory=lambda: {str(role): role for role in Role},
        description="The role of each word.",
    )
    tenant_claim: Annotated[
        str | None, example("callbridge_tenant", "Claim of the tenant; else all are of `tenant`.")
    ] = None
    tenant: str = Field(default=DEFAULT_TENANT, description="Tenant of tokens without the claim.")
    every_tenant: Annotated[str | None, example("all", "The word that stands for all tenants.")] = (
        None
    )
    queues_claim: Annotated[
        str | None, example("callbridge_queues", "Claim that lists the queues; * for all.")
    ] = None
    leeway_seconds: Seconds = Field(default=30.0, description="By how much clocks may differ.")

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether keys may be fetched from there."""
        issuer, jwks = values.get("issuer"), values.get("jwks_url")
        if isinstance(issuer, str) and (jwks is None or isinstance(jwks, str)):
            try:
                FetchedKeys(issuer, jwks)
            except CallbridgeError as error:
                yield "issuer" if jwks is None else "jwks_url", error.error_message


class Tenant(Section):
    """Calls of a tenant, and perhaps a queue: all that is given must match, the first rule wins."""

    tenant: str = Field(description="Its name.", examples=["acme"])
    queue: str = Field(default="", description="A queue of it.", examples=["sales"])
    dialled: Annotated[
        str | None, example("49301234*", "What was dialled; * stands for anything.")
    ] = None
    caller: Annotated[str | None, example("PJSIP/acme-*", "The caller's endpoint.")] = None
    callee: Annotated[str | None, example("PJSIP/acme-*", "The callee's endpoint.")] = None
    header: Annotated[
        tuple[str, str] | None,
        example(["X-Queue", "sales*"], "A SIP header of the caller, and what it must be."),
    ] = None

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the rule is about anything, and its patterns are some."""
        tenant = values.get("tenant")
        if not isinstance(tenant, str):
            return
        dialled, caller, callee = (
            _text(values.get(key)) for key in ("dialled", "caller", "callee")
        )
        pair: tuple[str, str] | None = None
        match values.get("header"):
            case [name, value]:
                pair = (str(name), str(value))
        try:
            rule = TenantRule(
                tenant=tenant, dialled=dialled, caller=caller, callee=callee, header=pair
            )
            Tenancy([rule])
        except CallbridgeError as error:
            yield "", error.error_message

    def rule(self) -> TenantRule:
        """Return it as the API judges by it."""
        return TenantRule(**self.model_dump())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Auth(Section):
    """Who may do what."""

    bootstrap_key: Annotated[
        Secret | None,
        example(
            "env:CALLBRIDGE_ADMIN_KEY",
            "A first key of the role admin. Without it, one is made at the first start and\n"
            "written into the state folder (admin.key).",
        ),
    ] = None
    default_tenant: str = Field(
        default=DEFAULT_TENANT, description="Whose calls are that no rule of tenants is about."
    )
    reads_per_second: PerSecond = Field(default=READS.per_second, description="Of each key.")
    reads_burst: Burst = Field(default=READS.burst, description="So many at once.")
    commands_per_second: PerSecond = Field(default=COMMANDS.per_second, description="Of each key.")
    commands_burst: Burst = Field(default=COMMANDS.burst, description="So many at once.")
    oidc: Oidc | None = None
    tenants: list[Tenant] = Field(default_factory=list)

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the key is one."""
        try:
            key = resolved(values.get("bootstrap_key"))
        except ValueError:
            return
        if isinstance(key, str):
            try:
                configured_key(key, now=0.0)
            except CallbridgeError as error:
                yield "bootstrap_key", error.error_message

    def tenancy(self) -> Tenancy:
        """Return what says whose a call is."""
        return Tenancy([one.rule() for one in self.tenants], default=self.default_tenant)


class DialLimits(Section):
    """What may be dialled, and how much of it."""

    allow: list[str] = Field(
        default_factory=lambda: list(OWN_ENDPOINTS),
        description="What may be dialled; * stands for letters and digits, never for / @ : * #.\n"
        "Without a slash it is a number, as `asterisk.endpoint` dials it.",
        examples=[["PJSIP/*", "PJSIP/+49*@trunk"]],
    )
    deny: list[str] = Field(
        default_factory=list,
        description="What may not, whatever allows it; * stands for anything. Without a slash, a\n"
        "number by whatever trunk.",
        examples=[["+49900*", "PJSIP/*@expensive"]],
    )
    concurrent: Annotated[
        Limit | None, Field(description="Outbound legs at a time, of a tenant.")
    ] = 100
    concurrent_by_key: Annotated[Limit | None, example(20, "The same, of each key.")] = None
    per_minute: Annotated[Limit | None, Field(description="Attempts, of a tenant.")] = 120
    per_minute_by_key: Annotated[Limit | None, example(30, "The same, of each key.")] = None

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the patterns are some."""
        for key in ("allow", "deny"):
            patterns = values.get(key)
            if isinstance(patterns, list):
                for pattern in patterns:
                    if not isinstance(pattern, str):
                        continue
                    rule = (
                        DialRule(allow=(pattern,)) if key == "allow" else DialRule(deny=(pattern,))
                    )
                    try:
                        DialRules(rule)
                    except CallbridgeError as error:
                        yield key, error.error_message

    def rule(self) -> DialRule:
        """Return it as the API judges by it."""
        return DialRule(
            allow=tuple(self.allow),
            deny=tuple(self.deny),
            concurrent=self.concurrent,
            concurrent_by_key=self.concurrent_by_key,
            per_minute=self.per_minute,
            per_minute_by_key=self.per_minute_by_key,
        )


class TenantDialling(DialLimits):
    """The same for one tenant, instead of what holds for all."""

    tenant: str = Field(description="Its name.", examples=["acme"])


class Dialling(DialLimits):
    """What may be dialled: toll fraud ends here."""

    international: str = Field(
        default="00", description="What is dialled for +: both ways of writing are one number."
    )
    tenants: list[TenantDialling] = Field(default_factory=list)

    def rules(self, endpoint: str) -> DialRules:
        """Return what decides on everything that is dialled. endpoint: how a number is."""
        return DialRules(
            self.rule(),
            tenants={one.tenant: one.rule() for one in self.tenants},
            endpoint=endpoint,
            international=self.international,
        )
