"""One body of each kind that is asked for, as documentation shows it."""

from __future__ import annotations

from typing import Any, Final

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "originate": {"to": "1001", "connect": "1002", "ring_time_seconds": 20},
    "connect": {"to": "1002"},
    "leave": {},
    "change_mode": {"mode": "whisper", "to": ["callee"]},
    "collect_digits": {"max_digits": 4, "terminator": "#", "timeout_seconds": 10},
    "announce": {"sound": "sound:queue-thankyou", "to": "caller"},
    "say": {"text": "This call ends in one minute."},
    "set_music": {"music": "default"},
    "add_party": {"to": "1003", "name": "expert"},
    "change_party": {"held": True, "music": "default"},
    "park": {"slot": "7101", "timeout_seconds": 120},
    "observe": {"name": "coach", "phone": "1004", "mode": "whisper", "to": ["callee"]},
    "change_observer_mode": {"mode": "barge"},
    "take_over": {"keep": True},
    "move_observer": {"to": "1002"},
    "start_transfer": {"to": [["1003", "1004"], ["1005"]], "accept": "key", "music": "default"},
    "complete_transfer": {},
    "cancel_transfer": {},
    "toggle_transfer": {},
    "conference_transfer": {},
    "start_recording": {"announce": "sound:queue-thankyou", "max_minutes": 30},
    "change_recording": {"paused": True},
    "write_note": {"text": "Asked for a call back tomorrow."},
    "save_context": {"values": {"order": 4711, "mood": "calm"}},
    "create_webhook": {
        "url": "https://crm.example.com/callbridge",
        "secret": "sixteen or more characters",
        "events": ["CALL_CONNECTED", "CALL_TERMINATED"],
    },
    "replay_deliveries": {},
    "create_key": {
        "name": "wallboard",
        "role": "observer",
        "tenant": "default",
        "queues": ["sales"],
    },
}
"""By ``operation_id``."""
