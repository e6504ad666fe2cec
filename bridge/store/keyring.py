"""API keys in the store: digests of their secrets, never the secrets."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import RowMapping, select, update

from bridge.protocol.requests import Listing
from bridge.protocol.views import KeyView, Page
from bridge.store.access import Access, beyond, columns, inside, page, read_cursor
from bridge.store.records import EVERYTHING, Scope, StoredKey
from bridge.store.rows import storable
from bridge.store.tables import Keys

_KEY = columns(Keys, StoredKey)


class Keyring(Access):
    """What is kept of keys. Nothing of it is queued: a key that was not kept is not given out."""

    async def add_key(self, key: StoredKey) -> None:
        """Keep a key. Raises StoreError while the database is down: nothing is queued."""
        row = storable(msgspec.structs.asdict(key) | {"queues": _list(key.queues)})
        async with self._changing() as connection:
            await connection.execute(self._database.insert(Keys), [row])

    async def keys(self, listing: Listing, scope: Scope = EVERYTHING) -> Page[KeyView]:
        """Return the keys, revoked ones too, the oldest first; of a tenant if the scope says so."""
        query = select(*_KEY).where(*inside(scope, Keys.tenant))
        if listing.cursor is not None:
            place = read_cursor(listing.cursor, tuple[float, str])
            query = query.where(beyond(Keys.created_at, Keys.key_id, place))
        query = query.order_by(Keys.created_at, Keys.key_id).limit(listing.limit + 1)
        rows = await self._rows(query, written=False)
        return page(rows, listing.limit, lambda row: _key(row).view(), "created_at", "key_id")

    async def find_key(self, key_id: str) -> StoredKey | None:
        """Return a key, revoked and expired ones too; None if there is none."""
        query = select(*_KEY).where(Keys.key_id == key_id)
        rows = await self._rows(query, written=False)
        return _key(rows[0]) if rows else None

    async def revoke_key(self, key_id: str, scope: Scope = EVERYTHING) -> bool:
        """Revoke a key; False if there is none in the scope. Revoking twice does no harm."""
        change = update(Keys).where(Keys.key_id == key_id).values(revoked=True)
        if scope.tenant is not None:
            change = change.where(Keys.tenant == scope.tenant)
        async with self._changing() as connection:
            return (await connection.execute(change)).rowcount > 0


def _list(names: tuple[str, ...]) -> str:
    return msgspec.json.encode(names).decode()


def _key(row: RowMapping) -> StoredKey:
    values: dict[str, Any] = dict(row)
    values["queues"] = msgspec.json.decode(values["queues"], type=tuple[str, ...])
    return StoredKey(**values)
