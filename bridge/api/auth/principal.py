"""Who asks. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bridge.model.errors import ForbiddenError
from bridge.protocol.permissions import EVERY_TENANT, PERMISSIONS, Permission, Role

_NOBODYS_NAMES: Final = re.compile(
    r"callbridge|program|api|local|bootstrap|key .*", re.IGNORECASE | re.DOTALL
)
"""What the audit calls those who have neither key nor token: the daemon, its own keys, programs in
process, keys of phones."""


def may_be_called(name: str) -> bool:
    """Tell whether somebody may be called so: by his name the audit says who did what."""
    return name.isprintable() and name == name.strip() and not _NOBODYS_NAMES.fullmatch(name)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has shown a key or a token.

    name: of the key, or the token's subject; it is what the audit says. tenant: whose calls he may
    see, or ``*``. queues: those that he is limited to; empty for all of his tenant. key_id: of his
    key; empty with a token. expires_at: when key or token does, seconds since 1970.
    """

    name: str
    role: Role
    tenant: str
    queues: frozenset[str] = frozenset()
    key_id: str = ""
    expires_at: float | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What he is known again by: tenant, name, id of the key."""
        return self.tenant, self.name, self.key_id

    def may(self, permission: Permission) -> bool:
        """Tell whether his role has a permission."""
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise ForbiddenError unless his role has a permission."""
        if not self.may(permission):
            raise ForbiddenError(f"the role {self.role} may not {permission}")

    def sees(self, tenant: str, queue: str = "") -> bool:
        """Tell whether what belongs to a tenant and a queue is his business.

        What is not is answered as if it were not there.
        """
        if self.tenant not in {EVERY_TENANT, tenant}:
            return False
        return not self.queues or queue in self.queues

    def covers(self, tenant: str, queues: Collection[str]) -> bool:
        """Tell whether who is of a tenant, and limited to queues if there are any, sees no more."""
        if self.tenant not in {EVERY_TENANT, tenant}:
            return False
        return not self.queues or (bool(queues) and self.queues.issuperset(queues))
