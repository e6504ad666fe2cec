"""The spool on disk: what it took is there, whatever ended the process or the disk."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model.errors import ConfigurationError
from bridge.store.framing import Frame, Kind, pack, unpack
from bridge.store.spool import Spool


def frames(first: int, last: int, kind: Kind = Kind.EVENT, *, size: int = 10) -> list[Frame]:
    return [Frame(serial, kind, b"%0*d" % (size, serial)) for serial in range(first, last + 1)]


def serials(spool: Spool, after: int = 0) -> list[int]:
    """Return all that follows a serial."""
    return [frame.serial for frame in spool.read(after, frames=10_000, size=10_000_000)]


def on_disk(folder: Path) -> list[int]:
    """Return all that stands in the files, without the spool's help."""
    paths = sorted(folder.glob("*.spool"))
    found = [unpack(line) for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    assert None not in found
    return [frame.serial for frame in found if frame is not None]


@contextmanager
def opened(folder: Path, *, segment: int = 300, most: int = 1_000_000) -> Iterator[Spool]:
    spool = Spool.open(folder, segment_bytes=segment, max_bytes=most)
    try:
        yield spool
    finally:
        spool.close()


def test_what_was_taken_is_read_in_order_until_it_is_stored(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(frames(1, 30))
        spool.append(frames(31, 60))
        assert spool.read(0, frames=2, size=1000) == frames(1, 2)
        assert spool.read(0, frames=100, size=25) == frames(1, 2)
        assert spool.read(0, frames=100, size=1) == frames(1, 1)
        assert spool.count(0) == 60
        assert spool.count(45) == 15
        assert serials(spool) == list(range(1, 61))
        found: list[int] = []
        while some := spool.read(found[-1] if found else 0, frames=7, size=1000):
            found += [frame.serial for frame in some]
        assert found == list(range(1, 61))
        assert spool.read(60, frames=10, size=1000) == []
        assert on_disk(tmp_path) == list(range(31, 61))


def test_the_next_process_finds_what_is_left(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        name = spool.id
        spool.append(frames(1, 50))
        spool.read(20, frames=1, size=100)
    with opened(tmp_path) as spool:
        assert spool.id == name
        assert spool.last_serial == 50
        assert serials(spool, 20) == list(range(21, 51))
        spool.append(frames(60, 61))
        assert serials(spool, 20) == [*range(21, 51), 60, 61]


def test_of_what_is_stored_the_last_segment_is_left_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for first in (1, 21, 41):
            spool.append(frames(first, first + 19))
            assert spool.read(first + 19, frames=1, size=100) == []
            assert on_disk(tmp_path) == list(range(first, first + 20))
        assert (spool.count(60), spool.last_serial) == (0, 60)
    with opened(tmp_path) as spool:
        assert spool.read(60, frames=1, size=100) == []
    # The next process goes on from there, whatever its clock says.
    with opened(tmp_path) as spool:
        assert spool.last_serial == 60
        spool.append(frames(61, 62))
        assert serials(spool, 60) == [61, 62]
        assert on_disk(tmp_path) == [61, 62]


def test_no_two_processes_share_a_spool(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(ConfigurationError, match="in use"):
        Spool.open(tmp_path)
    with opened(tmp_path):
        pass


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Spool.open(tmp_path / "file")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_segment_cut_off_anywhere_costs_what_is_cut_off(data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder, segment=10_000) as spool:
            spool.append(frames(1, 9))
        (path,) = folder.glob("*.spool")
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        left = whole[:cut].count(b"\n")
        with opened(folder) as spool:
            assert serials(spool) == list(range(1, left + 1))
            assert spool.count(0) == left
            spool.append(frames(20, 22))
            assert serials(spool) == [*range(1, left + 1), 20, 21, 22]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_byte_costs_the_records_it_stands_in(data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder, segment=10_000) as spool:
            spool.append(frames(1, 9))
        (path,) = folder.glob("*.spool")
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        hit = content[:place].count(b"\n") + 1
        ends_a_line = content[place] == ord("\n")
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        spoilt = {hit, hit + 1} if ends_a_line else {hit}
        with opened(folder) as spool:
            assert serials(spool) == [one for one in range(1, 10) if one not in spoilt]


def test_events_give_way_first_and_notes_last(tmp_path: Path) -> None:
    with opened(tmp_path, segment=400, most=2000) as spool:
        first = 1
        gone = 0
        for _ in range(10):
            gone += spool.append([Frame(first, Kind.NOTE, b"n" * 10)]).total()
            gone += spool.append([Frame(first + 1, Kind.AUDIT, b"a" * 10)]).total()
            gone += spool.append(frames(first + 2, first + 9)).total()
            first += 10
        left = on_disk(tmp_path)
        assert spool.bytes <= 2000
        assert gone == spool.dropped[Kind.EVENT] == 100 - len(left) > 0
        assert {Kind.EVENT} == set(spool.dropped)
        assert [one for one in left if one % 10 in {1, 2}] == sorted(
            [*range(1, 100, 10), *range(2, 100, 10)]
        )
        events = [one for one in left if one % 10 not in {1, 2}]
        assert events == [one for one in range(1, 101) if one % 10 not in {1, 2}][-len(events) :]
        for serial in range(101, 181):
            spool.append([Frame(serial, Kind.NOTE, b"n" * 10)])
        assert spool.dropped[Kind.AUDIT] == 10
        assert spool.dropped[Kind.EVENT] == 80
        notes = [*range(1, 100, 10), *range(101, 181)]
        left = on_disk(tmp_path)
        assert left == notes[-len(left) :]
        assert spool.dropped[Kind.NOTE] == 90 - len(left) > 0
        assert spool.count(0) == len(left)
    with opened(tmp_path) as spool:
        assert serials(spool) == left


def test_what_is_on_its_way_gives_way_to_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, segment=400, most=2000) as spool:
        spool.append(frames(1, 20))
        reading = spool.read(4, frames=6, size=1000)
        assert [frame.serial for frame in reading] == [5, 6, 7, 8, 9, 10]
        for first in range(21, 200, 20):
            spool.append(frames(first, first + 19))
        left = [serial for serial in on_disk(tmp_path) if serial > 4]
        assert left[:6] == [5, 6, 7, 8, 9, 10]
        assert left[6] > 11
        assert spool.dropped[Kind.EVENT] == 200 - 4 - len(left)


def test_a_full_disk_takes_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, segment=100_000) as spool:
        spool.append(frames(1, 5))
        with at_most_a_file_of(spool.bytes + 50), pytest.raises(OSError, match="large") as full:
            spool.append(frames(6, 20))
        assert full.value.errno == errno.EFBIG
        assert serials(spool) == [1, 2, 3, 4, 5]
        spool.append(frames(6, 20))
        assert serials(spool) == list(range(1, 21))
    with opened(tmp_path) as spool:
        assert serials(spool) == list(range(1, 21))


@contextmanager
def at_most_a_file_of(size: int) -> Iterator[None]:
    """Let the system refuse what makes a file larger: it takes a part, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_what_append_returned_from_survives_a_kill(tmp_path: Path) -> None:
    program = dedent(
        f"""
        from pathlib import Path
        from bridge.store.framing import Frame, Kind
        from bridge.store.spool import Spool
        spool = Spool.open(Path({str(tmp_path)!r}), segment_bytes=5000)
        serial = 0
        while True:
            spool.append([Frame(serial + n, Kind.EVENT, b"x" * 50) for n in range(1, 6)])
            serial += 5
            print(serial, flush=True)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= 200:
            child.kill()
            break
    told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    child.wait()
    child.stdout.close()
    with opened(tmp_path) as spool:
        found = serials(spool)
    assert found[:told] == list(range(1, told + 1))
    assert found == list(range(1, len(found) + 1))


def test_what_a_killed_process_had_begun_to_write_anew_is_removed(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(frames(1, 5))
    (segment,) = tmp_path.glob("*.spool")
    segment.with_suffix(".new").write_bytes(segment.read_bytes()[:50])
    with opened(tmp_path) as spool:
        assert serials(spool) == [1, 2, 3, 4, 5]
    assert list(tmp_path.glob("*.new")) == []


def test_a_line_written_twice_is_read_once(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(frames(1, 5))
    later = tmp_path / f"{4:020d}.spool"
    later.write_bytes(b"".join(map(pack, frames(4, 8))))
    with opened(tmp_path) as spool:
        assert serials(spool) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with opened(folder) as spool:
        spool.append(frames(1, 1))
        (segment,) = folder.glob("*.spool")
        assert folder.stat().st_mode & 0o077 == 0
        assert segment.stat().st_mode & 0o077 == 0


def test_a_segment_that_cannot_be_begun_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_spool: Spool) -> None:
        raise OSError(errno.EIO, "no folder today")

    with opened(tmp_path) as spool:
        with monkeypatch.context() as broken:
            broken.setattr(Spool, "_sync_folder", fails)
            with pytest.raises(OSError, match="no folder today"):
                spool.append(frames(1, 3))
        spool.append(frames(1, 3))
        assert (serials(spool), on_disk(tmp_path)) == ([1, 2, 3], [1, 2, 3])


def test_what_cannot_be_read_is_counted_and_kept_aside(tmp_path: Path) -> None:
    newer = b"7 Z {}\n"
    newer = b"%08x %b" % (zlib.crc32(newer), newer)
    with opened(tmp_path, segment=10_000) as spool:
        spool.append(frames(1, 3))
    (segment,) = tmp_path.glob("*.spool")
    segment.write_bytes(segment.read_bytes() + b"rubbish\n" + newer + pack(*frames(8, 8)))
    (tmp_path / "x.spool").write_bytes(newer)
    for _ in range(2):
        with opened(tmp_path) as spool:
            assert serials(spool) == [1, 2, 3, 8]
            assert spool.damaged == 3
        assert segment.with_suffix(".damaged").read_bytes() == b"rubbish\n" + newer
        assert (tmp_path / "x.spool").read_bytes() == newer
    with opened(tmp_path) as spool:
        spool.append(frames(9, 9))
        assert serials(spool, 8) == [9]
    # What was kept aside stays there, whoever comes next.
    with opened(tmp_path) as spool:
        assert (serials(spool, 8), spool.damaged) == ([9], 1)
    assert segment.with_suffix(".damaged").read_bytes() == b"rubbish\n" + newer


def test_what_cannot_be_kept_aside_costs_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(frames(1, 3))
    (segment,) = tmp_path.glob("*.spool")
    segment.write_bytes(b"rubbish\n" + segment.read_bytes())
    segment.with_suffix(".damaged").mkdir()
    with opened(tmp_path) as spool:
        assert (serials(spool), spool.damaged) == ([1, 2, 3], 1)
