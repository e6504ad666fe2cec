"""What the daemon is made of: every part, made from the configuration."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.api.audio import AudioPositions
from bridge.api.auth.authenticator import Authenticator
from bridge.api.auth.bootstrap import FILE as KEY_FILE
from bridge.api.auth.bootstrap import bootstrap_key, configured_key, derived_key
from bridge.api.auth.jwks import FetchedKeys, GivenKeys, KeySource
from bridge.api.auth.limits import Rate, RateLimits
from bridge.api.auth.tokens import Tokens, TokenSettings
from bridge.api.hub import EventHub
from bridge.api.programs import Programs
from bridge.api.service import Service
from bridge.api.speech import Speech, installed_command
from bridge.api.views import Views
from bridge.daemon.client import DaemonClient
from bridge.daemon.config import Configuration
from bridge.daemon.config.access import Oidc
from bridge.daemon.paths import Paths
from bridge.model.errors import ConfigurationError, ServerError
from bridge.protocol.views import AuditView
from bridge.runtime.audit import AuditRecord
from bridge.runtime.transfer_policy import TransferKind, TransferRequest, TransferSource
from bridge.sdk import events
from bridge.store.feed import Feed
from bridge.store.records import StoredKey
from bridge.store.store import Store
from bridge.webhooks import Addresses, Webhooks

LOCAL: Final = "local"
"""What the audit calls who found the daemon by its run file."""
PHONES_TRANSFER: Final = "transfers by phones"
FALLBACK: Final = "calls that no program takes"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the daemon itself has to do with, typed as what they are."""

    client: DaemonClient
    views: Views
    programs: Programs
    service: Service
    feed: Feed


def version() -> str:
    """Return callbridge's own."""
    return importlib.metadata.version("callbridge")


def first_key(configuration: Configuration, paths: Paths) -> StoredKey:
    """Return the admin's first key, which is made unless it is configured.

    Raises ConfigurationError.
    """
    given = configuration.auth.bootstrap_key
    now = time.time()
    if given is not None:
        return configured_key(given.get_secret_value(), now=now)
    return bootstrap_key(paths.state, now=now)


def local_key(configuration: Configuration, paths: Paths) -> tuple[StoredKey, str]:
    """Return the key of commands of the daemon's own user, and its text; the first key is there.

    It outlives the daemon: who follows events, or listens, goes on with the next one. Raises
    ConfigurationError.
    """
    given = configuration.auth.bootstrap_key
    path = paths.state / KEY_FILE
    try:
        secret = path.read_text() if given is None else given.get_secret_value()
    except OSError as error:
        raise ConfigurationError(f"the admin key {path} cannot be read: {error}") from error
    return derived_key(secret, LOCAL, now=time.time())


def make_parts(
    configuration: Configuration, paths: Paths, store: Store, keys: Iterable[StoredKey]
) -> Parts:
    """Make every part; none of them does anything yet. Raises ConfigurationError."""
    rules = configuration.dialling.rules(configuration.asterisk.endpoint)

    def may_transfer(asked: TransferRequest) -> bool:
        """Judge what phones want; who asks over the API has been judged already.

        Whom an attended transfer is to is on the line, and was dialled by the PBX.
        """
        if asked.source is TransferSource.PROGRAM:
            return True
        if asked.kind is TransferKind.ATTENDED and asked.source is TransferSource.PHONE:
            return True
        call = views.call(asked.call_id)
        return call is not None and rules.attempt(
            asked.target, tenant=call.tenant, by=PHONES_TRANSFER
        )

    client = DaemonClient(configuration, may_transfer)
    tenancy = configuration.auth.tenancy()
    views = Views(client, tenancy, recordings=paths.recordings(configuration))
    hub = EventHub(views)
    hub.watch(client)
    auth = configuration.auth
    webhooks = Webhooks(
        store,
        addresses=Addresses(configuration.webhooks.allowed_networks),
        settings=configuration.webhooks.settings(),
        version=version(),
    )
    programs = Programs(
        client,
        views,
        hub,
        wait_seconds=configuration.programs.wait_seconds,
        fallback=configuration.programs.fallback,
        may_dial=lambda target, tenant: rules.attempt(target, tenant=tenant, by=FALLBACK),
    )
    service = Service(
        client=client,
        store=store,
        hub=hub,
        views=views,
        authenticator=Authenticator(
            store, fixed=keys, tokens=None if auth.oidc is None else _tokens(auth.oidc)
        ),
        rate_limits=RateLimits(
            commands=Rate(auth.commands_per_second, auth.commands_burst),
            reads=Rate(auth.reads_per_second, auth.reads_burst),
        ),
        dial_rules=rules,
        tenancy=tenancy,
        programs=programs,
        webhooks=webhooks,
        audio_positions=AudioPositions(client, views),
        speech=speech_of(configuration),
        version=version(),
    )
    feed = Feed(store)
    hub.listeners += [feed.take, webhooks.take]

    def keep(record: AuditRecord) -> None:
        """Store what the client itself notes, such as a key that a supervisor pressed."""
        try:
            call = None if record.call_id is None else views.call(record.call_id)
        except ServerError:
            call = None  # Asterisk has gone: what happened is kept all the same.
        store.write(
            AuditView(
                at=record.at,
                call_id=record.call_id,
                who=record.who,
                what=record.what,
                by=record.by,
                result=record.result,
                tenant="" if call is None else call.tenant,
            )
        )

    client.on(events.AUDIT, keep)
    return Parts(client, views, programs, service, feed)


def speech_of(configuration: Configuration) -> Speech | None:
    """Return what speaks; None where nothing is configured, and nothing installed."""
    speech, rate = configuration.speech, configuration.audio.sample_rate
    command = speech.command or installed_command()
    if command is None:
        return None
    return Speech(command, rate, voice=speech.voice, timeout_seconds=speech.timeout_seconds)


def _tokens(oidc: Oidc) -> Tokens:
    settings = TokenSettings(
        issuer=oidc.issuer,
        audience=oidc.audience,
        name_claim=oidc.name_claim,
        role_claim=oidc.role_claim,
        roles=oidc.roles,
        tenant_claim=oidc.tenant_claim,
        tenant=oidc.tenant,
        every_tenant=oidc.every_tenant,
        queues_claim=oidc.queues_claim,
        leeway=oidc.leeway_seconds,
    )
    keys: KeySource
    if oidc.public_keys:
        keys = GivenKeys(path.read_text(encoding="utf-8") for path in oidc.public_keys)
    else:
        keys = FetchedKeys(oidc.issuer, oidc.jwks_url)
    return Tokens(settings, keys)
