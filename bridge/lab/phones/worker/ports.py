"""The phone's mouth and ear in pjsua2's conference bridge.

Called every 20 ms by pjmedia's clock thread. An exception here would unwind through C frames and
abort the process, so nothing here is expected to raise.
"""
# ruff: noqa: N802 - the names of the methods are pjsua2's

from __future__ import annotations

import pjsua2 as pj

from bridge.lab.phones.worker.sound import FRAME_MS, Recorder, Voice


def audio_format(rate: int) -> pj.MediaFormatAudio:
    """16-bit mono frames of 20 ms."""
    shape = pj.MediaFormatAudio()
    shape.type = pj.PJMEDIA_TYPE_AUDIO
    shape.clockRate = rate
    shape.channelCount = 1
    shape.bitsPerSample = 16
    shape.frameTimeUsec = FRAME_MS * 1000
    return shape


class Mouth(pj.AudioMediaPort):
    """Gives the conference bridge what the phone says."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        """One frame is wanted."""
        data = self._voice.next()
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = pj.ByteVector(data)
        frame.size = len(data)


class Metronome(pj.AudioMediaPort):
    """Gives the ear a frame of silence whenever nobody else does, so that its time goes on."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._nothing = bytes(2 * rate * FRAME_MS // 1000)

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        """One frame is wanted."""
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = pj.ByteVector(self._nothing)
        frame.size = len(self._nothing)


class Ear(pj.AudioMediaPort):
    """Takes what the phone hears, recorded or not: unheard audio would pile up before it."""

    def __init__(self, recorder: Recorder | None, rate: int) -> None:
        super().__init__()
        self._recorder = recorder
        self._nothing = bytes(2 * rate * FRAME_MS // 1000)

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:
        """One frame was heard; an empty one is silence."""
        if self._recorder is not None:
            self._recorder.write(bytes(frame.buf) or self._nothing)

    def close(self) -> None:
        """Write no more."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()
