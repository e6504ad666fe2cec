"""What ``top`` shows, and what its keys do; without a terminal."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
import pytest
from rich.console import Console
from rich.screen import Screen

from bridge.cli.connection import Api, Shown
from bridge.cli.top import Board, Keys, Wishes
from bridge.lab.waiting import until
from bridge.model.errors import CallNotFoundError, ForbiddenError
from bridge.model.modes import AudioMode
from bridge.model.states import CallState
from bridge.protocol import frames
from bridge.protocol import operations as ops
from bridge.protocol.operations import Operation
from bridge.protocol.views import CallView, EventView, ObserverView, PartyView


def view(
    call_id: str,
    revision: int = 0,
    *,
    state: str = "CONNECTED",
    queue: str = "",
    observed: bool = True,
) -> CallView:
    """A call of 1001 and 1002, which 1003 observes."""
    boss = ObserverView(name="boss", call_id=call_id, mode=AudioMode.SPY, phone="PJSIP/1003")
    names = {"caller": "PJSIP/1001", "callee": "PJSIP/1002"}
    return CallView(
        call_id=call_id,
        tenant="default",
        queue=queue,
        own=False,
        since=float(revision),
        state=CallState(state),
        parties=tuple(PartyView(name=name, endpoint=at) for name, at in names.items()),
        observers=(boss,) if observed else (),
        revision=revision,
    )


def told(call: CallView, event_type: str = "CALL_CONNECTED", **data: Any) -> EventView:
    return EventView(
        seq=1, epoch="e", at=0.0, type=event_type, call_id=call.call_id, call=call, data=data
    )


def snapshot(*calls: CallView) -> frames.Snapshot:
    return frames.Snapshot(at=frames.Position(epoch="e", seq=0), calls=calls)


def board_of(*calls: CallView) -> Board:
    board = Board()
    board.take(snapshot(*calls))
    return board


def chosen(board: Board) -> str | None:
    return None if board.chosen is None else board.chosen.call_id


def drawn(board: Board, width: int = 80, height: int = 24) -> list[str]:
    """Return the lines of a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    screen = Screen(board.drawn("q quit", console))
    # As ``Out`` makes its console: what is no table is not wrapped by itself.
    options = console.options.update(no_wrap=True, overflow="ignore")
    lines = console.render_lines(screen, options)
    return ["".join(one.text for one in line if not one.control).rstrip() for line in lines]


def test_the_board_shows_what_is_newest() -> None:
    board = Board()
    assert chosen(board) is None
    board.take(snapshot(view("a", 3)))
    board.take(told(view("a", 2, state="ANSWERED")))
    assert [call.state for call in board.calls] == ["CONNECTED"], "an older view changes nothing"
    board.take(told(view("b", 4)))
    assert chosen(board) == "a"
    board.move(1)
    assert chosen(board) == "b"
    board.move(1)
    assert chosen(board) == "a", "round and round"
    board.take(told(view("a", 5, state="DISCONNECTED"), "CALL_TERMINATED"))
    assert [call.call_id for call in board.calls] == ["b"]
    board.take(told(view("b", 5), "LIVE_CALL_ENDED"))
    assert board.calls == []


@pytest.mark.parametrize(("by", "next_one"), [(1, "b"), (-1, "c")])
def test_what_was_meant_for_a_call_that_is_over_is_for_no_other(by: int, next_one: str) -> None:
    board = board_of(view("a", 1), view("b", 2), view("c", 3))
    board.take(told(view("a", 4), "LIVE_CALL_ENDED"))
    assert chosen(board) is None
    board.move(by)
    assert chosen(board) == next_one


def test_who_observes_is_on_one_line_of_80() -> None:
    lines = drawn(board_of(view("8ec2b781ff41")))
    [row] = [line for line in lines if "8ec2b781ff41" in line]
    assert "connected  1001, 1002  boss on 1003 (spy)" in row
    assert "queue" in "".join(drawn(board_of(view("a", queue="sales"))))
    assert "queue" not in "".join(lines), "what nobody has takes no room"


def test_the_call_that_keys_are_for_is_always_seen() -> None:
    board = board_of(*(view(f"call{n:02}", n) for n in range(50)))
    for _ in range(50):
        board.move(1)
        assert any(str(chosen(board)) in line for line in drawn(board))
    assert "50 calls" in drawn(board)[0]
    assert "more are not shown" in drawn(board)[0]


