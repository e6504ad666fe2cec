"""The demonstration: real calls, and who heard whom in every step of them, measured."""

from bridge.lab.demo.result import DemoResult, SecondAct, ThirdAct
from bridge.lab.demo.run import run_demo, run_demos
from bridge.lab.demo.second_act import run_second_act
from bridge.lab.demo.settings import DemoSettings
from bridge.lab.demo.third_act import run_third_act

__all__ = [
    "DemoResult",
    "DemoSettings",
    "SecondAct",
    "ThirdAct",
    "run_demo",
    "run_demos",
    "run_second_act",
    "run_third_act",
]
