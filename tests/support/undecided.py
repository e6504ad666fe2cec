"""Which failures get a second look, with nothing beside them, and which are a verdict already.

Beside other tests, audio may be late and programs are kept waiting, whatever the product does. So
``scripts/test`` names a file in CALLBRIDGE_UNDECIDED, runs what is in it once more at the end, by
itself, and tells so. A voice that is clearly in the wrong ear gets no second look, nor does an
Asterisk that died.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.hearing import WrongEarError
from tests.support.shared import AsteriskDiedError

VARIABLE: Final = "CALLBRIDGE_UNDECIDED"
_FINAL: Final = ("verdict", "final")


def register(config: pytest.Config) -> None:
    """Have failures written down, if it is asked for; by the process that all reports come to."""
    told = os.environ.get(VARIABLE)
    if told:
        at_work = "PYTEST_XDIST_WORKER" in os.environ
        config.pluginmanager.register(Undecided(None if at_work else Path(told)))


class Undecided:
    """Writes the ids of tests that failed to a file, a line each; a verdict, to ``<file>.final``.

    path: None in a worker process, which only marks what is a verdict.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mark the report of a test that is not to be looked at again."""
        report = yield
        if call.excinfo is not None and _is_verdict(call.excinfo.value):
            report.user_properties.append(_FINAL)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down what failed."""
        if report.failed:
            # A report from a worker process has lists where there were tuples.
            final = _FINAL in (tuple(each) for each in report.user_properties)
            self._write(report.nodeid, final=final)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write down a file that could not even be read: that is a verdict."""
        if report.failed:
            self._write(report.nodeid, final=True)

    def _write(self, test: str, *, final: bool) -> None:
        if self._path is not None:
            path = self._path.with_name(f"{self._path.name}.final") if final else self._path
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{test}\n")


def _is_verdict(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_verdict(one) for one in error.exceptions)
    return isinstance(error, WrongEarError | AsteriskDiedError)
