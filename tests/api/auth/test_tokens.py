"""Tokens, by an issuer on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from bridge.api.auth.authenticator import TOKEN_FRESH, Authenticator
from bridge.api.auth.jwks import BETWEEN_FETCHES, LONGEST, MAX_AGE, FetchedKeys, GivenKeys
from bridge.api.auth.principal import Principal
from bridge.api.auth.tokens import Tokens, TokenSettings
from bridge.lab.waiting import until
from bridge.model.errors import (
    ConfigurationError,
    RateLimitedError,
    ServerUnreachableError,
    UnauthenticatedError,
)
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.store.records import StoredKey
from tests.support.issuer import AUDIENCE, Issuer, jwk_of, made_key, public_pem, running_issuer


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class NoKeys:
    """A store without keys."""

    async def find_key(self, key_id: str) -> StoredKey | None:
        del key_id
        return None


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[FetchedKeys]:
    keys = FetchedKeys(issuer.url, clock=clock)
    yield keys
    await keys.close()


@pytest.fixture
def tokens(issuer: Issuer, keys: FetchedKeys) -> Tokens:
    return Tokens(TokenSettings(issuer=issuer.url, audience=AUDIENCE), keys)


async def refused(tokens: Tokens, token: str) -> str:
    """Return the words with which a token is refused."""
    with pytest.raises(UnauthenticatedError) as refusal:
        await tokens.verify(token)
    return refusal.value.error_message


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_says_who_asks(issuer: Issuer, tokens: Tokens, algorithm: str) -> None:
    issuer.keys["two"] = (algorithm, made_key(algorithm))
    expires = int(time.time()) + 100
    principal = await tokens.verify(issuer.token(exp=expires))
    assert principal == Principal(
        name="alice",
        role=Role.SUPERVISOR,
        tenant="acme",
        expires_at=expires + 30.0,
    )
    await tokens.verify(issuer.token(kid="one"))
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("claims", "drop", "words"),
    [
        ({"exp": 1}, (), "has expired"),
        ({"exp": time.time() - 31}, (), "has expired"),
        ({"nbf": time.time() + 1000}, (), "not valid yet"),
        ({"iat": time.time() + 1000}, (), "not valid yet"),
        ({"aud": "another"}, (), "for somebody else: it must be for callbridge"),
        ({"aud": ["another", "more"]}, (), "for somebody else"),
        ({"aud": {}}, (), "says nothing of aud"),
        ({"iss": "https://evil.example"}, (), "is not from http://127.0.0.1"),
        ({"exp": "soon"}, (), "not valid"),
        ({"exp": float("inf")}, (), "not valid"),
        ({"exp": [1]}, (), "not valid"),
        ({"nbf": {}}, (), "not valid"),
        ({"iat": None}, (), "not valid"),
        ({}, ("exp",), "says nothing of exp"),
        ({}, ("aud",), "says nothing of aud"),
        ({}, ("iss",), "says nothing of iss"),
        ({}, ("sub",), "says nothing of sub"),
        ({"sub": ""}, (), "is no name"),
        ({"sub": "x" * 201}, (), "is no name"),
        ({"sub": "a\nb"}, (), "is no name"),
        ({"sub": "callbridge"}, (), "the audit has for somebody else"),
        ({"sub": "Local"}, (), "the audit has for somebody else"),
        ({"sub": "key 5"}, (), "the audit has for somebody else"),
        ({}, ("callbridge_role",), "names no role"),
        ({"callbridge_role": "root"}, (), "names no role: one of observer, supervisor"),
        ({"callbridge_role": 7}, (), "names no role"),
        ({}, ("callbridge_tenant",), "names no tenant"),
        ({"callbridge_tenant": ""}, (), "names no tenant"),
        ({"callbridge_tenant": ["acme"]}, (), "names no tenant"),
        ({"callbridge_tenant": "*"}, (), "names no tenant"),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    issuer: Issuer, tokens: Tokens, claims: dict[str, Any], drop: tuple[str, ...], words: str
) -> None:
    assert words in await refused(tokens, issuer.token(drop=drop, **claims))


async def test_clocks_may_differ_a_little(issuer: Issuer, tokens: Tokens) -> None:
    await tokens.verify(issuer.token(exp=time.time() - 20, iat=time.time() + 20))


async def test_nobody_signs_but_the_issuer(issuer: Issuer, tokens: Tokens) -> None:
    await tokens.verify(issuer.token())
    for algorithm in ("none", "None", "NONE", "HS256", "HS512", "ES384", "PS256", ""):
        forged = issuer.forged({"alg": algorithm, "typ": "JWT", "kid": "one"})
        assert "is signed by" in await refused(tokens, forged)
    # The issuer's public key as a shared secret.
    secret = public_pem(issuer.keys["one"][1]).encode()
    for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "one"}):
        assert "is signed by HS256" in await refused(tokens, issuer.forged(header, secret))
    # Said to be signed by a key's algorithm, but signed by a secret.
    wrong = issuer.forged({"alg": "ES256", "kid": "one"}, secret)
    assert "signature is wrong" in await refused(tokens, wrong)
    # A key of another algorithm is none of this one.
    other = issuer.forged({"alg": "RS256", "kid": "one"}, secret)
    assert "does not have" in await refused(tokens, other)
    token = issuer.token()
    head, body, signature = token.split(".")
    for bent in (f"{head}.{body}.", f"{head}.{body}.{signature[:-4]}AAAA"):
        assert "signature is wrong" in await refused(tokens, bent)
    assert "is signed by" in await refused(tokens, f"{_head('none')}.{body}.")


def _head(algorithm: str) -> str:
    return Issuer().forged({"alg": algorithm}).split(".")[0]


@pytest.mark.parametrize("text", ["", "x", "a.b", "a.b.c", "....", "e30.e30.", "e30.e30.e30"])
async def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    assert await refused(tokens, text)


async def test_a_token_that_brings_its_own_key_is_judged_by_the_issuers(
    issuer: Issuer, tokens: Tokens
) -> None:
    mine = Issuer()
    mine.url = issuer.url
    mine.keys = {"one": ("ES256", made_key())}
    assert "signature is wrong" in await refused(tokens, mine.token(header={"jku": "http://x"}))
    assert "crit" in await refused(tokens, issuer.token(header={"crit": ["exp"], "exp": 1}))
    assert await refused(tokens, issuer.token(header={"crit": ["b64"], "b64": False}))


async def test_keys_are_rotated(issuer: Issuer, tokens: Tokens, clock: Clock) -> None:
    old = issuer.token()
    await tokens.verify(old)
    issuer.keys = {"two": ("RS256", made_key("RS256"))}
    clock.now += BETWEEN_FETCHES
    await tokens.verify(issuer.token())
    assert "does not have" in await refused(tokens, old)
    assert issuer.asked == 2


async def test_invented_key_ids_cause_few_fetches(
    issuer: Issuer, tokens: Tokens, clock: Clock
) -> None:
    await tokens.verify(issuer.token())
    for number in range(20):
        token = issuer.token(header={"kid": f"invented{number}"})
        assert "does not have" in await refused(tokens, token)
    assert issuer.asked == 1
    clock.now += BETWEEN_FETCHES
    await refused(tokens, issuer.token(header={"kid": "invented"}))
    await refused(tokens, issuer.token(header={"kid": "invented"}))
    assert issuer.asked == 2


async def test_keys_that_are_old_go_on_while_new_ones_are_fetched(
    issuer: Issuer, tokens: Tokens, clock: Clock
) -> None:
    await tokens.verify(issuer.token())
    issuer.stall = True
    clock.now += MAX_AGE + 1
    for _ in range(3):
        await tokens.verify(issuer.token())
    await until(lambda: issuer.asked == 2, "the keys are fetched again")


async def test_while_the_issuer_is_down_its_keys_go_on_for_a_day(
    issuer: Issuer, tokens: Tokens, clock: Clock
) -> None:
    await tokens.verify(issuer.token())
    issuer.status, issuer.body = 500, b"down"
    clock.now += LONGEST - 1
    await tokens.verify(issuer.token())
    await until(lambda: issuer.asked == 2, "the keys are fetched again")
    clock.now += BETWEEN_FETCHES + 1
    with pytest.raises(ServerUnreachableError, match="cannot be had"):
        await tokens.verify(issuer.token())
    issuer.status, issuer.body = 200, None
    clock.now += BETWEEN_FETCHES
    await tokens.verify(issuer.token())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b"\xff", b'{"keys": [' + b" " * 300_000],
)
async def test_an_issuer_that_publishes_nonsense_has_no_keys(
    issuer: Issuer, tokens: Tokens, body: bytes
) -> None:
    issuer.body = body
    with pytest.raises(ServerUnreachableError):
        await tokens.verify(issuer.token())


async def test_keys_that_are_good_for_nothing_are_passed_over(
    issuer: Issuer, tokens: Tokens
) -> None:
    good = _published(issuer)
    issuer.body = (
        b'{"keys": [7, {}, {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},'
        b'{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "EC", "crv": "P-384"},' + good + b"]}"
    )
    await tokens.verify(issuer.token())


async def test_a_key_for_encryption_signs_nothing(issuer: Issuer, tokens: Tokens) -> None:
    good = _published(issuer)
    issuer.body = b'{"keys": [' + good[:-1] + b', "use": "enc"}]}'
    with pytest.raises(ServerUnreachableError, match="no key of RS256"):
        await tokens.verify(issuer.token())


def _published(issuer: Issuer) -> bytes:
    return json.dumps(jwk_of(issuer.keys["one"][1], "one")).encode()


async def test_an_issuer_that_says_it_is_another_is_not_believed(
    issuer: Issuer, tokens: Tokens
) -> None:
    issuer.says = "https://evil.example"
    with pytest.raises(ServerUnreachableError, match="says that it is"):
        await tokens.verify(issuer.token())


async def test_keys_come_by_no_other_way(issuer: Issuer, tokens: Tokens) -> None:
    issuer.jwks_uri = "http://192.0.2.1/keys"
    with pytest.raises(ServerUnreachableError, match="jwks_uri"):
        await tokens.verify(issuer.token())
    assert issuer.asked == 0


async def test_a_redirection_is_not_followed(issuer: Issuer) -> None:
    keys = FetchedKeys(issuer.url, f"{issuer.url}/moved")
    with pytest.raises(ServerUnreachableError, match="answers 302"):
        await keys.find("one", "ES256")
    await keys.close()
    assert issuer.asked == 0


@pytest.mark.parametrize("url", ["http://idp.example", "ftp://x", "", "idp", "http://10.0.0.1/k"])
def test_keys_are_fetched_safely_or_not_at_all(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        FetchedKeys(url)
    with pytest.raises(ConfigurationError, match="https"):
        FetchedKeys("https://idp.example", url)


async def test_given_keys_need_no_issuer(issuer: Issuer) -> None:
    given = GivenKeys([public_pem(made_key("EdDSA")), public_pem(issuer.keys["one"][1])])
    tokens = Tokens(TokenSettings(issuer=issuer.url, audience=AUDIENCE), given)
    assert (await tokens.verify(issuer.token())).name == "alice"
    issuer.keys["two"] = ("ES256", made_key())
    assert "signature is wrong" in await refused(tokens, issuer.token())
    assert issuer.asked == 0
    await tokens.close()


@pytest.mark.parametrize("pem", ["", "secret", "-----BEGIN PUBLIC KEY-----\nx\n"])
def test_a_given_key_is_a_public_one(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="PEM"):
        GivenKeys([pem])


@pytest.mark.parametrize(
    ("settings", "claims", "expected"),
    [
        (
            {"role_claim": "realm_access.roles", "roles": {"cc-lead": Role.SUPERVISOR}},
            {"realm_access": {"roles": ["x", "cc-lead"]}},
            (Role.SUPERVISOR, "acme", frozenset()),
        ),
        (
            {"role_claim": "https://acme/role", "roles": {"bot": Role.PROGRAM}},
            {"https://acme/role": "a bot"},
            (Role.PROGRAM, "acme", frozenset()),
        ),
        (
            {"roles": {"boss": Role.ADMIN, "any": Role.OBSERVER}},
            {"callbridge_role": "any boss"},
            (Role.ADMIN, "acme", frozenset()),
        ),
        ({"tenant_claim": None, "tenant": "globex"}, {}, (Role.SUPERVISOR, "globex", frozenset())),
        (
            {"tenant": "globex"},
            {"callbridge_tenant": None},
            (Role.SUPERVISOR, "globex", frozenset()),
        ),
        (
            {"every_tenant": "all"},
            {"callbridge_tenant": "all"},
            (Role.SUPERVISOR, EVERY_TENANT, frozenset()),
        ),
        (
            {"queues_claim": "q"},
            {"q": ["sales", "vip"]},
            (Role.SUPERVISOR, "acme", frozenset({"sales", "vip"})),
        ),
        (
            {"queues_claim": "q"},
            {"q": "sales vip"},
            (Role.SUPERVISOR, "acme", frozenset({"sales", "vip"})),
        ),
        ({"queues_claim": "q"}, {"q": "*"}, (Role.SUPERVISOR, "acme", frozenset())),
    ],
)
async def test_claims_are_named_by_the_configuration(
    issuer: Issuer,
    keys: FetchedKeys,
    settings: dict[str, Any],
    claims: dict[str, Any],
    expected: tuple[Role, str, frozenset[str]],
) -> None:
    tokens = Tokens(TokenSettings(issuer=issuer.url, audience=AUDIENCE, **settings), keys)
    principal = await tokens.verify(issuer.token(**claims))
    assert (principal.role, principal.tenant, principal.queues) == expected


@pytest.mark.parametrize("queues", [None, [], "", 7, [""], {"sales": 1}])
async def test_no_queues_are_not_all_queues(
    issuer: Issuer, keys: FetchedKeys, queues: object
) -> None:
    settings = TokenSettings(issuer=issuer.url, audience=AUDIENCE, queues_claim="q")
    assert "names no queue" in await refused(Tokens(settings, keys), issuer.token(q=queues))


@pytest.mark.parametrize("settings", [{"issuer": ""}, {"audience": ""}, {"tenant_claim": None}])
def test_settings_that_are_not_enough_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        TokenSettings(**{"issuer": "https://x", "audience": "y", **settings})


async def test_the_authenticator_takes_tokens_and_judges_each_once(
    issuer: Issuer, keys: FetchedKeys, clock: Clock
) -> None:
    tokens = Tokens(TokenSettings(issuer=issuer.url, audience=AUDIENCE), keys)
    wall = Clock()
    wall.now = time.time()
    who = Authenticator(NoKeys(), tokens=tokens, clock=wall, monotonic=clock)
    token = issuer.token()
    principal = await who.authenticate({"Authorization": f"Bearer {token}"}, remote="10.0.0.1")
    assert principal.name == "alice"
    for _ in range(20):
        with pytest.raises(UnauthenticatedError):
            await who.authenticate_text(f"{token}x", remote="10.0.0.1")
    with pytest.raises(RateLimitedError):
        await who.authenticate_text(f"{token}x", remote="10.0.0.1")
    # Who was let in goes on, and until his token expires only.
    assert await who.authenticate_text(token, remote="10.0.0.1") == principal
    clock.now += TOKEN_FRESH + 1.0
    with suppress(RateLimitedError):
        while True:
            with suppress(UnauthenticatedError):
                await who.authenticate_text(f"{token}x", remote="10.0.0.1")
    assert await who.authenticate_text(token, remote="10.0.0.1") == principal
    wall.now += 331.0
    with pytest.raises(UnauthenticatedError, match="expired"):
        await who.authenticate_text(token, remote="10.0.0.1")
    await who.close()


async def test_that_the_issuer_is_down_is_nobodys_failure(issuer: Issuer) -> None:
    keys = FetchedKeys(issuer.url)
    tokens = Tokens(TokenSettings(issuer=issuer.url, audience=AUDIENCE), keys)
    who = Authenticator(NoKeys(), tokens=tokens)
    issuer.status = 503
    for _ in range(30):
        with pytest.raises(ServerUnreachableError):
            await who.authenticate_text(issuer.token(), remote="10.0.0.1")
    assert issuer.asked == 1
    await who.close()
