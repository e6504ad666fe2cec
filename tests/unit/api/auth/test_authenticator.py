from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from bridge.api.auth.authenticator import KEY_FRESH, KEY_STALE, Authenticator
from bridge.api.auth.keys import new_key
from bridge.api.auth.limits import FailureLimits, Rate
from bridge.api.auth.principal import Principal
from bridge.lab.waiting import until
from bridge.model.errors import RateLimitedError, StoreError, UnauthenticatedError
from bridge.protocol.permissions import Role
from bridge.store.records import StoredKey


class Keys:
    """A store of keys that counts, and can be down or stuck."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredKey] = {}
        self.asked = 0
        self.down = False
        self.stuck: asyncio.Event | None = None

    def add(self, role: Role = Role.OBSERVER, *, expires_at: float | None = None) -> str:
        key, text = new_key(
            f"key{len(self.kept)}", role, "acme", queues={"q"}, now=0.0, expires_at=expires_at
        )
        self.kept[key.key_id] = key
        return text

    def revoke(self, text: str) -> str:
        key_id = text.split("_")[1]
        self.kept[key_id] = msgspec.structs.replace(self.kept[key_id], revoked=True)
        return key_id

    async def find_key(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        found = self.kept.get(key_id)
        if self.stuck is not None:
            await self.stuck.wait()
        if self.down:
            raise StoreError("down")
        return found


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def who(keys: Keys, clock: Clock) -> AsyncIterator[Authenticator]:
    limits = FailureLimits(Rate(per_second=1.0, burst=3), clock=clock)
    authenticator = Authenticator(keys, failures=limits, clock=clock, monotonic=clock)
    yield authenticator
    await authenticator.close()


async def refused(ask: Callable[[], Awaitable[object]]) -> str:
    """Return the words with which somebody is refused."""
    with pytest.raises(UnauthenticatedError) as refusal:
        await ask()
    return refusal.value.error_message


async def test_a_key_says_who_asks(keys: Keys, who: Authenticator) -> None:
    text = keys.add(Role.SUPERVISOR, expires_at=2000.0)
    (key,) = keys.kept.values()
    expected = Principal(
        name="key0",
        role=Role.SUPERVISOR,
        tenant="acme",
        queues=frozenset({"q"}),
        key_id=key.key_id,
        expires_at=2000.0,
    )
    assert await who.authenticate({"Authorization": f"Bearer {text}"}) == expected
    assert await who.authenticate({"Authorization": f"bearer  {text} "}) == expected
    assert await who.authenticate_text(text) == expected


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no key was shown"),
        ({"Authorization": ""}, "no key was shown"),
        ({"Authorization": "Basic dTpw"}, "Authorization: Bearer"),
        ({"Authorization": "Bearer"}, "no key"),
        ({"Authorization": "Bearer cbk_1_2"}, "no whole key"),
        ({"Authorization": "Bearer x.y.z"}, "tokens are off"),
        ({"Authorization": "Bearer \udcff\udcfe"}, "tokens are off"),
        ({"Authorization": f"Bearer cbk_{'0' * 16}_{'a' * 43}"}, "not known"),
    ],
)
async def test_who_shows_no_key_is_told_what_to_show(
    who: Authenticator, headers: dict[str, str], words: str
) -> None:
    assert words in await refused(lambda: who.authenticate(headers))


async def test_the_right_id_with_a_wrong_secret_is_not_known(
    keys: Keys, who: Authenticator
) -> None:
    text, other = keys.add(), keys.add()
    await who.authenticate_text(text)
    mixed = text[:21] + other[21:]
    assert "not known" in await refused(lambda: who.authenticate_text(mixed))


async def test_an_expired_key_is_refused(keys: Keys, who: Authenticator, clock: Clock) -> None:
    text = keys.add(expires_at=1001.0)
    await who.authenticate_text(text)
    clock.now = 1001.0
    assert "expired" in await refused(lambda: who.authenticate_text(text))


async def test_a_key_that_is_revoked_here_is_refused_at_once(
    keys: Keys, who: Authenticator
) -> None:
    text = keys.add()
    principal = await who.authenticate_text(text)
    told: list[str] = []
    who.revoked.add(told.append)
    who.forget(keys.revoke(text))
    assert "revoked" in await refused(lambda: who.authenticate_text(text))
    assert told == [principal.key_id]


async def test_a_key_that_is_revoked_elsewhere_is_refused_a_second_later(
    keys: Keys, who: Authenticator, clock: Clock
) -> None:
    text = keys.add()
    await who.authenticate_text(text)
    keys.revoke(text)
    clock.now += KEY_FRESH * 1.01
    assert "revoked" in await refused(lambda: who.authenticate_text(text))


async def test_a_key_that_was_revoked_while_it_was_looked_up_is_not_remembered(
    keys: Keys, who: Authenticator
) -> None:
    text = keys.add()
    keys.stuck = asyncio.Event()
    asking = asyncio.create_task(who.authenticate_text(text))
    await until(lambda: keys.asked == 1, "the store is asked")
    who.forget(keys.revoke(text))
    keys.stuck.set()
    # It was read before.
    assert isinstance(await asking, Principal)
    assert "revoked" in await refused(lambda: who.authenticate_text(text))


async def test_many_who_come_at_once_ask_the_store_once(keys: Keys, who: Authenticator) -> None:
    text = keys.add()
    keys.stuck = asyncio.Event()
    asking = [asyncio.create_task(who.authenticate_text(text)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    keys.stuck.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(one, Principal) for one in found[1:])
    assert keys.asked == 1


async def test_while_the_store_is_down_who_is_known_goes_on(
    keys: Keys, who: Authenticator, clock: Clock
) -> None:
    text, stranger = keys.add(), keys.add()
    principal = await who.authenticate_text(text)
    keys.down = True
    clock.now += KEY_STALE / 2
    assert await who.authenticate_text(text) == principal
    asked = keys.asked
    assert await who.authenticate_text(text) == principal
    assert keys.asked == asked  # it is not asked again and again
    with pytest.raises(StoreError):
        await who.authenticate_text(stranger)
    # That it was let in meanwhile does not make it last longer.
    clock.now += KEY_STALE / 2 + 1
    with pytest.raises(StoreError):
        await who.authenticate_text(text)
    keys.down = False
    clock.now += 10.0
    assert await who.authenticate_text(text) == principal


async def test_a_store_that_is_stuck_holds_up_nobody_who_is_known(
    keys: Keys, who: Authenticator, clock: Clock
) -> None:
    text = keys.add()
    principal = await who.authenticate_text(text)
    clock.now += 100.0
    keys.stuck = asyncio.Event()
    async with asyncio.timeout(1.5):
        assert await who.authenticate_text(text) == principal


async def test_fixed_keys_need_no_store(keys: Keys, clock: Clock) -> None:
    key, text = new_key("bootstrap", Role.ADMIN, "*", now=0.0)
    keys.down = True
    who = Authenticator(keys, fixed=[key], clock=clock, monotonic=clock)
    principal = await who.authenticate_text(text)
    assert (principal.name, principal.role) == ("bootstrap", Role.ADMIN)
    assert keys.asked == 0
    await who.close()


async def test_wrong_keys_of_one_address_are_counted(
    keys: Keys, who: Authenticator, clock: Clock
) -> None:
    known, fresh = keys.add(), keys.add()
    wrong = f"cbk_{'0' * 16}_{'a' * 43}"
    await who.authenticate_text(known, remote="10.0.0.1")
    for _ in range(3):
        await refused(lambda: who.authenticate_text(wrong, remote="10.0.0.1"))
    asked = keys.asked
    with pytest.raises(RateLimitedError) as limited:
        await who.authenticate_text(wrong, remote="10.0.0.1")
    assert limited.value.retry_after == pytest.approx(1.0)
    with pytest.raises(RateLimitedError):
        await who.authenticate_text(fresh, remote="10.0.0.1")
    assert keys.asked == asked
    # Neither who is known, nor another address, nor no address at all suffers.
    await who.authenticate_text(known, remote="10.0.0.1")
    await who.authenticate_text(fresh, remote="10.0.0.2")
    clock.now += 1.0
    await refused(lambda: who.authenticate_text(wrong, remote="10.0.0.1"))


async def test_who_was_let_in_before_is_let_in_from_where_others_guess(
    keys: Keys, who: Authenticator, clock: Clock
) -> None:
    text, wrong = keys.add(), f"cbk_{'0' * 16}_{'a' * 43}"
    principal = await who.authenticate_text(text, remote="10.0.0.1")
    clock.now += KEY_FRESH * 2
    for _ in range(3):
        await refused(lambda: who.authenticate_text(wrong, remote="10.0.0.1"))
    with pytest.raises(RateLimitedError):
        await who.authenticate_text(wrong, remote="10.0.0.1")
    assert await who.authenticate_text(text, remote="10.0.0.1") == principal
    # He is looked up as ever: what was good may be revoked.
    keys.revoke(text)
    clock.now += KEY_FRESH * 2
    assert "revoked" in await refused(lambda: who.authenticate_text(text, remote="10.0.0.1"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("somewhere", "elsewhere", False),
    ],
)
def test_an_address_is_a_site(one: str, other: str, *, same: bool) -> None:
    limits = FailureLimits(Rate(per_second=1.0, burst=1), clock=lambda: 0.0)
    limits.failed(one)
    with pytest.raises(RateLimitedError):
        limits.check(one)
    if same:
        with pytest.raises(RateLimitedError):
            limits.check(other)
    else:
        limits.check(other)
    limits.check("")


async def test_a_listener_that_fails_keeps_nothing_from_the_others(who: Authenticator) -> None:
    told: list[str] = []

    def fail(key_id: str) -> None:
        raise RuntimeError(key_id)

    who.revoked |= {fail, told.append}
    who.forget("x")
    assert told == ["x"]
