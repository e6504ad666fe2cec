"""A program that observes a call by URL and does nothing else: ``onlooker URL KEY CALL``."""

from __future__ import annotations

import asyncio
import sys

from bridge import Client


async def main(url: str, key: str, call_id: str) -> None:
    async with Client(url=url, key=key) as client:
        observer = await client.observe(call_id, "onlooker")
        print("up", flush=True)  # noqa: T201 - the test reads it
        await observer.wait_left()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
