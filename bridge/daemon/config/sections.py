"""What a daemon may be told: a class a section of the file, a field a key.

What stands with each field is printed in the example (``callbridge serve --example-config``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bridge.api.speech import DEFAULT_VOICE, TIMEOUT_SECONDS
from bridge.ari import AriSettings
from bridge.daemon.config.access import Auth, Dialling
from bridge.daemon.config.base import (
    Days,
    ExistingFile,
    Port,
    Seconds,
    Section,
    WebAddress,
    example,
)
from bridge.daemon.config.secret import Secret, resolved
from bridge.model.errors import CallbridgeError
from bridge.model.keys import KeyMap
from bridge.runtime.parking import SLOTS, checked_slots
from bridge.sdk.routing import DEFAULT_ENDPOINT
from bridge.store.engine import parse_url
from bridge.store.retention import Retention
from bridge.webhooks import Addresses, Retries, WebhookSettings

_EXTENSION = re.compile(r"[^\s@/&,]+@[^\s@/&,]+")


class Asterisk(Section):
    """The Asterisk that the daemon controls."""

    url: Annotated[
        str | None,
        example(
            "http://127.0.0.1:8088/ari",
            "Address of its HTTP server. Without it, the running instance of\n"
            "`callbridge asterisk up` is used.",
        ),
    ] = None
    username: Annotated[str | None, example("callbridge", "Who signs in: a user of ari.conf.")] = (
        None
    )
    password: Annotated[
        Secret | None,
        example(
            "file:/etc/callbridge/ari-password",
            "The password: as it is, or file:/path, or env:NAME.",
        ),
    ] = None
    application: str = Field(
        default="callbridge",
        description="The name that the dialplan hands calls to: Stasis(callbridge).",
    )
    endpoint: str = Field(default=DEFAULT_ENDPOINT, description="How a number is dialled.")
    tls_ca: Annotated[
        ExistingFile | None,
        example(
            "/etc/callbridge/pbx-ca.pem",
            "Of an https address whose certificate the system cannot check.",
        ),
    ] = None
    instance: str = Field(
        default="default", description="Which instance of `callbridge asterisk up`."
    )
    parking_slots: list[str] = Field(
        default_factory=lambda: list(SLOTS), description="Numbers under which calls are parked."
    )
    music: str = Field(
        default="", description="Music class of those on hold; empty: Asterisk's default."
    )
    test_extension: Annotated[
        str | None,
        example(
            "100@from-internal",
            "EXTENSION@CONTEXT that the dialplan hands to callbridge: `callbridge check` tests it\n"
            "with a channel that no program sees.",
        ),
    ] = None

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look at the address, and whether all of it is there."""
        needed = ("url", "username", "password")
        missing = [name for name in needed if not values.get(name)]
        if 0 < len(missing) < len(needed):
            yield "", f"{' and '.join(missing)} missing: an address needs all three"
        yield from _ari_faults(values)
        if isinstance(endpoint := values.get("endpoint"), str) and not _dials_a_number(endpoint):
            yield (
                "endpoint",
                "must have {number} in it and no other braces, such as PJSIP/{number}@trunk",
            )
        slots = values.get("parking_slots")
        if isinstance(slots, list):
            try:
                checked_slots(slots)
            except CallbridgeError as error:
                yield "parking_slots", error.error_message
        where = values.get("test_extension")
        if isinstance(where, str) and not _EXTENSION.fullmatch(where):
            yield "test_extension", "must be EXTENSION@CONTEXT, such as 100@from-internal"


def _dials_a_number(endpoint: str) -> bool:
    try:
        return endpoint.format(number="1") != endpoint.format(number="2")
    except (LookupError, ValueError, AttributeError):
        return False


