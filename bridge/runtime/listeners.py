"""Those who are told of something: one who fails holds up neither the others nor who tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import ParamSpec

P = ParamSpec("P")


def tell(
    listeners: Iterable[Callable[P, object]],
    log: logging.Logger,
    who: str,
    *what: P.args,
    **named: P.kwargs,
) -> None:
    """Tell all who listen now, in order; what one raises is logged. They must not block.

    who: what the log calls them.
    """
    for listener in tuple(listeners):
        try:
            listener(*what, **named)
        except Exception:
            log.exception("%s failed", who)
