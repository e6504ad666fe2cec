"""The handle of a phone whose worker runs pjsua2 in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from bridge.lab.phones import wire
from bridge.lab.phones.phone import (
    CallInfo,
    CallState,
    Direction,
    Disconnect,
    Headers,
    PhoneStats,
    RecordPosition,
    TransferStatus,
)
from bridge.lab.phones.settings import PhoneSettings, Source
from bridge.model.errors import PhoneError

T = TypeVar("T")

_START_TIMEOUT_S = 15.0
_COMMAND_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 4.0
_KEPT_CALLS = 1000
_KEPT_LOG_LINES = 50
_EVENT_BACKLOG = 256
_LINE_LIMIT = 1 << 20


async def start_phone(settings: PhoneSettings) -> Softphone:
    """Start a phone; it is registered when this returns (unless ``register`` is off).

    Raises PhoneError with the SIP status if the server refuses it, and at once if this Python
    has no pjsua2.
    """
    require_pjsua2()
    phone = Softphone(settings)
    try:
        await phone.start()
    except BaseException:
        await phone.stop()
        raise
    return phone


def require_pjsua2() -> None:
    """Raise PhoneError, with ways out, if this Python has no pjsua2."""
    if importlib.util.find_spec("pjsua2") is not None:
        return
    version = ".".join(str(part) for part in sys.version_info[:2])
    if sys.version_info >= (3, 13):
        raise PhoneError(
            f"the softphones need pjsua2, for which there is no wheel for Python {version}. "
            "Use Python 3.11 or 3.12 (python3.12 -m venv .venv; pip install 'callbridge[lab]'), "
            "or any SIP phone of your own: 'callbridge asterisk status' prints its account"
        )
    raise PhoneError(
        f"the softphones need pjsua2, which this Python {version} lacks: "
        "pip install 'callbridge[lab]' (there are wheels for Python 3.11 and 3.12 on x86_64)"
    )


class Softphone:
    """A Phone, see there. Made by ``start_phone``; one event loop; owns its process and tasks."""

    def __init__(self, settings: PhoneSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._seq = 0
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._calls: dict[int, CallInfo] = {}
        self._digits = ""
        self._transfer_told: deque[TransferStatus] = deque(maxlen=_KEPT_CALLS)
        self._changed = asyncio.Event()
        self._watchers: list[asyncio.Queue[CallInfo | None]] = []
        self._log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        self._gone: str | None = None

    @property
    def settings(self) -> PhoneSettings:
        """What it was started with."""
        return self._settings

    @property
    def calls(self) -> Sequence[CallInfo]:
        """Its calls, oldest first (the last thousand)."""
        return tuple(self._calls.values())

    @property
    def state(self) -> CallState | None:
        """State of the newest call."""
        newest = self._newest()
        return newest.state if newest else None

    @property
    def last_disconnect(self) -> Disconnect | None:
        """Why the newest call that has ended did so."""
        ended = [call.disconnect for call in self._calls.values() if call.disconnect]
        return ended[-1] if ended else None

    @property
    def digits(self) -> str:
        """All DTMF digits received."""
        return self._digits

    @property
    def transfer_told(self) -> Sequence[TransferStatus]:
        """All that the server has said of the last transfer."""
        return tuple(self._transfer_told)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        if self._process is None:
            raise PhoneError(f"phone {self._settings.number} has not been started")
        return self._process.pid

    async def start(self) -> None:
        """Start the worker and register; see start_phone."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge.lab.phones.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            # Ctrl-C is the program's business; the worker ends when its stdin does.
            start_new_session=True,
        )
        name = f"phone {self._settings.number}"
        self._tasks = [
            asyncio.create_task(self._read_messages(self._process), name=f"{name} messages"),
            asyncio.create_task(self._read_log(self._process), name=f"{name} log"),
        ]
        await self._ask(lambda seq: wire.Start(seq, self._settings), _START_TIMEOUT_S)

    async def call(self, number: str) -> None:
        """Send an INVITE."""
        await self._dial(lambda seq: wire.Dial(seq, number))

    async def answer(self) -> None:
        """Answer what rings."""
        await self._ask(wire.Answer)

    async def hangup(self, code: int = 0) -> None:
        """End the current call."""
        await self._ask(lambda seq: wire.Hangup(seq, code))

    async def dtmf(self, digits: str, *, by_info: bool = False) -> None:
        """Press keys."""
        await self._ask(lambda seq: wire.Dtmf(seq, digits, by_info))

    async def mute(self, *, on: bool) -> None:
        """Fall silent, or speak again."""
        await self._ask(lambda seq: wire.Mute(seq, on))

    async def play(self, source: Source) -> None:
        """Say something else. Raises BadArgumentError for a tone that cannot be carried."""
        self._settings.check_source(source)
        await self._ask(lambda seq: wire.Play(seq, source))

    async def hold(self) -> None:
        """Hold the current call."""
        await self._ask(lambda seq: wire.Hold(seq, on=True))

    async def unhold(self) -> None:
        """Take the current call back."""
        await self._ask(lambda seq: wire.Hold(seq, on=False))

    async def transfer(self, number: str, *, headers: Headers = ()) -> None:
        """Transfer the other side, blindly."""
        self._transfer_told.clear()
        await self._ask(lambda seq: wire.Transfer(seq, number, tuple(headers)))

    async def consult(self, number: str) -> None:
        """Hold, and call somebody else."""
        await self._dial(lambda seq: wire.Consult(seq, number))

    async def complete_transfer(self) -> None:
        """Connect the two others with each other."""
        self._transfer_told.clear()
        await self._ask(wire.CompleteTransfer)

    async def wait_transferred(self, within_s: float = 5.0) -> TransferStatus:
        """Wait until the server has said how the last transfer of this phone ended."""

        def final() -> TransferStatus | None:
            return next((status for status in self._transfer_told if status.final), None)

        return await self._until(final, within_s, "was not told how its transfer ended")

    async def stats(self) -> PhoneStats:
        """RTP of the current call."""
        return wire.result_as(PhoneStats, await self._ask(wire.Stats))

    async def record_position(self) -> RecordPosition:
        """How far the recording is."""
        return wire.result_as(RecordPosition, await self._ask(wire.Position))

    async def wait_state(self, state: CallState, within_s: float = 5.0) -> CallInfo:
        """Wait until the newest call has reached ``state``, now or before.

        A call that has ended is waited past when it came in: the next one is meant. PhoneError
        when the call that this phone placed ends without reaching it, or when time is up.
        """

        def check() -> CallInfo | None:
            newest = self._newest()
            if newest is None:
                return None
            past = newest.disconnect is not None and state is not CallState.DISCONNECTED
            if past and newest.direction is Direction.IN:
                return None
            if state in newest.reached:
                return newest
            if past and state is not CallState.INCOMING:
                raise PhoneError(self._why_not(newest, state))
            return None

        return await self._until(check, within_s, f"has no call that is {state}")

    async def wait_digits(self, digits: str, within_s: float = 5.0) -> None:
        """Wait until all received digits end with ``digits``."""
        await self._until(
            lambda: self._digits.endswith(digits) or None, within_s, f"has not received {digits!r}"
        )

    def events(self) -> AsyncIterator[CallInfo]:
        """Every change of state from this call on, until the phone stops.

        A reader that falls 256 changes behind gets PhoneError.
        """
        watcher: asyncio.Queue[CallInfo | None] = asyncio.Queue(maxsize=_EVENT_BACKLOG)
        if self._gone is None:
            self._watchers.append(watcher)
        else:
            watcher.put_nowait(None)
        return self._watch(watcher)

    async def stop(self) -> None:
        """Hang up, sign off and end the process, by force if need be, or if this is cancelled."""
        if self._process is None:
            return
        try:
            if self._gone is None and self._process.returncode is None:
                with contextlib.suppress(PhoneError):  # by force, then
                    await self._ask(wire.Stop, _STOP_TIMEOUT_S)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End the process at once, as a crash would: no BYE, no unregistration."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                # Process.kill() would first look whether it has ended, and take that from asyncio,
                # which then complains of a child that it does not know.
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*self._tasks)

    # Inside

    def _newest(self) -> CallInfo | None:
        return self._calls[max(self._calls)] if self._calls else None

    def _why_not(self, call: CallInfo, state: CallState) -> str:
        why = f"{call.disconnect.code} {call.disconnect.reason}" if call.disconnect else call.state
        return f"phone {self._settings.number}: the call ended before it was {state}: {why}"

    async def _dial(self, command: Callable[[int], wire.Command]) -> None:
        """Send a command that places a call, and wait until that call is there."""
        before = max(self._calls, default=0)
        await self._ask(command)
        await self._until(
            lambda: max(self._calls, default=0) > before or None, 1.0, "has not dialled"
        )

    async def _ask(
        self, command: Callable[[int], wire.Command], deadline: float = _COMMAND_TIMEOUT_S
    ) -> object:
        """Send a command and wait for its answer."""
        process = self._process
        if process is None or process.stdin is None or self._gone is not None:
            raise PhoneError(self._gone or f"phone {self._settings.number} has not been started")
        self._seq += 1
        seq = self._seq
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = answer
        try:
            async with asyncio.timeout(deadline):
                process.stdin.write(wire.encode(command(seq)))
                await process.stdin.drain()
                return await answer
        except TimeoutError as error:
            raise PhoneError(
                f"phone {self._settings.number} did not answer within {deadline:g} s; "
                f"stop it and start it again{self._log_tail()}"
            ) from error
        except ConnectionError as error:
            raise PhoneError(self._ended()) from error
        finally:
            self._waiting.pop(seq, None)

    async def _until(self, check: Callable[[], T | None], deadline: float, unless: str) -> T:
        """Wait until ``check`` gives something."""
        try:
            async with asyncio.timeout(deadline):
                while (found := check()) is None:
                    if self._gone is not None:
                        raise PhoneError(self._gone)
                    await self._changed.wait()
        except TimeoutError as error:
            raise PhoneError(
                f"phone {self._settings.number} {unless} after {deadline:g} s; "
                f"it is {self.state or 'idle'}"
            ) from error
        return found

    async def _watch(self, watcher: asyncio.Queue[CallInfo | None]) -> AsyncIterator[CallInfo]:
        try:
            while (change := await watcher.get()) is not None:
                yield change
            if self._gone is None:
                raise PhoneError(f"a reader of phone {self._settings.number} has fallen behind")
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    async def _read_messages(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
        async for line in process.stdout:
            self._take(wire.decode_message(line))
        self._gone = self._ended()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PhoneError(self._gone))
        self._announce()
        for watcher in list(self._watchers):
            self._tell(watcher, None)

    def _take(self, message: wire.Message) -> None:
        match message:
            case wire.Reply(seq=seq, error=error, result=result):
                answer = self._waiting.get(seq)
                if answer is None or answer.done():
                    return
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(PhoneError(f"phone {self._settings.number}: {error}"))
            case wire.CallChanged(call=call):
                self._calls[call.call_id] = call
                if len(self._calls) > _KEPT_CALLS:
                    del self._calls[min(self._calls)]
                for watcher in list(self._watchers):
                    self._tell(watcher, call)
                self._announce()
            case wire.DigitReceived(digit=digit):
                self._digits += digit
                self._announce()
            case wire.TransferTold(status=status):
                self._transfer_told.append(status)
                self._announce()
            case wire.Failed(error=error):
                self._log.append(error)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell(self, watcher: asyncio.Queue[CallInfo | None], change: CallInfo | None) -> None:
        if watcher.full():
            # The place of the oldest serves to tell the reader that it is too slow.
            watcher.get_nowait()
            change = None
            self._watchers.remove(watcher)
        watcher.put_nowait(change)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it was asked for as a pipe
        async for line in process.stderr:
            self._log.append(line.decode(errors="replace").rstrip())

    def _ended(self) -> str:
        return f"phone {self._settings.number} has ended{self._log_tail()}"

    def _log_tail(self) -> str:
        return "".join(f"\n  {line}" for line in list(self._log)[-5:])
