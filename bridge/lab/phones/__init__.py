"""Softphones: real SIP phones, each in a process of its own, with a voice and an ear that measure.

``start_phone(PhoneSettings(...))`` gives a ``Phone``. The phone behind it is pjsua2's, which only
the worker process imports; another phone can stand behind the same Protocol.
"""

from bridge.lab.phones.phone import (
    CallInfo,
    CallState,
    Direction,
    Disconnect,
    Phone,
    PhoneStats,
    RecordPosition,
    TransferStatus,
)
from bridge.lab.phones.settings import (
    Behaviour,
    Codec,
    PhoneSettings,
    Silence,
    Source,
    Tone,
    WavFile,
)
from bridge.lab.phones.softphone import Softphone, require_pjsua2, start_phone

__all__ = [
    "Behaviour",
    "CallInfo",
    "CallState",
    "Codec",
    "Direction",
    "Disconnect",
    "Phone",
    "PhoneSettings",
    "PhoneStats",
    "RecordPosition",
    "Silence",
    "Softphone",
    "Source",
    "Tone",
    "TransferStatus",
    "WavFile",
    "require_pjsua2",
    "start_phone",
]
