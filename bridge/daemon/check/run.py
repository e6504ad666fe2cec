"""All tests, one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bridge.daemon.asterisk import LAB_EXTENSION, ari_settings, is_lab
from bridge.daemon.check import asterisk, host, media
from bridge.daemon.check.pbx import Pbx
from bridge.daemon.check.report import Finding, fail, ok
from bridge.daemon.config import Configuration
from bridge.media.pcm import AudioFormat
from bridge.model.errors import (
    AuthenticationError,
    CallbridgeError,
    ConfigurationError,
    ServerUnreachableError,
)


async def run_checks(
    configuration: Configuration, *, extension: str | None = None
) -> AsyncIterator[Finding]:
    """Test everything; each finding comes as soon as it is there.

    extension: EXTENSION@CONTEXT that is to be handed over, instead of the configured one.
    """
    async for finding in _asterisk(configuration, extension):
        yield finding
    async for finding in host.store(configuration):
        yield finding
    for finding in (
        *host.folders(configuration),
        *host.tls(configuration),
        *host.dial_rules(configuration),
        host.speech(configuration),
        host.address(configuration),
    ):
        yield finding


async def _asterisk(configuration: Configuration, extension: str | None) -> AsyncIterator[Finding]:
    asked = configuration.asterisk
    try:
        settings = ari_settings(configuration)
    except ConfigurationError as error:
        yield fail("ari", error.error_message, "set asterisk.url, username and password")
        return
    if extension is None:
        extension = asked.test_extension or (LAB_EXTENSION if is_lab(configuration) else None)
    pbx = Pbx(settings)
    try:
        async with pbx.opened():
            yield ok("ari", f"{settings.root} answers as {settings.username}")
            async for finding in _open(pbx, configuration, extension):
                yield finding
    except CallbridgeError as error:
        yield fail("ari", error.error_message, _advice(error, settings.root))


async def _open(
    pbx: Pbx, configuration: Configuration, extension: str | None
) -> AsyncIterator[Finding]:
    asked = configuration.asterisk
    async for finding in asterisk.modules(pbx):
        yield finding
    yield asterisk.capabilities(pbx, configuration.audio.sample_rate)
    yield await asterisk.clock(pbx)
    yield await asterisk.application(pbx)
    audio_format = AudioFormat(configuration.audio.sample_rate)
    heard, channel_id = await media.round_trip(pbx, audio_format)
    yield heard
    yield await media.listening_in(pbx, audio_format)
    yield await media.music(pbx, asked.music)
    yield await asterisk.dialplan(pbx, channel_id, extension)
    if channel_id is not None:
        yield await asterisk.release(pbx, channel_id)
    async for finding in asterisk.endpoints(
        pbx, configuration.supervisors.endpoints, asked.endpoint
    ):
        yield finding


def _advice(error: CallbridgeError, root: str) -> str:
    match error:
        case AuthenticationError():
            return "correct asterisk.username and password: a user of ari.conf, not read_only"
        case ServerUnreachableError():
            return (
                f"start Asterisk, let http.conf have enabled = yes and listen at {root}, and let "
                "no firewall be in between"
            )
        case _:
            return "see Asterisk's log; load res_ari.so and the modules that it needs"
