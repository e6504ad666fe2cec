"""The demonstration: a real call, and who heard whom in every step of it, measured."""

from bridge.lab.demo.result import DemoResult
from bridge.lab.demo.run import DemoSettings, run_demo, run_demos

__all__ = ["DemoResult", "DemoSettings", "run_demo", "run_demos"]
