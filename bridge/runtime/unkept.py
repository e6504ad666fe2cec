"""A call that nobody looks after any more goes by its own rules again, however often that fails.

Until then it would not end though one party is left, on hold or in silence, with nobody.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from bridge.model.errors import CallbridgeError
from bridge.model.participants import Participant
from bridge.runtime.engine import CallEngine
from bridge.session import inputs

_log = logging.getLogger(__name__)

_FIRST_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 10.0


async def keep_no_more(
    engine: CallEngine,
    held: frozenset[Participant] = frozenset(),
    leaving: frozenset[Participant] = frozenset(),
    *,
    apart: frozenset[Participant] | None = None,
) -> None:
    """Return when it is let go of, or over; what Asterisk refuses is asked for again.

    Until then nobody else may keep it: see ``Transfers.require_none``. held: who is on hold then.
    leaving: who is let go. apart: who else is apart; None: whoever is.
    """
    pause = _FIRST_SECONDS
    while engine.session.kept and not engine.session.phase.is_over:
        stay = engine.session.standing.apart - leaving if apart is None else apart
        try:
            await engine.command(partial(inputs.Arrange, held=held, apart=stay, leaving=leaving))
        except CallbridgeError as error:
            call_id = engine.incoming.call_id
            _log.warning("call %s is kept by nobody: %s", call_id, error.error_message)
            await asyncio.sleep(pause)
            pause = min(_MOST_SECONDS, 2 * pause)
        else:
            return
