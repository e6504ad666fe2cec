"""Ids of a call's objects in Asterisk: chosen by us, never used twice, and readable again.

An id tells the application, the call and the object's key, so that what is found in Asterisk
after a break can be told apart and belongs to its call again.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from bridge.model.ids import CallId
from bridge.topology.objects import Key

__all__ = ["CallId", "Names", "ObjectName", "key_of", "new_call_id"]

_ID = re.compile(r"(?P<call>[0-9a-f]{12})-(?P<key>[a-z0-9_.]+)-[0-9a-f]{12}")
_ANY_ID = re.compile(rf".+-{_ID.pattern}")


def new_call_id() -> CallId:
    """Return an id that no other call has."""
    return CallId(secrets.token_hex(6))


def key_of(object_id: str) -> Key | None:
    """Return the key that an id carries, whichever application of callbridge made it."""
    match = _ANY_ID.fullmatch(object_id)
    return Key(match["key"]) if match else None


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What an id says."""

    call: CallId
    key: Key


class Names:
    """Makes and reads the ids of one application's objects."""

    def __init__(self, application: str) -> None:
        self._prefix = f"{application}-"

    def fresh(self, call: CallId, key: Key) -> str:
        """Return a new id for an object of ``call``."""
        return f"{self._prefix}{call}-{key}-{secrets.token_hex(6)}"

    def read(self, object_id: str) -> ObjectName | None:
        """Return what an id says, None when it is not of this application's making."""
        if not object_id.startswith(self._prefix):
            return None
        match = _ID.fullmatch(object_id.removeprefix(self._prefix))
        return ObjectName(CallId(match["call"]), Key(match["key"])) if match else None
