"""The spool's lines: whatever is cut off or damaged costs itself alone."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.framing import GIVING_WAY, RANK, Frame, Kind, pack, unpack

BODIES = st.text().map(lambda text: text.replace("\n", " ").encode("utf-8", "replace"))
FRAMES = st.builds(Frame, serial=st.integers(1, 2**63 - 1), kind=st.sampled_from(Kind), body=BODIES)


@given(FRAMES)
def test_what_is_packed_is_unpacked(frame: Frame) -> None:
    assert unpack(pack(frame)) == frame


@given(FRAMES, st.data())
def test_no_part_of_a_line_is_taken_for_a_record(frame: Frame, data: st.DataObject) -> None:
    line = pack(frame)
    assert unpack(line[: data.draw(st.integers(0, len(line) - 1))]) is None


@given(FRAMES, st.data())
def test_no_damaged_line_is_taken_for_a_record(frame: Frame, data: st.DataObject) -> None:
    line = bytearray(pack(frame))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    assert unpack(bytes(line)) is None


@given(st.binary(max_size=200))
def test_what_was_never_written_is_no_record(line: bytes) -> None:
    assert unpack(line) is None


def test_every_kind_has_its_place_among_what_gives_way() -> None:
    assert set(RANK) == set(Kind)
    assert sum(map(len, GIVING_WAY)) == len(Kind)
    assert RANK[Kind.EVENT] < RANK[Kind.AUDIT] < RANK[Kind.CALL] == RANK[Kind.NOTE]


@pytest.mark.parametrize("text", [b"7 Z {}\n", b"x E {}\n", b"7 E\n", b"\n"])
def test_what_another_version_wrote_is_no_record(text: bytes) -> None:
    assert unpack(b"%08x %b" % (zlib.crc32(text), text)) is None
