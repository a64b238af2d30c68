"""Key sets from a real HTTP server that rotates its keys, slows down, stops and comes back."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from tests.auth.issuers import AUDIENCE, ISSUER, NOW, SECRET, KeyServer, claims, jwk, signed
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.credential import Credential
from uaitools.auth.errors import AuthError, NotReady, Unresolved
from uaitools.auth.jwks import ON_DEMAND, KeySet
from uaitools.auth.jws import Algorithm
from uaitools.tasks import spawn

ALL: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Changes:
    """Counts changes, and can be awaited."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def next(self) -> None:
        self._event.clear()
        await self._event.wait()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[KeyServer]:
    server = KeyServer(jwk("RS256"))
    await server.start()
    yield server
    server.slow.set()
    await server.stop()


@asynccontextmanager
async def key_set(server: KeyServer, **settings: Any) -> AsyncIterator[KeySet]:
    keys = KeySet(server.url, ALL, "memory", **settings)
    await keys.start()
    try:
        yield keys
    finally:
        await keys.stop()


async def found(keys: KeySet, kid: str | None, algorithm: Algorithm = "RS256") -> object:
    """The key, waiting for fetches as a request does."""
    for _ in range(3):
        try:
            return keys.find(kid, algorithm)
        except Unresolved as missing:
            await missing.resolve()
    raise AssertionError("still unresolved")


# -- one fetch ------------------------------------------------------------------------------


async def test_requests_before_the_first_answer_wait_for_it(server: KeyServer) -> None:
    server.slow.clear()
    async with key_set(server) as keys:
        waiting = [spawn(found(keys, "RS256-0"), name="request") for _ in range(20)]
        await server.asked_at_least(1)
        assert not any(task.done() for task in waiting)
        server.slow.set()

        assert all(key is not None for key in await asyncio.gather(*waiting))
        assert (server.asked, keys.fetches) == (1, 1)


async def test_who_gives_up_waiting_takes_the_fetch_from_nobody(server: KeyServer) -> None:
    server.slow.clear()
    async with key_set(server) as keys:
        first, second = (spawn(found(keys, "RS256-0"), name="request") for _ in range(2))
        await server.asked_at_least(1)
        first.cancel()
        await asyncio.wait({first})
        server.slow.set()

        assert await second is not None
        assert server.asked == 1


async def test_a_key_is_found_by_kid_and_algorithm(server: KeyServer) -> None:
    server.keys = [jwk("RS256"), jwk("ES256"), jwk("EdDSA")]
    async with key_set(server) as keys:
        for algorithm in ALL:
            assert await found(keys, f"{algorithm}-0", algorithm) is not None
        assert await found(keys, "RS256-0", "ES256") is None


async def test_without_kid_only_the_one_key_that_fits_is_taken(server: KeyServer) -> None:
    unnamed = [jwk("EdDSA", which, kid=None) for which in range(2)]
    server.keys = [jwk("RS256"), jwk("ES256"), jwk("ES256", 1), *unnamed]
    async with key_set(server) as keys:
        assert await found(keys, None, "RS256") is not None
        assert await found(keys, None, "ES256") is None
        assert await found(keys, None, "EdDSA") is None


@pytest.mark.parametrize(
    "entry",
    [
        jwk("RS256", use="enc"),
        jwk("RS256", use=None),
        jwk("RS256", key_ops=["encrypt"]),
        jwk("RS256", key_ops="verify"),
        jwk("RS256", alg="RS512"),
        jwk("RS256", alg="HS256"),
        jwk("RS256", kty="EC"),
        jwk("RS256", kty=["RSA"]),
        jwk("RS256", d="AQAB"),
        jwk("RS256", n="AQAB"),
        jwk("RS256", n=5),
        jwk("RS256", e="!"),
        jwk("RS256", kid=5),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "RS256-0", "alg": "RS256"},
        {"kid": "RS256-0"},
        "RS256-0",
        None,
        [],
    ],
)
async def test_keys_that_do_not_fit_are_left_out_of_the_set(
    server: KeyServer, entry: object
) -> None:
    server.keys = [entry, jwk("RS256", 1)]  # type: ignore[list-item]
    async with key_set(server) as keys:
        assert await found(keys, "RS256-1") is not None
        assert await found(keys, "RS256-0") is None


async def test_keys_of_other_algorithms_are_not_kept(server: KeyServer) -> None:
    server.keys = [jwk("RS256"), jwk("ES256")]
    keys = KeySet(server.url, ["ES256"], "memory")
    await keys.start()
    try:
        assert await found(keys, "ES256-0", "ES256") is not None
        assert await found(keys, "RS256-0", "RS256") is None
    finally:
        await keys.stop()


