#!/usr/bin/env python3
"""Puts callers through while the office is open; after hours they may leave a message.

Run it beside Asterisk (CALLBRIDGE_ARI_URL and so on, or `callbridge asterisk up`), or with a
running `callbridge serve` (CALLBRIDGE_URL and CALLBRIDGE_KEY): the same program does for both.

    ./after_hours.py --open 9-17 --greeting closed.wav --messages messages
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from datetime import datetime
from functools import partial
from pathlib import Path

from bridge import ActiveCall, Client, errors, events, leave_voicemail

log = logging.getLogger("after_hours")


def hours(text: str) -> list[int]:
    """Read ``9-17``: open from 9:00 to 16:59; ``22-6``: at night; ``0-0`` is never open."""
    begin, end = map(int, text.split("-"))
    return list(range(begin, end)) if begin <= end else [*range(begin, 24), *range(end)]


async def take(call: ActiveCall, wanted: argparse.Namespace) -> None:
    """Put a caller through, or let him leave a message: after hours, and when nobody is had."""
    if datetime.now().astimezone().hour in wanted.open:
        try:
            await call.connect(ring_time_seconds=wanted.ring)
        except errors.ConnectFailedError as error:
            log.info("%s: %s", call.caller_number, error.error_message)
        else:
            await call.close()  # the two talk on
            return
    message = await leave_voicemail(
        call, wanted.messages, greeting=wanted.greeting, silence_seconds=wanted.silence
    )
    await call.disconnect()
    log.info("%s: %.1f s in %s", call.caller_number, message.seconds, message.path)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=hours, default=hours("9-17"), metavar="HOUR-HOUR")
    parser.add_argument("--greeting", type=Path, help="a WAV file; by default a beep alone")
    parser.add_argument("--messages", type=Path, default=Path("messages"), metavar="FOLDER")
    parser.add_argument("--ring", type=int, default=20, metavar="SECONDS")
    parser.add_argument("--silence", type=float, default=5.0, metavar="SECONDS")
    wanted = parser.parse_args()
    client = Client()
    client.on(events.INCOMING_CALL, partial(take, wanted=wanted))
    async with client:
        await client.run_forever()


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    asyncio.run(main())