def _ari_faults(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    good = AriSettings("http://127.0.0.1:8088/ari", "callbridge", "-")
    checks: dict[str, Callable[[str], AriSettings]] = {
        "url": lambda text: replace(good, url=text),
        "username": lambda text: replace(good, username=text),
        "application": lambda text: replace(good, application=text),
    }
    for key, check in checks.items():
        if isinstance(text := values.get(key), str):
            try:
                check(text)
            except CallbridgeError as error:
                yield key, error.error_message


class Server(Section):
    """Where the API is reached."""

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen at; 0.0.0.0 for every one of the machine, with TLS then.",
    )
    port: Port = Field(default=8100, description="Port; 0 for any that is free.")
    tls_cert: Annotated[
        ExistingFile | None,
        example(
            "/etc/callbridge/tls.crt", "Certificate with its chain (PEM): the API speaks https."
        ),
    ] = None
    tls_key: Annotated[
        ExistingFile | None, example("/etc/callbridge/tls.key", "Its key (PEM).")
    ] = None
    tls_client_ca: Annotated[
        ExistingFile | None,
        example(
            "/etc/callbridge/clients.pem", "Whose certificates clients must show (mutual TLS)."
        ),
    ] = None
    drain_seconds: Seconds = Field(
        default=30.0,
        description="How long a stopping daemon waits for commands that are under way.",
    )
    when_stopped: Literal["hand_over", "leave"] = Field(
        default="hand_over",
        description="What becomes of calls then: hand_over (everything stands as it is, for the\n"
        "daemon that comes next), or leave (parties talk on, a lone caller is hung up).",
    )
    state_folder: Annotated[
        Path | None,
        example(
            "/var/lib/callbridge",
            "Where the database, the spool and the first key are kept. By default systemd's\n"
            "StateDirectory, else the user's own state folder.",
        ),
    ] = None

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether TLS has all it needs."""
        if "tls_cert" in values and "tls_key" not in values:
            yield "tls_cert", "tls_key is missing: TLS needs the certificate and its key"
        if "tls_key" in values and "tls_cert" not in values:
            yield "tls_key", "tls_cert is missing: TLS needs the certificate and its key"
        if "tls_client_ca" in values and "tls_cert" not in values:
            yield "tls_client_ca", "tls_cert is missing: mutual TLS needs TLS"

    @property
    def in_the_clear(self) -> bool:
        """Whether other machines reach it, and without TLS."""
        if self.tls_cert is not None:
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


class Audio(Section):
    """Audio of programs: s16le, mono."""

    sample_rate: Literal[8000, 16000, 24000] = Field(default=24000, description="Hz.")
    send_buffer_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=120.0, description="How much audio a program may send ahead."
    )


class Store(Section):
    """Calls, events, notes, contexts, the audit, keys and webhooks."""

    url: Annotated[
        Secret | None,
        example(
            "postgresql://callbridge@db/callbridge",
            "The database; may be file:/path or env:NAME. By default SQLite in the state folder.",
        ),
    ] = None
    events_days: Days = Field(default=30, description="Events older are removed; 0: never.")
    audit_days: Days = Field(default=365, description="The same of the audit.")
    deliveries_days: Days = Field(default=30, description="The same of what webhooks were sent.")
    calls_days: Days = Field(
        default=0, description="The same of calls that are over, their notes and contexts."
    )

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the URL is that of a database."""
        try:
            url = resolved(values.get("url"))
        except ValueError:
            return
        if isinstance(url, str):
            try:
                parse_url(url)
            except CallbridgeError as error:
                yield "url", error.error_message

    def retention(self) -> Retention:
        """Return how long what is kept."""
        return Retention(
            events=self.events_days or None,
            audit=self.audit_days or None,
            deliveries=self.deliveries_days or None,
            calls=self.calls_days or None,
        )


class Programs(Section):
    """Who gets incoming calls."""

    wait_seconds: Seconds = Field(
        default=20.0, description="How long a call rings while no program takes it."
    )
    fallback: Literal["hang_up", "connect"] = Field(
        default="hang_up",
        description="What then: hang_up, or connect (ring whom the caller dialled, without agent).",
    )


class Recordings(Section):
    """Where recordings are kept."""

    folder: Annotated[
        Path | None,
        example("/var/lib/callbridge/recordings", "By default `recordings` in the state folder."),
    ] = None
    keep_days: Days = Field(default=0, description="Older ones are removed; 0: never.")