def redirect() -> web.Response:
    return web.Response(status=302, headers={"Location": "/keys"})


GOOD = json.dumps({"keys": [jwk("RS256")]}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500, body=GOOD),
        redirect,
        lambda: web.Response(body=GOOD + b" " * (256 * 1024)),
        lambda: web.Response(body=gzip.compress(GOOD), headers={"Content-Encoding": "gzip"}),
        lambda: web.Response(body=b"not JSON"),
        lambda: web.Response(body=b"[" * 100_000),
        lambda: web.Response(body=b"\xff"),
        lambda: web.json_response([]),
        lambda: web.json_response({"keys": {}}),
        lambda: web.json_response({"keys": []}),
        lambda: web.json_response({"keys": [jwk("RS256")] * 101}),
        lambda: web.json_response({"keys": [jwk("RS256", use="enc")]}),
    ],
)
async def test_an_answer_that_is_no_key_set_gives_no_key(
    server: KeyServer, answer: Callable[[], web.Response]
) -> None:
    server.answer = answer
    async with key_set(server) as keys:
        with pytest.raises(NotReady) as caught:
            await found(keys, "RS256-0")

    assert (caught.value.code, caught.value.retry_after) == (503, 5)


# -- over time ------------------------------------------------------------------------------


async def test_an_unknown_key_is_fetched_at_once_when_the_issuer_has_rotated(
    server: KeyServer,
) -> None:
    changes = Changes()
    async with key_set(server, changed=changes) as keys:
        assert await found(keys, "RS256-0") is not None
        server.keys = [jwk("RS256", 1)]

        assert await found(keys, "RS256-1") is not None
        assert keys.find("RS256-0", "RS256") is None  # withdrawn, and not asked for again so soon
        assert (server.asked, changes.count) == (2, 2)


async def test_invented_keys_cost_one_fetch_in_thirty_seconds(server: KeyServer) -> None:
    clock = Clock()
    async with key_set(server, clock=clock) as keys:
        await found(keys, "RS256-0")
        for index in range(100):
            assert await found(keys, f"invented-{index}") is None
        assert server.asked == 2

        clock.now = ON_DEMAND - 0.1
        assert await found(keys, "invented") is None
        assert server.asked == 2
        clock.now = ON_DEMAND
        assert await found(keys, "invented") is None
        assert server.asked == 3
        assert await found(keys, "RS256-0") is not None


async def test_many_invented_keys_at_once_share_one_fetch(server: KeyServer) -> None:
    async with key_set(server) as keys:
        await found(keys, "RS256-0")
        server.slow.clear()
        asked = [spawn(found(keys, f"invented-{n}"), name="request") for n in range(100)]
        await server.asked_at_least(2)
        server.slow.set()

        assert set(await asyncio.gather(*asked)) == {None}
        assert server.asked == 2


async def test_a_slow_url_holds_up_a_bounded_number_of_requests(server: KeyServer) -> None:
    server.slow.clear()
    async with key_set(server) as keys:
        waiting = [spawn(found(keys, "RS256-0"), name="request") for _ in range(256)]
        await server.asked_at_least(1)

        with pytest.raises(NotReady):
            await found(keys, "RS256-0")
        server.slow.set()
        assert None not in await asyncio.gather(*waiting)


async def test_a_url_that_never_answers_is_given_up(server: KeyServer) -> None:
    server.slow.clear()
    async with key_set(server, timeout=0.05) as keys:
        with capture_logs() as logged, pytest.raises(NotReady):
            await found(keys, "RS256-0")

    assert logged[0]["event"] == "key set cannot be fetched, the last good one stays"
    assert logged[0]["reason"] == "TimeoutError" or "imeout" in logged[0]["reason"]


async def test_the_last_good_set_stays_while_the_url_is_down_and_is_replaced_when_it_is_back(
    server: KeyServer,
) -> None:
    changes = Changes()
    clock = Clock()
    async with key_set(server, changed=changes, refresh=0.02, clock=clock) as keys:
        await found(keys, "RS256-0")
        with capture_logs() as logged:
            await server.stop()
            fetches = keys.fetches
            while keys.fetches < fetches + 5:
                await asyncio.sleep(0)
                assert keys.find("RS256-0", "RS256") is not None
            assert await found(keys, "RS256-1") is None  # it asks in vain, and answers 401

            server.keys = [jwk("RS256", 1)]
            await server.start()
            await changes.next()

        assert keys.find("RS256-1", "RS256") is not None
        assert keys.fetches > fetches
    said = [line["event"] for line in logged]
    assert said == [  # once for each change of state, however many fetches failed
        "key set cannot be fetched, the last good one stays",
        "key set can be fetched again",
        "key set in force",
    ]


