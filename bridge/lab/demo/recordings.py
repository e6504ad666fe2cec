"""What is left for people to listen to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import soundfile

from bridge.lab.demo.result import StepResult, timeline
from bridge.lab.demo.scene import Scene
from bridge.model.participants import AGENT


def keep(folder: Path, recordings: Path, scene: Scene, steps: Sequence[StepResult]) -> None:
    """Leave what was heard, and where in it the steps are. Raises OSError.

    recordings: where the phones' WAV files are; of the AI one is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for recording in recordings.glob("*.wav"):
        shutil.copyfile(recording, folder / recording.name)
    if AGENT in scene.ears:
        audio = scene.ears[AGENT].audio()
        soundfile.write(folder / "ai.wav", audio, scene.rate, subtype="PCM_16")
    text = json.dumps(timeline(scene.tones, scene.sent_dbfs, steps), indent=2) + "\n"
    (folder / "timeline.json").write_text(text, encoding="utf-8")
