"""The worker's main loop: commands from stdin, pjsip, messages to stdout."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import sys
import threading
import time
from typing import BinaryIO

import pjsua2 as pj
import soundfile

from bridge.lab.phones import wire
from bridge.lab.phones.worker.dialog import describe
from bridge.lab.phones.worker.engine import Engine
from bridge.model.errors import CallbridgeError, PhoneError

_POLL_MS = 10
_STOP_S = 1.0
_REGISTER_S = 5.0
_LAST_RESORT_S = 3.0


class _Worker:
    """Owns the engine and the two pipes."""

    def __init__(self, commands: BinaryIO, messages: BinaryIO) -> None:
        self._pipe = commands
        self._messages = messages
        # A handle waits for each answer: more than a few commands are never under way.
        self._commands: queue.Queue[wire.Command] = queue.Queue(maxsize=100)
        self._engine: Engine | None = None
        self._starting: wire.Start | None = None
        self._start_by = 0.0

    def run(self) -> None:
        """Serve until told to stop or until the other end of stdin is gone."""
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        while not isinstance(command := self._next_command(), wire.Stop):
            self._serve(command)
        if self._engine is not None:
            self._engine.stop(time.monotonic() + _STOP_S)
        self._emit(wire.Reply(command.seq))

    def _read(self) -> None:
        for line in self._pipe:
            self._commands.put(wire.decode_command(line))
        # The parent is gone. Should pjsip hang, end all the same.
        faulthandler.dump_traceback_later(_LAST_RESORT_S, exit=True)
        self._commands.put(wire.Stop(seq=0))

    def _next_command(self) -> wire.Command:
        """Let pjsip work until there is a command."""
        if self._engine is None:
            return self._commands.get()
        while True:
            self._engine.poll(_POLL_MS)
            self._check_deadline()
            with contextlib.suppress(queue.Empty):
                return self._commands.get_nowait()

    def _serve(self, command: wire.Command) -> None:
        try:
            result = self._do(command)
        except (CallbridgeError, pj.Error, OSError, soundfile.LibsndfileError) as error:
            self._emit(wire.Reply(command.seq, error=describe(error)))
        else:
            if not isinstance(command, wire.Start):  # that one is answered by _registered
                self._emit(wire.Reply(command.seq, result=result))

    def _do(self, command: wire.Command) -> object:
        if isinstance(command, wire.Start):
            self._starting, self._start_by = command, time.monotonic() + _REGISTER_S
            self._engine = Engine(command.settings, self._emit, self._registered)
            return None
        if self._engine is None:
            raise PhoneError("the first command has to be start")
        return _dispatch(self._engine, command)

    def _registered(self, error: str | None) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            self._emit(wire.Reply(starting.seq, error=error))

    def _check_deadline(self) -> None:
        if self._starting is not None and time.monotonic() > self._start_by:
            settings = self._starting.settings
            self._registered(
                f"no SIP server answers at {settings.host}:{settings.port}; "
                "'callbridge asterisk status' shows where the embedded Asterisk does"
            )

    def _emit(self, message: wire.Message) -> None:
        # When the parent is gone, nobody is left to be told so; stdin says it too.
        with contextlib.suppress(BrokenPipeError):
            self._messages.write(wire.encode(message))
            self._messages.flush()


def _dispatch(engine: Engine, command: wire.Command) -> object:
    """Carry out a command; what it asks for, if anything."""
    match command:
        case wire.Stats():
            return engine.stats()
        case wire.Position():
            return engine.position()
        case wire.Hold() | wire.Transfer() | wire.Consult() | wire.CompleteTransfer():
            _rearrange(engine, command)
        case wire.Dial(number=number):
            engine.dial(number)
        case wire.Answer():
            engine.answer()
        case wire.Hangup(code=code):
            engine.hangup(code)
        case wire.Dtmf(digits=digits, by_info=by_info):
            engine.dtmf(digits, by_info=by_info)
        case wire.Mute(on=on):
            engine.mute(on=on)
        case wire.Play(source=source):
            engine.play(source)
    return None


def _rearrange(
    engine: Engine, command: wire.Hold | wire.Transfer | wire.Consult | wire.CompleteTransfer
) -> None:
    """Hold, or a step of a transfer."""
    match command:
        case wire.Hold(on=on):
            engine.hold(on=on)
        case wire.Transfer(number=number, headers=headers):
            engine.transfer(number, headers)
        case wire.Consult(number=number):
            engine.consult(number)
        case wire.CompleteTransfer():
            engine.complete_transfer()


def main() -> None:
    """Run, with stdout kept for messages: pjsip prints its banner there."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _Worker(sys.stdin.buffer, messages).run()
    sys.stderr.flush()
    # pjsua2's objects assert when Python's collector takes them apart in an order of its own.
    os._exit(0)


main()
