"""How pjsip is set up to be a measuring phone: nothing that changes what is sent or heard."""

from __future__ import annotations

import secrets

import pjsua2 as pj

from bridge.lab.phones.settings import Codec, PhoneSettings
from bridge.lab.phones.worker.native import Native, keep_every_frame, log_errors_only

# Fixed: a buffer that adapts would drop and repeat frames that nobody lost.
_JITTER_BUFFER_MS = 40
_JITTER_BUFFER_MAX_MS = 200
_REGISTRATION_S = 60

PJ_CODECS = {
    Codec.L16_16000: "L16/16000/1",
    Codec.L16_8000: "L16/8000/1",
    Codec.G722: "G722/16000/1",
    Codec.PCMU: "PCMU/8000/1",
    Codec.PCMA: "PCMA/8000/1",
}


def start_library(settings: PhoneSettings) -> tuple[pj.Endpoint, Native]:
    """Start pjsip with one codec, no sound card and no threads of its own for SIP."""
    log_errors_only()
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.uaConfig.threadCnt = 0
    config.uaConfig.userAgent = "callbridge-phone"
    media = config.medConfig
    media.clockRate = settings.sample_rate_hz
    media.noVad = True
    media.ecTailLen = 0
    media.jbInit = media.jbMinPre = media.jbMaxPre = _JITTER_BUFFER_MS
    media.jbMax = _JITTER_BUFFER_MAX_MS
    keep_every_frame(media)
    endpoint.libInit(config)
    native = Native()
    _choose_codec(endpoint, native, settings.codec)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1" if _is_local(settings) else ""
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    return endpoint, native


def _is_local(settings: PhoneSettings) -> bool:
    return settings.host in {"127.0.0.1", "localhost"}


def _choose_codec(endpoint: pj.Endpoint, native: Native, codec: Codec) -> None:
    if codec in {Codec.L16_8000, Codec.L16_16000}:
        native.register_l16(int(codec.value.removeprefix("L16/")))
    native.level_g722()
    wanted = PJ_CODECS[codec]
    for known in endpoint.codecEnum2():
        endpoint.codecSetPriority(known.codecId, 255 if known.codecId == wanted else 0)
    parameters = endpoint.codecGetParam(wanted)
    # What is lost shall be heard as lost.
    parameters.setting.plc = False
    parameters.setting.vad = False
    endpoint.codecSetParam(wanted, parameters)


def account_config(settings: PhoneSettings) -> pj.AccountConfig:
    """Credentials, registration and ports."""
    config = pj.AccountConfig()
    config.idUri = f"sip:{settings.number}@{settings.host}:{settings.port}"
    if settings.register:
        config.regConfig.registrarUri = f"sip:{settings.host}:{settings.port}"
        config.regConfig.timeoutSec = _REGISTRATION_S
    credentials = pj.AuthCredInfo("digest", "*", settings.number, 0, settings.password)
    config.sipConfig.authCreds.append(credentials)
    transport = config.mediaConfig.transportConfig
    if _is_local(settings):
        transport.boundAddress = "127.0.0.1"
    # pjsua tries few ports after the first: several phones must not start at the same one.
    transport.port = 20000 + 2 * secrets.randbelow(20000)
    transport.portRange = 1000
    return config
