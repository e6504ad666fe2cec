"""``/programs/{name}/socket``: a program's lease, its incoming calls, what befalls its calls."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from bridge.api.programs import Programs
from bridge.api.router import socket
from bridge.api.service import Service
from bridge.api.sockets.common import CutOffError, Link, serve
from bridge.api.wire import text_frame
from bridge.model.errors import BadArgumentError, ErrorCode
from bridge.protocol.frames import (
    CLOSE_SLOW,
    PROGRAM_SOCKET,
    Accept,
    Attach,
    HandOver,
    ServerFrame,
)
from bridge.protocol.permissions import Permission

BEHIND_BYTES: Final = 1 << 20
"""A program that has not read so much is cut off: its calls wait for it, as when it is lost."""
_UNREAD: Final = "this program does not read what it is told"
NAME_LETTERS: Final = 80


@socket(PROGRAM_SOCKET)
async def program_socket(service: Service, request: web.Request) -> web.StreamResponse:
    """Let a program take calls, until it leaves."""
    name = request.match_info["name"]
    return await serve(service, request, lambda link: _be_program(link, name))


async def _be_program(link: Link, name: str) -> None:
    link.principal.require(Permission.TAKE_CALLS)
    if not name.isprintable() or len(name) > NAME_LETTERS:
        raise BadArgumentError(f"a program has a name of at most {NAME_LETTERS} letters")
    asked = await link.receive_one(Attach)
    programs: Programs = link.service.programs
    line = _Line(link)
    number = programs.connected(line)
    try:
        programs.attach(number, name, link.principal, asked)
        while True:
            match await link.receive():
                case Attach() as again:
                    # Each is answered with all calls of the program.
                    link.service.rate_limits.check(link.principal)
                    line.require_read()
                    programs.attach(number, name, link.principal, again)
                case Accept(call_id=call_id):
                    programs.accept(number, call_id)
                case HandOver():
                    programs.hand_over(number)
                case _:
                    raise CutOffError(
                        ErrorCode.BAD_ARGUMENT, "this socket takes attach, accept and hand_over"
                    )
    finally:
        programs.lost(number)


class _Line:
    """Writes to a program's socket, and cuts off one that does not read."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._missed = 0
        """Bytes, of those that wait to be sent, that tell what was before it attached."""

    def send(self, frame: ServerFrame, *, missed: bool = False) -> None:
        """Send a frame."""
        self.put(text_frame(msgspec.json.encode(frame)), missed=missed)

    def put(self, frame: bytes, *, missed: bool = False) -> None:
        """Send a whole WebSocket frame. missed: it tells what was before the program attached."""
        waiting = self._waiting
        self._missed = min(self._missed, waiting)
        if waiting - self._missed > BEHIND_BYTES:
            self._link.cut_off(ErrorCode.SLOW_READER, _UNREAD, CLOSE_SLOW)
            return
        self._link.put(frame)
        if missed:
            self._missed = self._waiting

    def require_read(self) -> None:
        """Raise CutOffError for a program that is to be told all again, and has not read it yet."""
        if self._waiting > BEHIND_BYTES:
            raise CutOffError(ErrorCode.SLOW_READER, _UNREAD, CLOSE_SLOW)

    @property
    def _waiting(self) -> int:
        return self._link.transport.get_write_buffer_size()
