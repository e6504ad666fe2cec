from __future__ import annotations

import configparser
from pathlib import Path

from bridge.daemon.unit import USUAL, unit

PACKAGED = Path(__file__).parents[3] / "packaging" / "callbridge.service"


def test_the_packaged_unit_is_the_printed_one() -> None:
    assert PACKAGED.read_text() == unit(USUAL), "write what unit(USUAL) returns"


def test_a_unit_starts_the_command_of_its_installation() -> None:
    text = unit(Path("/home/me/venv/bin/callbridge"))
    assert "ExecStart=/home/me/venv/bin/callbridge serve --config" in text
    assert "ProtectHome=read-only" in text
    assert "$" not in text.replace("$MAINPID", "")


def test_a_unit_is_what_systemd_reads() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(unit(USUAL))
    service = parser["Service"]
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert service["RestartPreventExitStatus"] == "2 3"
    assert parser["Install"]["WantedBy"] == "multi-user.target"
