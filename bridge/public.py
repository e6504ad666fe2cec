"""Every name that programs import from ``bridge``."""

from bridge.directory import LiveCall, LiveParty
from bridge.model import errors
from bridge.model.features import FeatureKeys
from bridge.model.headers import header_text, user_to_user
from bridge.model.modes import AudioMode
from bridge.model.states import CallState, EndReason
from bridge.protocol.frames import Route as CallRoute
from bridge.runtime.audibility import AudibilityReport
from bridge.runtime.audit import AuditRecord
from bridge.runtime.parking import ParkedCall
from bridge.runtime.recorder import RecordingState
from bridge.runtime.transfer_policy import (
    TransferGrant,
    TransferKind,
    TransferRequest,
    TransferSource,
)
from bridge.sdk import ActiveCall, Client, Observer, events
from bridge.sdk.exchange import Channel, Endpoint
from bridge.sdk.recording import Recording
from bridge.sdk.transfer import Transfer
from bridge.sdk.voicemail import Voicemail, VoicemailEnd, leave_voicemail
from bridge.session.digits import Digits
from bridge.session.observer.effects import LeftReason
from bridge.session.transfer import Stage as TransferStage
from bridge.session.transfer.effects import Outcome as TransferOutcome

__all__ = [
    "ActiveCall",
    "AudibilityReport",
    "AudioMode",
    "AuditRecord",
    "CallRoute",
    "CallState",
    "Channel",
    "Client",
    "Digits",
    "EndReason",
    "Endpoint",
    "FeatureKeys",
    "LeftReason",
    "LiveCall",
    "LiveParty",
    "Observer",
    "ParkedCall",
    "Recording",
    "RecordingState",
    "Transfer",
    "TransferGrant",
    "TransferKind",
    "TransferOutcome",
    "TransferRequest",
    "TransferSource",
    "TransferStage",
    "Voicemail",
    "VoicemailEnd",
    "errors",
    "events",
    "header_text",
    "leave_voicemail",
    "user_to_user",
]
