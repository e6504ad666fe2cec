"""What steps are written with."""

from __future__ import annotations

from typing import Final

from bridge.lab.acceptance import steps

VERBS: Final[dict[str, type[steps.Action]]] = {
    "place": steps.Place,
    "pick_up": steps.PickUp,
    "decline": steps.Decline,
    "press": steps.Press,
    "consult": steps.Consult,
    "hang_up": steps.HangUp,
    "hold": steps.Hold,
    "unhold": steps.Unhold,
    "mute": steps.Mute,
    "unmute": steps.Unmute,
    "says": steps.Says,
    "transfer": steps.Transfer,
    "complete": steps.Complete,
    "cancel": steps.Cancel,
    "toggle": steps.Toggle,
    "conference": steps.Conference,
    "transferred": steps.Transferred,
    "answer": steps.Answer,
    "connect": steps.Connect,
    "originate": steps.Originate,
    "observe": steps.Observe,
    "spy": steps.Spy,
    "whisper": steps.Whisper,
    "barge": steps.Barge,
    "take_over": steps.TakeOver,
    "give_back": steps.GiveBack,
    "leave": steps.Leave,
    "add": steps.Add,
    "remove": steps.Remove,
    "park": steps.Park,
    "unpark": steps.Unpark,
    "announce": steps.Announce,
    "record": steps.Record,
    "stop_recording": steps.StopRecording,
    "expect": steps.Expect,
    "digits": steps.Digits,
    "call": steps.Call,
    "hears": steps.Hears,
    "tone": steps.Tone,
    "no_tone": steps.NoTone,
    "sound": steps.Sound,
    "silence": steps.Silence,
    "recorded": steps.Recorded,
    "event": steps.Event,
    "no_event": steps.NoEvent,
    "pause": steps.Pause,
}
TOGETHER: Final = "together"
