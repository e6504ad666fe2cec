"""``callbridge check``: tests everything a daemon needs, and says what to change.

It takes no call and touches none: what it makes in Asterisk belongs to an application of its own.
"""

from bridge.daemon.check.report import Finding, Report, Verdict
from bridge.daemon.check.run import run_checks

__all__ = ["Finding", "Report", "Verdict", "run_checks"]
