from __future__ import annotations

from pathlib import Path

import pytest

from bridge.lab.asterisk.record import Exit, check_name
from bridge.lab.asterisk.report import describe, describe_end, lines_that_matter, port_was_taken
from bridge.model.errors import BadArgumentError


def test_a_signal_is_named() -> None:
    assert describe_end(Exit(-11, 12.34)) == "died of SIGSEGV after 12.3 s"


def test_an_exit_code_is_told() -> None:
    assert describe_end(Exit(1, 0.2)) == "ended by itself with exit code 1 after 0.2 s"


def test_an_end_that_nobody_saw_is_called_so() -> None:
    assert "nobody saw" in describe_end(None)


def test_warnings_errors_and_last_words_are_what_matters(tmp_path: Path) -> None:
    (tmp_path / "messages.log").write_text(
        "[t] NOTICE[1] a.c: all is well\n[t] WARNING[1] b.c: beware\n[t] ERROR[1] c.c: broken\n"
    )
    (tmp_path / "console.log").write_text("double free or corruption\n")
    assert lines_that_matter(tmp_path) == [
        "[t] WARNING[1] b.c: beware",
        "[t] ERROR[1] c.c: broken",
        "double free or corruption",
    ]


def test_a_report_without_lines_says_so_and_where_the_log_is(tmp_path: Path) -> None:
    told = describe("It died", tmp_path, None)
    assert "no warning or error" in told
    assert str(tmp_path) in told


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("ERROR[1] tcptls.c: Unable to bind http server to 127.0.0.1:1: Address already", True),
        ("ERROR[1] res_pjsip: Transport 'udp' could not be started: Address in use", True),
        ("ERROR[1] http.c: something else", False),
    ],
)
def test_a_taken_port_is_told_from_other_faults(tmp_path: Path, line: str, *, taken: bool) -> None:
    (tmp_path / "messages.log").write_text(line + "\n")
    assert port_was_taken(tmp_path) is taken


@pytest.mark.parametrize("name", ["default", "a", "lab-2", "x_y.z", "9" * 40])
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".hidden", "a b", "9" * 41, "ä"])
def test_names_that_are_paths_or_worse_are_refused(name: str) -> None:
    with pytest.raises(BadArgumentError, match="cannot name an instance"):
        check_name(name)
