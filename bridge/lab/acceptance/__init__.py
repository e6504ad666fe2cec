"""Acceptance runs: a YAML file that says who calls whom, and who is to hear whom then.

``load(path)`` reads one, or raises every mistake in it with its line; ``perform(run, site)``
carries it out with real phones and returns a report.
"""

from bridge.lab.acceptance.loading import MistakesError, load, parse
from bridge.lab.acceptance.model import Run
from bridge.lab.acceptance.reference import reference, scenarios
from bridge.lab.acceptance.report import (
    RunReport,
    StepReport,
    as_json,
    as_junit,
    show_end,
    show_step,
)
from bridge.lab.acceptance.runner import perform
from bridge.lab.acceptance.site import LabSite, OwnSite, Site

__all__ = [
    "LabSite",
    "MistakesError",
    "OwnSite",
    "Run",
    "RunReport",
    "Site",
    "StepReport",
    "as_json",
    "as_junit",
    "load",
    "parse",
    "perform",
    "reference",
    "scenarios",
    "show_end",
    "show_step",
]