async def test_a_set_that_has_become_empty_or_broken_does_not_replace_a_good_one(
    server: KeyServer,
) -> None:
    async with key_set(server, refresh=0.02) as keys:
        await found(keys, "RS256-0")
        server.answer = lambda: web.json_response({"keys": []})
        await server.asked_at_least(server.asked + 3)

        assert keys.find("RS256-0", "RS256") is not None


async def test_an_unchanged_set_is_no_change(server: KeyServer) -> None:
    changes = Changes()
    async with key_set(server, changed=changes, refresh=0.01) as keys:
        await found(keys, "RS256-0")
        await server.asked_at_least(5)

        assert changes.count == 1


async def test_a_server_that_is_down_at_the_start_is_found_when_it_comes(server: KeyServer) -> None:
    await server.stop()
    changes = Changes()
    async with key_set(server, changed=changes, refresh=0.02) as keys:
        with pytest.raises(NotReady):
            await found(keys, "RS256-0")
        await server.start()
        await changes.next()

        assert keys.find("RS256-0", "RS256") is not None


# -- behind the authenticator ---------------------------------------------------------------


def config(server: KeyServer) -> AuthConfig:
    table = {"jwks_url": server.url, "issuer": ISSUER, "audience": AUDIENCE}
    return AuthConfig.model_validate({"jwt": table, "service_secret": SECRET})


async def test_a_token_is_admitted_once_its_key_is_there(server: KeyServer) -> None:
    authenticator = Authenticator(config(server), audience="memory", clock=lambda: NOW)
    await authenticator.start()
    try:
        token = Credential("bearer", signed("RS256", header={"kid": "RS256-0"}))

        assert (await authenticator.admit(token)).id == "alice"
        assert authenticator.authenticate(token, NOW).id == "alice"
        with pytest.raises(AuthError, match="the token's key is unknown"):
            await authenticator.admit(
                Credential("bearer", signed("RS256", which=1, header={"kid": "RS256-1"}))
            )
    finally:
        await authenticator.stop()


async def test_a_token_that_is_refused_anyway_costs_no_fetch(server: KeyServer) -> None:
    authenticator = Authenticator(config(server), audience="memory", clock=lambda: NOW)
    await authenticator.start()
    try:
        await authenticator.admit(Credential("bearer", signed("RS256", header={"kid": "RS256-0"})))
        asked = server.asked
        for changed in ({"exp": int(NOW) - 60}, {"aud": "x"}, {"iss": "x"}, {"sub": ""}):
            token = signed("RS256", claims(**changed), header={"kid": "invented"})
            with pytest.raises(AuthError):
                await authenticator.admit(Credential("bearer", token))

        assert server.asked == asked
    finally:
        await authenticator.stop()


async def test_what_was_admitted_is_judged_anew_when_its_key_is_withdrawn(
    server: KeyServer,
) -> None:
    authenticator = Authenticator(config(server), audience="memory", clock=lambda: NOW)
    await authenticator.start()
    try:
        old = Credential("bearer", signed("RS256", header={"kid": "RS256-0"}))
        new = Credential("bearer", signed("RS256", which=1, header={"kid": "RS256-1"}))
        await authenticator.admit(old)
        generation = authenticator.generation
        server.keys = [jwk("RS256", 1)]

        assert (await authenticator.admit(new)).id == "alice"
        assert authenticator.generation != generation
        with pytest.raises(AuthError, match="the token's key is unknown"):
            authenticator.authenticate(old, NOW)
    finally:
        await authenticator.stop()


async def test_a_reload_keeps_the_key_sets_that_are_still_named(server: KeyServer) -> None:
    first = config(server)
    authenticator = Authenticator(first, audience="memory", clock=lambda: NOW)
    await authenticator.start()
    try:
        token = Credential("bearer", signed("RS256", header={"kid": "RS256-0"}))
        await authenticator.admit(token)
        await server.stop()

        await authenticator.reload(first.model_copy(update={"service_secret": None}))
        assert authenticator.authenticate(token, NOW).id == "alice"  # though the URL is down

        await server.start()
        other = first.jwt[0].model_copy(update={"leeway": 1.0})
        await authenticator.reload(first.model_copy(update={"jwt": (other,)}))
        assert (await authenticator.admit(token)).expires == NOW + 601
        assert server.asked == 2
    finally:
        await authenticator.stop()
