"""What a command says when somebody or something else ends what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.lab.phones import Behaviour, Phone
from bridge.lab.waiting import until
from tests.support.commands import Shell
from tests.support.pbx import CALLER_TONE, Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def test_a_listener_who_is_let_go_has_not_heard_all(
    shell: Shell, talking: tuple[Phone, Phone], tmp_path: Path
) -> None:
    del talking
    names: list[Any] = []

    async def listens() -> bool:
        [call] = await shell.json("calls")
        names[:] = [one["name"] for one in call["observers"]]
        return bool(names)

    heard = tmp_path / "x.wav"
    async with shell.running("listen", "1001", "-o", str(heard)) as process:
        await until(heard.exists, "it is listened", within_s=20)
        await until_true(listens, "somebody listens")
        await shell.done("dismiss", "1001", names[0])
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "though it goes on" in err.decode()


async def test_a_transfer_that_is_over_is_driven_no_more(pbx: Pbx, shell: Shell) -> None:
    await pbx.phone("1001", source=CALLER_TONE)
    await pbx.phone("1002", answer=Behaviour.BUSY)
    await shell.done("originate", "1001")
    assert (await shell("transfer", "1001", "1002")).code == 1
    again = await shell("transfer", "1001", "--cancel")
    assert (again.code, again.out) == (1, "")
    assert "is not being transferred" in again.err
    await shell.done("hangup", "1001")
