"""What the Asterisk at the other end can and cannot do, and how we know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

Version = tuple[int, ...]

REST_OVER_WEBSOCKET_SINCE: Mapping[int, Version] = MappingProxyType(
    {20: (20, 14), 21: (21, 9), 22: (22, 4)}
)
WEBSOCKET_MEDIA_SINCE: Mapping[int, Version] = MappingProxyType(
    {20: (20, 16), 21: (21, 11), 22: (22, 6)}
)
REFER_SUB_SINCE: Mapping[int, Version] = MappingProxyType({20: (20, 21), 22: (22, 11), 23: (23, 5)})
NARROW, WIDE, SUPERWIDE = 8000, 16000, 24000
_WORDS = {True: "yes", False: "no", None: "not measured"}


def parse_version(text: str) -> Version:
    """Read ``22.10.1+dfsg-1`` as (22, 10, 1); () when it is no release, such as ``GIT-master``."""
    match = re.match(r"(?:certified[-/])?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def is_since(version: Version, first: Mapping[int, Version]) -> bool:
    """Tell whether a release has what came with the given release of its branch."""
    if not version:
        return False
    branch = version[0]
    return version >= first[branch] if branch in first else branch > max(first)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Verdicts about one server. ``sources`` says, for each, what it stands on."""

    version: str = ""
    """As Asterisk prints it; empty when it does not tell."""
    rest_over_websocket: bool = False
    websocket_media: bool = False
    """Media channels over WebSocket (chan_websocket)."""
    snoop: bool = False
    softmix: bool = False
    """Mixing of more than two voices (bridge_softmix)."""
    rtp_media: bool = False
    """Media channels over RTP (chan_rtp, which needs res_rtp_multicast)."""
    dialling: bool = False
    """Ringing somebody through ARI: a channel waits for its answer in a bridge_holding."""
    sample_rates: tuple[int, ...] = (NARROW,)
    """Hz at which a media channel may run beside legs of other rates."""
    refer_sub: bool = False
    """A phone's REFER with ``Refer-Sub: false``, handed to us, does not crash the server."""
    whisper_to_silent_leg: bool | None = None
    """Whether a whisper is heard by a party whose far side sends no audio; None: not measured."""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def version_info(self) -> Version:
        """The release as numbers, () when unknown."""
        return parse_version(self.version)

    def with_rest_over_websocket(self, source: str, *, verdict: bool) -> Capabilities:
        """Return these capabilities with that verdict, and what it stands on."""
        noted = {**self.sources, "rest_over_websocket": source}
        return replace(self, rest_over_websocket=verdict, sources=noted)

    def with_whisper_to_silent_leg(self, source: str, *, verdict: bool | None) -> Capabilities:
        """Return these capabilities with that verdict, and what it stands on."""
        noted = {**self.sources, "whisper_to_silent_leg": source}
        return replace(self, whisper_to_silent_leg=verdict, sources=noted)

    def describe(self) -> str:
        """Say it to a person, a line for each verdict."""
        rates = ", ".join(f"{rate // 1000} kHz" for rate in self.sample_rates)
        rows = [
            ("REST over WebSocket", _WORDS[self.rest_over_websocket], "rest_over_websocket"),
            ("media over WebSocket", _WORDS[self.websocket_media], "websocket_media"),
            ("snoop (spy, whisper)", _WORDS[self.snoop], "snoop"),
            ("software mixing", _WORDS[self.softmix], "softmix"),
            ("media over RTP", _WORDS[self.rtp_media], "rtp_media"),
            ("dialling", _WORDS[self.dialling], "dialling"),
            ("sample rates", rates, "sample_rates"),
            ("REFER, Refer-Sub: false", _WORDS[self.refer_sub], "refer_sub"),
            (
                "whisper to a silent leg",
                _WORDS[self.whisper_to_silent_leg],
                "whisper_to_silent_leg",
            ),
        ]
        lines = [f"Asterisk {self.version or '(version unknown)'}"]
        for label, verdict, name in rows:
            source = self.sources.get(name)
            lines.append(f"  {label:<24} {verdict}" + (f"  [{source}]" if source else ""))
        return "\n".join(lines)


def from_modules(version: str, running: Iterable[str]) -> Capabilities:
    """Judge by the modules that run, such as ``chan_websocket.so``."""
    modules = set(running)
    source = "asterisk/modules"
    known = parse_version(version)
    names = ("websocket_media", "snoop", "softmix", "rtp_media", "dialling", "sample_rates")
    return Capabilities(
        version=version,
        websocket_media="chan_websocket.so" in modules,
        snoop="res_stasis_snoop.so" in modules,
        softmix="bridge_softmix.so" in modules,
        rtp_media="chan_rtp.so" in modules,
        dialling="bridge_holding.so" in modules,
        sample_rates=_rates(resampler="codec_resample.so" in modules),
        refer_sub=is_since(known, REFER_SUB_SINCE),
        sources={**dict.fromkeys(names, source), "refer_sub": _by_release(version)},
    )


def from_version(version: str) -> Capabilities:
    """Judge by the release alone, for a server that does not list its modules to us.

    What every usual build has (snoop, mixing, resampling) is taken for granted; what depends on
    the release is denied when the release is unknown.
    """
    known = parse_version(version)
    by_release = _by_release(version)
    assumed = "assumed: the module list is not readable"
    return Capabilities(
        version=version,
        websocket_media=is_since(known, WEBSOCKET_MEDIA_SINCE),
        snoop=True,
        softmix=True,
        rtp_media=True,
        dialling=True,
        sample_rates=_rates(resampler=True),
        refer_sub=is_since(known, REFER_SUB_SINCE),
        sources={
            "websocket_media": by_release,
            "refer_sub": by_release,
            "snoop": assumed,
            "softmix": assumed,
            "rtp_media": assumed,
            "dialling": assumed,
            "sample_rates": assumed,
        },
    )


def _by_release(version: str) -> str:
    return f"version {version}" if parse_version(version) else "version unknown"


def _rates(*, resampler: bool) -> tuple[int, ...]:
    """Without codec_resample Asterisk translates between no two rates."""
    return (NARROW, WIDE, SUPERWIDE) if resampler else (NARROW,)