class Speech(Section):
    """How `callbridge say` speaks."""

    command: list[str] = Field(
        default_factory=list,
        description="A program that reads text from its input and writes a WAV file to its\n"
        "output; {voice} stands for the voice. By default espeak-ng, if it is installed.",
        examples=[["espeak-ng", "--stdin", "--stdout", "-v", "{voice}"]],
    )
    voice: str = Field(default=DEFAULT_VOICE, description="The voice, when none is asked for.")
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        default=TIMEOUT_SECONDS, description="How long it may take."
    )


class Webhooks(Section):
    """How events are sent to others."""

    allowed_networks: list[str] = Field(
        default_factory=list,
        description="Private networks that receivers may be in; by default none.",
        examples=[["10.1.0.0/16"]],
    )
    attempts: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="After so many the delivery is a dead letter."
    )
    hours: Annotated[float, Field(gt=0, le=24 * 365)] = Field(
        default=24.0, description="Or after so long."
    )
    first_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=2.0, description="Wait before the second attempt; it doubles with each."
    )
    longest_seconds: Seconds = Field(default=3600.0, description="To at most that.")
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=10.0, description="How long a receiver may take."
    )

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the networks are some."""
        networks = values.get("allowed_networks")
        if isinstance(networks, list):
            try:
                Addresses(map(str, networks))
            except CallbridgeError as error:
                yield "allowed_networks", error.error_message

    def settings(self) -> WebhookSettings:
        """Return it as the webhooks have it."""
        retries = Retries(
            first_seconds=self.first_seconds,
            longest_seconds=self.longest_seconds,
            attempts=self.attempts,
            seconds=self.hours * 3600,
        )
        return WebhookSettings(retries=retries, attempt_seconds=self.timeout_seconds)


class Supervisors(Section):
    """Who may observe by dialling the access code at his phone."""

    endpoints: list[str] = Field(
        default_factory=list, description="Their phones.", examples=[["1003", "PJSIP/1004"]]
    )
    keys: dict[str, str] = Field(
        default_factory=dict,
        description="What the keys do, instead of 4 spy, 5 whisper, 6 barge, * next, # leave.",
        examples=[{"1": "spy", "2": "whisper"}],
    )

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Look whether the keys are keys, and what they do is something."""
        keys = values.get("keys")
        if isinstance(keys, dict) and all(isinstance(value, str) for value in keys.values()):
            try:
                KeyMap.of(keys)
            except CallbridgeError as error:
                yield "keys", error.error_message


class Log(Section):
    """What is told of the daemon's doings, on standard error."""

    format: Literal["text", "json"] = Field(
        default="text", description="text, or json: an object a line."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )
    redact: bool = Field(
        default=True, description="Hide numbers of callers but for their last two digits."
    )


class Metrics(Section):
    """Figures for Prometheus."""

    enabled: bool = Field(default=True, description="Serve them at /metrics.")
    host: str = Field(default="127.0.0.1", description="Where, if they have a port of their own.")
    port: Annotated[
        Port | None, example(9464, "A port of their own; by default that of the API.")
    ] = None
    public: bool = Field(
        default=False,
        description="Whether everybody may read them at the API's port; else from this machine\n"
        "alone.",
    )


class Tracing(Section):
    """Spans of commands, for OpenTelemetry: needs the extra `otel`."""

    endpoint: Annotated[
        WebAddress | None,
        example(
            "http://127.0.0.1:4318/v1/traces",
            "Where they are sent (OTLP over HTTP); none: no traces.",
        ),
    ] = None
    service_name: str = Field(default="callbridge", description="What the spans are filed under.")
    sample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="Which part of them."
    )


class Configuration(Section):
    """All of it."""

    asterisk: Asterisk = Asterisk()
    server: Server = Server()
    audio: Audio = Audio()
    store: Store = Store()
    auth: Auth = Auth()
    dialling: Dialling = Dialling()
    programs: Programs = Programs()
    recordings: Recordings = Recordings()
    speech: Speech = Speech()
    webhooks: Webhooks = Webhooks()
    supervisors: Supervisors = Supervisors()
    log: Log = Log()
    metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()
