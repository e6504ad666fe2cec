"""Who hears whom while up to six observers come, speak, change and go: every listener and voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.lab.phones import Codec
from tests.audio.machine import measured, whole
from tests.audio.matrix import (
    Company,
    lost_frames,
    open_calls,
    too_much,
    write_music,
    wrong_cells,
)
from tests.support.pbx import Pbx
from tests.support.script import CALLEE, CALLER, EXPERT
from tests.support.shared import SharedAsterisk
from tests.support.stage import Stage
from tests.support.writing import Means, write

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.timeout(300)]

OPERATIONS = 46
MEANS = Means()


@dataclass(frozen=True)
class Play:
    """A script, and with which ears and mouths it is played."""

    seed: int
    other_callee: Codec
    softphones: dict[str, Codec] = field(default_factory=dict)
    """Observers who have a SIP phone, and its codec; the others' phones are measuring ears."""
    silent: frozenset[str] = frozenset()
    """Who sends no audio at all. On a call of others there would be no frames then that somebody
    could whisper upon."""


PLAYS = (
    Play(1, Codec.G722, {"fay": Codec.L16_16000}),
    Play(2, Codec.PCMU, {"fay": Codec.G722}),
    Play(3, Codec.L16_16000, {"ann": Codec.PCMU}, frozenset({CALLEE, EXPERT, "ben"})),
    Play(4, Codec.L16_8000, {"ann": Codec.PCMA, "ben": Codec.G722}),
    Play(5, Codec.PCMA, silent=frozenset({CALLER})),
)


@pytest.fixture(scope="module")
def shared_asterisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedAsterisk]:
    """An Asterisk whose music is no voice."""
    shared = SharedAsterisk("scripts", music=write_music(tmp_path_factory.mktemp("music")))
    yield shared
    shared.discard()


@pytest.mark.parametrize("it", PLAYS, ids=lambda it: f"script {it.seed}")
async def test_everybody_hears_whom_he_is_to_hear_and_nobody_else(
    pbx: Pbx, tmp_path: Path, it: Play
) -> None:
    async def measurement(pbx: Pbx) -> None:
        stage, company = await open_calls(
            pbx,
            tmp_path,
            other_callee=it.other_callee,
            softphones=it.softphones,
            silent=it.silent,
        )
        try:
            await play(stage, company, it.seed)
        finally:
            await company.fall_silent()
        for phone, _ in company.softphones.values():
            await phone.stop()
        wrong = [cell for step in company.measured for cell in wrong_cells(step)]
        assert [cell for cell in wrong if not cell.blurred] == []
        whole(not wrong, wrong)
        lost = too_much([loss for step in company.measured for loss in lost_frames(step)])
        whole(not lost, lost)
        await pbx.empty()

    await measured(pbx, measurement)


async def play(stage: Stage, company: Company, seed: int) -> None:
    await company.listen((), stage.scene, stage.scene)
    for step in write(seed, OPERATIONS, MEANS):
        before = stage.scene
        await stage.play(step)
        await company.listen(step, before, stage.scene)
