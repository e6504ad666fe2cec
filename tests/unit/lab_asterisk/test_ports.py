from __future__ import annotations

from itertools import pairwise

from bridge.lab.asterisk.ports import ALL_BLOCKS


def test_blocks_do_not_overlap() -> None:
    for one, following in pairwise(ALL_BLOCKS):
        assert one.rtp_end < following.base


def test_a_block_holds_its_ports_apart() -> None:
    for ports in ALL_BLOCKS:
        assert ports.http != ports.sip
        assert max(ports.http, ports.sip) < ports.rtp_start < ports.rtp_end


def test_rtp_starts_even() -> None:
    assert all(ports.rtp_start % 2 == 0 for ports in ALL_BLOCKS)


def test_blocks_stay_below_the_ports_of_outgoing_connections() -> None:
    assert ALL_BLOCKS[-1].rtp_end < 32768
