"""What ears heard, as a matrix: heard, absent, too faint, too loud, nothing at all."""

from __future__ import annotations

import numpy as np

from bridge.lab.demo.ears import FrameEar
from bridge.lab.demo.measured import MeasuredMatrix, matrix_in
from bridge.lab.hearing import TONES, tone
from bridge.model.participants import CALLEE, CALLER, Participant

RATE = 16000
SENT = -15.0
AGENT = Participant("agent")
HZ = {CALLER: TONES["caller"], CALLEE: TONES["callee"], AGENT: TONES["agent"]}
FRAMES = 30
WINDOW = (100.0, 100.6)


def ear(**dbfs: float) -> FrameEar:
    """Return an ear that heard these voices, frame by frame, from second 100 on."""
    heard = np.zeros(FRAMES * RATE // 50, np.int32)
    for name, level in dbfs.items():
        heard += tone(HZ[Participant(name)], level, FRAMES / 50, RATE)
    frames = [
        (100.0 + number / 50, piece.astype("<i2").tobytes())
        for number, piece in enumerate(np.split(heard, FRAMES))
    ]
    return FrameEar(lambda: frames, RATE)


def measure(ears: dict[Participant, FrameEar]) -> MeasuredMatrix:
    return matrix_in(WINDOW, ears, HZ, sent_dbfs=SENT)


def test_all_cells_hold() -> None:
    measured = measure({CALLER: ear(callee=SENT), CALLEE: ear(caller=SENT, agent=SENT)})
    expected = frozenset({(CALLER, CALLEE), (CALLEE, CALLER), (CALLEE, AGENT)})
    assert measured.heard == expected
    assert measured.wrong(expected) == []
    assert measured.wrong(expected | {(AGENT, CALLER)}) == [], "who has no ear is not judged"


def test_a_faint_voice_is_heard_and_odd() -> None:
    measured = measure({CALLER: ear(callee=SENT, agent=SENT - 50)})
    assert measured.odd.keys() == {(CALLER, AGENT)}
    assert measured.wrong(frozenset({(CALLER, CALLEE)})) == [
        "caller hears, unwanted, agent: -65.0 dBFS"
    ]
    assert measured.wrong(frozenset({(CALLER, CALLEE), (CALLER, AGENT)})) == [
        "caller hears too faint agent: -65.0 dBFS"
    ]


def test_a_doubled_voice_is_too_loud() -> None:
    measured = measure({CALLER: ear(callee=SENT + 6)})
    assert measured.wrong(frozenset({(CALLER, CALLEE)})) == [
        "caller hears too loud callee: -9.0 dBFS"
    ]


def test_who_got_no_audio_hears_nobody() -> None:
    measured = measure({CALLER: FrameEar(list, RATE)})
    assert measured.heard == frozenset()
    assert measured.wrong(frozenset({(CALLER, CALLEE)})) == [
        "caller does not hear callee: -120.0 dBFS"
    ]
