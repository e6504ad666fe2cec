"""Removing recordings that are kept no longer."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0
DAY_SECONDS: Final = 86_400.0
_CALL: Final = re.compile(r"[0-9a-f]{12}")


async def keep_removing(folder: Path, days: int) -> None:
    """Remove recordings that are older than that, every hour, until cancelled. 0: none."""
    while days:
        try:
            removed = await asyncio.to_thread(remove_old, folder, time.time() - days * DAY_SECONDS)
        except OSError as error:
            _log.warning("old recordings are not removed: %s", error)
        else:
            if removed:
                _log.info("the recordings of %d calls are removed: over %d days", removed, days)
        await asyncio.sleep(EVERY_SECONDS)


def remove_old(folder: Path, before: float) -> int:
    """Remove the folders of calls in which nothing was written since; return how many.

    before: seconds since 1970. What is not a call's folder is left alone. Raises OSError when the
    folder cannot be read.
    """
    removed = 0
    for place in folder.iterdir() if folder.is_dir() else ():
        if not _CALL.fullmatch(place.name) or place.is_symlink() or not place.is_dir():
            continue
        try:
            newest = max(one.lstat().st_mtime for one in (place, *place.rglob("*")))
            if newest < before:
                shutil.rmtree(place)
                removed += 1
        except OSError as error:
            _log.warning("recordings in %s are not removed: %s", place, error)
    return removed
