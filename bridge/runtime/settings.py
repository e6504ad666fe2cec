"""What a controller has to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.ari import AriSettings
from bridge.model.features import FeatureKeys
from bridge.model.keys import KeyMap
from bridge.runtime.audibility_check import EVERY_SECONDS
from bridge.runtime.parking import SLOTS
from bridge.runtime.seat import AccessPolicy
from bridge.runtime.transfer_policy import TransferRules


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What a controller has to know."""

    ari: AriSettings
    sample_rate: int = 24000
    """Hz, of the agent's audio in both directions: 8000, 16000 or 24000."""
    send_buffer_seconds: float = 120.0
    """How much audio an agent may send ahead."""
    probe: bool = True
    """Measure, once and beside everything else, what the version does not tell."""
    access: AccessPolicy = field(default_factory=AccessPolicy)
    """Who may observe by dialling the access code."""
    keys: KeyMap = field(default_factory=KeyMap)
    """What the keys of supervisors' phones do."""
    audibility_seconds: float = EVERY_SECONDS
    """How often it is checked who hears whom on calls that are observed."""
    transfers: TransferRules = field(default_factory=TransferRules)
    """Who may transfer calls, and to whom."""
    parking_slots: tuple[str, ...] = SLOTS
    """Where calls are parked when no slot is asked for."""
    feature_keys: FeatureKeys | None = None
    """What parties ask for with keys during a call; None: nothing."""
