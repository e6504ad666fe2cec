from __future__ import annotations

import os
import time

from bridge.lab.bench.usage import Meter

SECONDS = 0.2


def work() -> None:
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass


def test_what_a_process_has_used_is_its_own_and_not_that_of_others() -> None:
    meter = Meter({"this": os.getpid()})
    work()
    used = meter.cpu_s()
    assert SECONDS - 0.05 <= used["this"] <= SECONDS + 0.1


def test_what_no_process_of_ours_has_used_is_that_of_others() -> None:
    meter = Meter({})
    work()
    used = meter.cpu_s()
    assert set(used) == {Meter.OTHERS}
    assert used[Meter.OTHERS] >= SECONDS - 0.05


def test_a_meter_begins_anew() -> None:
    meter = Meter({"this": os.getpid()})
    work()
    meter.start()
    assert meter.cpu_s()["this"] <= 0.05
