"""Who shows a key or a token."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

from bridge.api.auth.keys import PREFIX, is_secret_of, split
from bridge.api.auth.limits import FailureLimits, WaitingRoom
from bridge.api.auth.principal import Principal
from bridge.api.auth.tokens import Tokens
from bridge.model.errors import StoreError, UnauthenticatedError
from bridge.protocol.permissions import Role
from bridge.runtime.listeners import tell
from bridge.store.records import StoredKey

_log = logging.getLogger(__name__)

KEY_FRESH: Final = 1.0
"""Seconds that a key is not looked up again. One that this daemon revokes is gone at once; one that
another process revokes, in the same store, is gone after that."""
KEY_STALE: Final = 3600.0
"""Seconds that a key is good for while the store is down: programs command their calls on."""
TOKEN_FRESH: Final = 30.0
"""Seconds that a token is not judged again, unless it expires."""
_KEPT: Final = 2000
_LOOKUP_SECONDS: Final = 2.0
_PATIENCE: Final = 0.25
_QUIET_SECONDS: Final = 5.0
_LONGEST: Final = 8192
_SCHEME: Final = "bearer"

V = TypeVar("V")


class KeyFinder(Protocol):
    """Has the keys."""

    async def find_key(self, key_id: str) -> StoredKey | None:
        """Return a key, revoked and expired ones too; None if there is none."""
        ...


class Authenticator:
    """Says who asks, by an API key or, with ``tokens``, by a token.

    store: has the keys. fixed: keys of the configuration and the admin's first one, which are good
    whatever the store says, or while it is down. clock: seconds since 1970; monotonic: seconds.
    """

    def __init__(
        self,
        store: KeyFinder,
        *,
        fixed: Iterable[StoredKey] = (),
        tokens: Tokens | None = None,
        failures: FailureLimits | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._fixed = {key.key_id: key for key in fixed}
        self._tokens = tokens
        self._failures = failures or FailureLimits(clock=monotonic)
        self._clock, self._monotonic = clock, monotonic
        self._quiet_until = float("-inf")
        self._known: _Newest[StoredKey] = _Newest(monotonic)
        self._judged: _Newest[Principal] = _Newest(monotonic)
        self._looking: dict[str, asyncio.Task[StoredKey | None]] = {}
        self.waiting = WaitingRoom()
        """Sockets that have not said yet who is there."""
        self.revoked: set[Callable[[str], None]] = set()
        """Told the id of every key that is revoked here, at once: sockets it opened are closed."""

    async def authenticate(self, headers: Mapping[str, str], *, remote: str = "") -> Principal:
        """Return who shows these headers: ``Authorization: Bearer …``.

        remote: his address, for which wrong ones are counted. Raises UnauthenticatedError,
        RateLimitedError; StoreError, ServerUnreachableError when nobody can say who he is.
        """
        given = headers.get("Authorization", "")
        scheme, _, text = given.partition(" ")
        if not given:
            raise UnauthenticatedError(
                "no key was shown: send the header 'Authorization: Bearer cbk_…'"
            )
        if scheme.lower() != _SCHEME:
            raise UnauthenticatedError("the header is to say 'Authorization: Bearer cbk_…'")
        return await self.authenticate_text(text.strip(), remote=remote)

    async def authenticate_text(self, text: str, *, remote: str = "") -> Principal:
        """Return who shows a key or a token; as ``authenticate``."""
        known = self._at_once(text)
        if known is not None:
            return known
        if not self._was_good(text):
            self._failures.check(remote)
        try:
            by = self._by_key if text.startswith(f"{PREFIX}_") else self._by_token
            return await by(text)
        except UnauthenticatedError:
            self._failures.failed(remote)
            raise

    def forget(self, key_id: str) -> None:
        """Take note that a key was revoked: it is good for nothing from now on."""
        self._known.drop(key_id)
        self._looking.pop(key_id, None)
        tell(self.revoked, _log, "a listener of revoked keys", key_id)

    async def close(self) -> None:
        """End."""
        tasks = tuple(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._tokens is not None:
            await self._tokens.close()

    def _at_once(self, text: str) -> Principal | None:
        """Return who it is if that is known: he waits for nobody who shows wrong keys."""
        parts = split(text)
        if parts is None:
            principal = self._judged.get(_mark(text), TOKEN_FRESH)
            if principal is not None:
                self._not_expired(principal.expires_at, "token")
            return principal
        key_id, secret = parts
        key = self._fixed.get(key_id) or self._known.get(key_id, KEY_FRESH)
        return self._good(key) if key is not None and is_secret_of(key, secret) else None

    def _was_good(self, text: str) -> bool:
        """Tell whether somebody was let in by this: that others of his address guess is not his."""
        parts = split(text)
        if parts is None:
            return self._judged.get(_mark(text), math.inf) is not None
        key_id, secret = parts
        return is_secret_of(self._known.get(key_id, math.inf), secret)

    async def _by_key(self, text: str) -> Principal:
        parts = split(text)
        if parts is None:
            raise UnauthenticatedError("this is no whole key: cbk_, its id, _, and its secret")
        key_id, secret = parts
        key = await self._find(key_id)
        if key is None or not is_secret_of(key, secret):
            raise UnauthenticatedError("the key is not known here")
        return self._good(key)

    async def _by_token(self, text: str) -> Principal:
        if self._tokens is None:
            raise UnauthenticatedError("this is no key: one begins with cbk_, and tokens are off")
        if len(text) > _LONGEST or not text.isascii():
            raise UnauthenticatedError(f"a token is of {_LONGEST} characters at most, all ASCII")
        principal = await self._tokens.verify(text)
        self._judged.put(_mark(text), principal)
        return principal

    def _good(self, key: StoredKey) -> Principal:
        if key.revoked:
            raise UnauthenticatedError("the key was revoked: ask for a new one")
        self._not_expired(key.expires_at, "key")
        try:
            role = Role(key.role)
        except ValueError as error:
            raise UnauthenticatedError(f"the key's role, {key.role}, is not known here") from error
        return Principal(
            name=key.name,
            role=role,
            tenant=key.tenant,
            queues=frozenset(key.queues),
            key_id=key.key_id,
            expires_at=key.expires_at,
        )

    def _not_expired(self, expires_at: float | None, what: str) -> None:
        if expires_at is not None and self._clock() >= expires_at:
            raise UnauthenticatedError(f"the {what} has expired: get a new one")

    async def _find(self, key_id: str) -> StoredKey | None:
        """Return a key, looked up once for all who ask at the same time. Raises StoreError."""
        known = self._fixed.get(key_id) or self._known.get(key_id, KEY_FRESH)
        if known is not None:
            return known
        before = self._known.get(key_id, KEY_STALE)
        if before is not None and self._monotonic() < self._quiet_until:
            return before
        task = self._looking.get(key_id)
        if task is None:
            task = asyncio.create_task(self._look_up(key_id), name="key lookup")
            self._looking[key_id] = task
            task.add_done_callback(lambda done: self._looked_up(key_id, done))
        if before is None:
            return await asyncio.shield(task)
        # Whoever was let in a while ago does not wait for a store that is slow or down.
        await asyncio.wait({task}, timeout=_PATIENCE)
        if not task.done() or isinstance(task.exception(), StoreError):
            return before
        return task.result()

    async def _look_up(self, key_id: str) -> StoredKey | None:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await self._store.find_key(key_id)
        except (StoreError, TimeoutError) as error:
            self._quiet_until = self._monotonic() + _QUIET_SECONDS
            if isinstance(error, StoreError):
                raise
            raise StoreError("the store with the keys does not answer: try again") from error

    def _looked_up(self, key_id: str, task: asyncio.Task[StoredKey | None]) -> None:
        # Revoked meanwhile: what was found is out of date.
        current = self._looking.get(key_id) is task
        if current:
            del self._looking[key_id]
        if task.cancelled() or task.exception() is not None:
            return
        key = task.result()
        if key is not None and current:
            self._known.put(key_id, key)


class _Newest(Generic[V]):
    """Remembers a bounded number of values, those that came last, and when they came."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: OrderedDict[str, tuple[V, float]] = OrderedDict()

    def get(self, name: str, seconds: float) -> V | None:
        """Return a value that is not older than so many seconds."""
        known = self._values.get(name)
        return None if known is None or self._clock() - known[1] > seconds else known[0]

    def put(self, name: str, value: V) -> None:
        self._values[name] = (value, self._clock())
        self._values.move_to_end(name)
        while len(self._values) > _KEPT:
            self._values.popitem(last=False)

    def drop(self, name: str) -> None:
        self._values.pop(name, None)


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