def test_what_became_of_a_key_is_read_whole() -> None:
    board = board_of(*(view(f"call{n:02}", n) for n in range(50)))
    for n in range(20):
        board.take(told(view("call00", 0), "AUDIT", what="x" * 300, number=n))
    board.said = f"it was not done: {'because ' * 20}of that"
    lines = drawn(board)
    assert len(lines) == 24
    assert board.said in " ".join(lines[:6])
    assert any("call00" in line for line in lines[6:])
    told_lines = [line for line in lines if "AUDIT" in line]
    assert len(told_lines) == 10, "one line each"


def test_a_daemon_that_is_lost_is_not_taken_for_a_quiet_one() -> None:
    board = board_of(view("a"))
    board.lost = "connection refused"
    assert "the daemon was lost: connection refused" in drawn(board)[0]


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("jjs", ["j", "j", "s"]),
        ("\x1b[B\x1b[Aq", ["\x1b[B", "\x1b[A", "q"]),
        ("\x1bOBk", ["\x1bOB", "k"]),
        ("\x1b[1;5Aw", ["\x1b[1;5A", "w"]),
    ],
)
def test_keys_that_come_at_once_are_several(typed: str, keys: list[str]) -> None:
    pressed = Keys()
    pressed.press(typed)
    assert list(pressed.waiting) == keys
    assert pressed.came.is_set()


class Daemon(Api):
    """Answers as a daemon does, when it is let."""

    def __init__(self, board: Board) -> None:
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self._board = board

    async def ask(self, operation: Operation, **how: Any) -> Shown:
        if operation is ops.SHOW_CALL:
            call = next(c for c in self._board.calls if c.call_id == how["call_id"])
            return Shown(msgspec.Raw(), call)
        body = how["body"]
        what = f"move to {body.to} from" if operation is ops.MOVE_OBSERVER else body.mode
        self.asked.append(f"{what} {how['call_id']}")
        await self.may_answer.wait()
        if how["call_id"] == "b":
            raise ForbiddenError("not yours")
        return Shown(msgspec.Raw(), None)

    async def calls(self) -> list[CallView]:
        return self._board.calls

    async def tell(self, operation: Operation, **path: Any) -> None:
        if path["call_id"] == "b":
            raise CallNotFoundError("b is over")
        self.asked.append(f"{operation.operation_id} {path['observer']}")


async def test_keys_are_done_one_after_the_other_for_the_call_of_their_moment() -> None:
    board = board_of(view("a", 1, observed=False), view("b", 2, observed=False))
    api = Daemon(board)
    wishes = Wishes(api, board, "1003")
    running = asyncio.create_task(wishes.run())
    wishes.take("s")
    await until(lambda: api.asked == ["spy a"], "it is begun")
    assert board.said == "spy a on 1003 …"
    wishes.take("w")
    board.move(1)
    wishes.take("b")
    wishes.take("s")
    wishes.take("s")
    assert "too soon" in board.said
    api.may_answer.set()
    await until(lambda: board.said == "not yours", "why it was not done is said")
    await until(lambda: len(api.asked) == 4, "all are done")
    assert api.asked == ["spy a", "whisper a", "barge b", "spy b"]
    running.cancel()


async def test_who_observes_another_call_is_not_rung_but_moved() -> None:
    board = board_of(view("c", 1), view("d", 2, observed=False))
    api = Daemon(board)
    api.may_answer.set()
    wishes = Wishes(api, board, "1003")
    running = asyncio.create_task(wishes.run())
    board.move(1)
    wishes.take("w")
    await until(lambda: board.said == "whisper d on 1003", "he is there")
    assert api.asked == ["move to d from c", "whisper d"]
    running.cancel()


async def test_who_leaves_is_told_so() -> None:
    board = board_of(view("a", 1))
    api = Daemon(board)
    wishes = [Wishes(api, board, phone) for phone in ("1003", "1009")]
    running = [asyncio.create_task(one.run()) for one in wishes]
    wishes[0].take("x")
    await until(lambda: board.said == "1003 has left a", "he has left")
    assert api.asked == ["dismiss_observer boss"]
    wishes[1].take("x")
    await until(lambda: board.said == "1009 observes no call", "nobody is there")
    for one in running:
        one.cancel()


def test_without_a_phone_it_is_said_what_is_missing() -> None:
    board = board_of(view("a", 1))
    Wishes(Daemon(board), board, None).take("s")
    assert "callbridge top --phone" in board.said
