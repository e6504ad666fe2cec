"""Call control for Asterisk: answer, connect, spy, whisper, barge, hand over.

::

    from bridge import ActiveCall, Client, errors, events
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.public import *  # noqa: F403 - the names are listed there
else:
    # Not before a name is asked for: whoever needs a part of this package alone, such as the
    # process of a softphone, does not wait for all of it (0.15 s of processor time, not 0.5 s).
    def __getattr__(name: str) -> object:
        public = importlib.import_module("bridge.public")
        try:
            return getattr(public, name)
        except AttributeError:
            raise AttributeError(f"module 'bridge' has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted(importlib.import_module("bridge.public").__all__)
