"""What a call carries on: trace, request id, deadline, and whom it is made for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import time
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from tests.registry.client.instances import (
    NAME,
    answering,
    client,
    hanging,
    instance,
    instances,
    policy,
    url_of_nobody,
)
from uaitools.auth.principal import ANONYMOUS, GUEST, Principal
from uaitools.auth.service_token import ServiceTokens
from uaitools.errors import ServiceError
from uaitools.registry.client import carried
from uaitools.registry.client.calls.context import CARRIED, NOTHING, read
from uaitools.tasks import spawn

TRACE = f"00-{'1' * 32}-{'2' * 16}-01"
OTHER = f"00-{'3' * 32}-{'4' * 16}-00"
ANN = Principal("ann", frozenset({"chat"}), frozenset(), "jwt")
BOT = Principal("bot", frozenset(), frozenset(), "key")


@dataclass
class Service:
    """A client of an instance that remembers the headers it gets."""

    url: str
    heads: list[CIMultiDictProxy[str]] = field(default_factory=list)

    async def headers(
        self, client_options: dict[str, Any] | None = None, **call: Any
    ) -> CIMultiDictProxy[str]:
        """What one call arrives with."""
        async with (
            client(self.url, **client_options or {}) as caller,
            caller.get("/", **call),
        ):
            pass
        return self.heads[-1]


@pytest.fixture
async def service(_leaves_nothing: None) -> AsyncIterator[Service]:
    async def show(request: web.Request) -> web.StreamResponse:
        made.heads.append(request.headers)
        return web.Response()

    async with instance("a", show) as one:
        made = Service(one.url)
        yield made


# -- traces and request ids -----------------------------------------------------------------


async def test_a_trace_is_carried_on_as_it_came(service: Service) -> None:
    with carried({"traceparent": TRACE, "tracestate": "a=1,b=2"}):
        seen = await service.headers()

    assert (seen["traceparent"], seen["tracestate"]) == (TRACE, "a=1,b=2")


async def test_no_trace_is_begun(service: Service) -> None:
    seen = await service.headers()

    assert "traceparent" not in seen
    assert "tracestate" not in seen


async def test_a_calls_own_trace_comes_first_and_keeps_its_own_state(service: Service) -> None:
    with carried({"traceparent": TRACE, "tracestate": "a=1"}):
        seen = await service.headers(headers={"Traceparent": OTHER})

    assert seen["traceparent"] == OTHER
    assert "tracestate" not in seen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        TRACE.upper().replace("1", "A"),
        f"ff{TRACE[2:]}",
        f"00-{'0' * 32}-{'2' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"{TRACE}\r\nX-Evil: 1",
    ],
)
async def test_a_trace_that_is_none_is_not_carried_on(service: Service, text: str) -> None:
    with carried({"traceparent": text, "tracestate": "a=1"}):
        seen = await service.headers()

    assert "traceparent" not in seen
    assert "tracestate" not in seen


async def test_a_request_id_is_carried_on_or_made_up_and_the_same_in_every_try() -> None:
    async with (
        instance("a", answering(503)) as one,
        instance("b") as two,
        client(one.url, two.url) as caller,
    ):
        async with caller.get("/"):
            pass
        first, second = (each.calls[0].headers["X-Request-Id"] for each in (one, two))
        assert first == second
        assert UUID(first).hex == first

        with carried({"X-Request-Id": "mine"}):
            async with caller.get("/"):
                pass
        assert two.calls[1].headers["X-Request-Id"] == "mine"


async def test_a_calls_own_request_id_comes_first(service: Service) -> None:
    with carried({"X-Request-Id": "context"}):
        seen = await service.headers(headers={"x-request-id": "own"})

    assert seen.getall("X-Request-Id") == ["own"]


async def test_what_is_carried_ends_with_its_block_and_is_not_shared(service: Service) -> None:
    async def inside() -> CIMultiDictProxy[str]:
        with carried({"X-Request-Id": "inside"}):
            return await service.headers()

    seen = await spawn(inside(), name="inside")

    assert seen["X-Request-Id"] == "inside"
    assert CARRIED.get() is NOTHING
    assert (await service.headers())["X-Request-Id"] != "inside"


# -- deadlines ------------------------------------------------------------------------------


def left(head: CIMultiDictProxy[str]) -> float:
    assert len(head.getall("X-Request-Timeout")) == 1
    return int(head["X-Request-Timeout"]) / 1000


async def test_an_instance_is_told_what_is_left_of_the_usual_30_s(service: Service) -> None:
    assert 29 < left(await service.headers()) <= 30


@pytest.mark.parametrize(
    ("call", "inherited", "most"),
    [
        ({"timeout": 5}, None, 5),
        ({}, "4000", 4),
        ({"timeout": 5}, "4000", 4),
        ({"timeout": None}, "4000", 4),
        ({"timeout": 3}, "4000", 3),
        ({"headers": {"X-Request-Timeout": "2000"}}, "4000", 2),
        ({"headers": {"X-Request-Timeout": "99000"}}, None, 30),
        ({"headers": {"X-Request-Timeout": "99000"}}, "4000", 4),
    ],
)
async def test_of_all_deadlines_the_first_counts(
    service: Service, call: dict[str, Any], inherited: str | None, most: float
) -> None:
    with carried({"X-Request-Timeout": inherited} if inherited else {}):
        assert most - 1 < left(await service.headers(**call)) <= most


async def test_a_second_call_of_a_request_has_only_what_the_first_has_left(
    service: Service,
) -> None:
    with carried({"X-Request-Timeout": "4000"}):
        first = left(await service.headers())
        await asyncio.sleep(0.05)

        assert left(await service.headers()) <= first - 0.05


async def test_an_inherited_deadline_that_has_passed_sends_nothing() -> None:
    async with instance() as one, client(one.url) as caller:
        with carried({"X-Request-Timeout": "1"}):
            await asyncio.sleep(0.01)
            with pytest.raises(ServiceError) as caught:
                await caller.get("/")

        assert caught.value.code == 504
        assert not one.calls


async def test_a_call_ends_with_the_deadline_it_inherits() -> None:
    async with instance("a", hanging) as one, client(one.url) as caller:
        with carried({"X-Request-Timeout": "100"}), pytest.raises(ServiceError) as caught:
            await caller.get("/")

    assert caught.value.code == 504


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "soon", "1" * 10, "+1"])
async def test_a_callers_own_malformed_deadline_is_refused(text: str) -> None:
    async with client(url_of_nobody()) as caller:
        with pytest.raises(ValueError, match="whole number of milliseconds"):
            await caller.get("/", headers={"X-Request-Timeout": text})


@given(st.text(max_size=12) | st.integers(-5, 10**10).map(str))
def test_only_a_deadline_that_the_gateway_would_take_is_inherited(text: str) -> None:
    valid = text.isascii() and text.isdigit() and text[0] != "0" and int(text) <= 999_999_999
    deadline = read({"X-Request-Timeout": text}, 100.0).deadline

    assert deadline == (100.0 + int(text) / 1000 if valid else math.inf)


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "X-Request-Id"]), st.text()))
def test_nothing_that_is_carried_on_can_begin_another_line(headers: dict[str, str]) -> None:
    found = read(headers, 0.0)

    for text in (found.traceparent, found.tracestate, found.request_id):
        assert text.isascii()
        assert not set(text) & set("\r\n\0")


# -- whom a call is made for ----------------------------------------------------------------


@pytest.fixture
def tokens() -> ServiceTokens:
    return ServiceTokens(b"Zr5tYuIoP0aSdFgHjKlQwErTyUiOp9x8")


def named(tokens: ServiceTokens, head: CIMultiDictProxy[str]) -> Principal:
    return tokens.verify(head["X-User-Token"].encode(), NAME, time())


async def test_the_user_of_a_request_is_the_same_user_one_service_on(
    service: Service, tokens: ServiceTokens
) -> None:
    with carried({}, principal=ANN):
        user = named(tokens, await service.headers({"tokens": tokens}))

    assert (user.id, user.scopes, user.roles) == (ANN.id, ANN.scopes, ANN.roles)


async def test_the_calls_principal_comes_before_the_contexts_and_that_before_the_clients(
    service: Service, tokens: ServiceTokens
) -> None:
    options = {"tokens": tokens, "principal": BOT}

    assert named(tokens, await service.headers(options)).id == "bot"
    with carried({}, principal=ANN):
        assert named(tokens, await service.headers(options)).id == "ann"
        assert named(tokens, await service.headers(options, principal=BOT)).id == "bot"


@pytest.mark.parametrize("nobody", [ANONYMOUS, GUEST, None])
async def test_nobody_is_vouched_for_who_is_nobody(
    service: Service, tokens: ServiceTokens, nobody: Principal | None
) -> None:
    with carried({}, principal=nobody):
        assert "X-User-Token" not in await service.headers({"tokens": tokens})


async def test_without_a_secret_nobody_is_vouched_for(service: Service) -> None:
    with carried({}, principal=ANN):
        assert "X-User-Token" not in await service.headers()


async def test_a_token_that_the_caller_brings_stays(
    service: Service, tokens: ServiceTokens
) -> None:
    seen = await service.headers(
        {"tokens": tokens, "principal": BOT}, headers={"x-user-token": "theirs"}
    )

    assert seen.getall("X-User-Token") == ["theirs"]


async def test_what_came_to_us_is_not_handed_on_beside_that(service: Service) -> None:
    secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-User-Token": "t", "X-API-Key": "k"}
    with carried(secrets):
        seen = await service.headers()

    assert not set(secrets) & set(seen)


async def test_a_websocket_carries_the_same(tokens: ServiceTokens) -> None:
    async def socket(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        return response

    async with instance("a", socket) as one, client(one.url, tokens=tokens) as caller:
        with carried({"traceparent": TRACE, "X-Request-Id": "r"}, principal=ANN):
            async with caller.ws_connect("/ws", timeout=5):
                pass
        head = one.calls[0].headers

    assert (head["traceparent"], head["X-Request-Id"]) == (TRACE, "r")
    assert named(tokens, head).id == "ann"
    assert 4 < left(head) <= 5


async def test_no_secret_is_in_any_repr(tokens: ServiceTokens) -> None:
    token = tokens.issue(ANN, NAME, time())
    async with instances("a") as (one,), client(one.url, tokens=tokens, principal=ANN) as caller:
        call = caller.get("/", headers={"Authorization": "Bearer secret"})
        told = [repr(caller), repr(call), repr(caller.endpoints), repr(policy())]
        async with call:
            pass

    assert not [text for text in told if token in text or "secret" in text]
