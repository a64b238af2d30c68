"""The embedder that asks a server: what it sends, what it believes, and when it gives up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from pydantic import SecretStr

from tests.memory.embed.server import DIMENSION, EmbeddingServer, document, good, status, vector
from uaitools.memory.embed.config import HttpEmbedderSettings
from uaitools.memory.embed.errors import EmbedderAway, EmbedderRefused
from uaitools.memory.embed.http import HttpEmbedder
from uaitools.tasks import spawn
from uaitools.traffic.breaker import BreakerPolicy

KEY = "sk-example-0123456789"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def asking(
    server: EmbeddingServer,
    clock: Callable[[], float] | None = None,
    policy: BreakerPolicy | None = None,
    **settings: Any,
) -> AsyncIterator[HttpEmbedder]:
    """An embedder that asks the server, and does not wait between attempts."""
    described = {"url": server.url, "model": "small", "dimension": DIMENSION, **settings}
    embedder = HttpEmbedder(
        HttpEmbedderSettings.model_validate(described),
        clock=clock or Clock(),
        uniform=lambda: 0.0,
        policy=policy or BreakerPolicy(failures=100, connect_errors=100),
    )
    await embedder.start()
    try:
        yield embedder
    finally:
        await embedder.stop()


async def test_vectors_stand_in_the_order_of_the_texts_and_have_length_one(
    server: EmbeddingServer,
) -> None:
    texts = [f"memory {n}" for n in range(10)]

    async with asking(server, batch=4) as embedder:
        rows = await embedder.embed(texts)

    for text, row in zip(texts, rows, strict=True):
        expected = np.array(vector(text)) / np.linalg.norm(vector(text))
        assert row == pytest.approx(expected, abs=1e-6)


async def test_texts_go_in_batches_and_without_those_that_say_nothing(
    server: EmbeddingServer,
) -> None:
    texts = ["a", "", "b", " ", "c", "d", "e", "f", "g"]

    async with asking(server, batch=3, concurrency=1) as embedder:
        await embedder.embed(texts)

    assert [request["input"] for request in server.requests] == [
        ["a", "b", "c"],
        ["d", "e", "f"],
        ["g"],
    ]
    assert {request["model"] for request in server.requests} == {"small"}


async def test_no_answer_has_to_hold_more_numbers_than_the_loop_can_bear() -> None:
    settings = HttpEmbedderSettings(url="http://host/v1", model="m", dimension=3_072, batch=256)

    assert settings.texts * settings.dimension <= 65_536
    assert settings.model_copy(update={"dimension": 100}).texts == 256


async def test_a_long_text_is_embedded_by_its_beginning(server: EmbeddingServer) -> None:
    async with asking(server, longest=16) as embedder:
        await embedder.embed(["0123456789abcdefghij", "short", "\ud83d"])

    assert server.requests[0]["input"] == ["0123456789abcdef", "short", "?"]


async def test_no_more_requests_are_under_way_than_may_be(server: EmbeddingServer) -> None:
    server.held = asyncio.Event()

    async with asking(server, batch=1, concurrency=3) as embedder:
        calls = [spawn(embedder.embed(list("abcdef")), name="embed") for _ in range(2)]
        for _ in range(3):
            await server.came.acquire()
        server.held.set()
        await asyncio.gather(*calls)

    assert server.most == 3
    assert len(server.requests) == 12


async def test_the_key_is_sent_and_shown_nowhere(
    server: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script.append(status(401))

    async with asking(server, key=SecretStr(KEY)) as embedder:
        with pytest.raises(EmbedderRefused) as refused:
            await embedder.embed(["a"])
        shown = repr(embedder)

    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in shown + str(refused.value) + caplog.text


@pytest.mark.parametrize("code", [429, 500, 502, 503, 529])
async def test_what_may_pass_by_itself_is_tried_again(server: EmbeddingServer, code: int) -> None:
    server.script += [status(code), status(code)]

    async with asking(server, attempts=3) as embedder:
        rows = await embedder.embed(["a"])

    assert len(server.requests) == 3
    assert np.linalg.norm(rows[0]) == pytest.approx(1)


@pytest.mark.parametrize("code", [429, 500])
async def test_it_is_tried_so_many_times_and_no_more(server: EmbeddingServer, code: int) -> None:
    server.script += [status(code)] * 9

    async with asking(server, attempts=3) as embedder:
        with pytest.raises(EmbedderAway) as away:
            await embedder.embed(["a"])

    assert len(server.requests) == 3
    assert (away.value.code, away.value.retry_seconds) == (503, 1)
    assert not isinstance(away.value, EmbedderRefused)
    assert server.url not in str(away.value)


@pytest.mark.parametrize("code", [400, 401, 404, 413, 204, 302])
async def test_what_will_be_refused_again_is_not_tried_again(
    server: EmbeddingServer, code: int
) -> None:
    server.script.append(status(code, Location="/v1/embeddings"))

    async with asking(server, attempts=3) as embedder:
        with pytest.raises(EmbedderRefused, match=str(code)):
            await embedder.embed(["a"])

    assert len(server.requests) == 1


async def test_a_server_that_asks_for_a_long_wait_is_left_to_the_caller(
    server: EmbeddingServer,
) -> None:
    server.script.append(status(429, **{"Retry-After": "120"}))

    async with asking(server) as embedder:
        with pytest.raises(EmbedderAway) as away:
            await embedder.embed(["a"])

    assert len(server.requests) == 1
    assert away.value.retry_seconds == 120


async def test_a_request_that_takes_too_long_is_given_up(server: EmbeddingServer) -> None:
    server.held = asyncio.Event()

    async with asking(server, timeout=0.05, attempts=2) as embedder:
        with pytest.raises(EmbedderAway, match="in time"):
            await embedder.embed(["a"])

    assert len(server.requests) == 2
    server.held.set()


async def test_the_first_failure_ends_the_other_batches(server: EmbeddingServer) -> None:
    server.script += [good, status(400)]

    async with asking(server, batch=1, concurrency=1) as embedder:
        with pytest.raises(EmbedderRefused):
            await embedder.embed(list("abcdefgh"))

    assert len(server.requests) == 2


async def test_the_first_failure_ends_what_is_under_way(server: EmbeddingServer) -> None:
    both = asyncio.Barrier(2)
    over = asyncio.Event()

    async def refused(_: list[str]) -> web.Response:
        await both.wait()
        return web.Response(status=400)

    async def later(_: list[str]) -> web.Response:
        await both.wait()
        await over.wait()
        return web.Response()

    server.script += [refused, later]

    async with asking(server, batch=1, concurrency=2, timeout=300) as embedder:
        with pytest.raises(EmbedderRefused):
            await embedder.embed(["a", "b"])
    over.set()


async def test_who_stops_waiting_stops_the_requests(server: EmbeddingServer) -> None:
    server.held = asyncio.Event()

    async with asking(server, batch=1, concurrency=2) as embedder:
        call = spawn(embedder.embed(list("abcd")), name="embed")
        await server.came.acquire()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.held.set()
        server.held = None
        rows = await embedder.embed(["a"])  # there is room again

    assert np.linalg.norm(rows[0]) == pytest.approx(1)


async def test_a_server_that_fails_call_after_call_is_left_alone_until_its_time_is_up(
    server: EmbeddingServer,
) -> None:
    clock = Clock()
    policy = BreakerPolicy(failures=2, eject=30, eject_max=30, ramp=0)
    server.script += [status(500)] * 2

    async with asking(server, clock, policy, attempts=1) as embedder:
        for _ in range(2):
            with pytest.raises(EmbedderAway):
                await embedder.embed(["a"])
        with pytest.raises(EmbedderAway) as away:
            await embedder.embed(["a"])
        asked = len(server.requests)
        clock.now += 31
        await embedder.embed(["a"])

    assert asked == 2
    assert 26 <= (away.value.retry_after or 0) <= 30
    assert len(server.requests) == 3


async def test_while_one_call_probes_others_do_not_wait(server: EmbeddingServer) -> None:
    clock = Clock()
    server.script.append(status(500))

    async with asking(
        server, clock, BreakerPolicy(failures=1, eject=5, ramp=0), attempts=1
    ) as embedder:
        with pytest.raises(EmbedderAway):
            await embedder.embed(["a"])
        await server.came.acquire()
        clock.now += 10
        server.held = asyncio.Event()
        probe = spawn(embedder.embed(["probe"]), name="probe")
        await server.came.acquire()
        with pytest.raises(EmbedderAway):
            await embedder.embed(["b"])
        server.held.set()
        await probe

    assert [request["input"] for request in server.requests] == [["a"], ["probe"]]


async def test_a_probe_that_nobody_waits_for_any_more_is_made_again(
    server: EmbeddingServer,
) -> None:
    clock = Clock()
    server.script.append(status(500))

    async with asking(
        server, clock, BreakerPolicy(failures=1, eject=5, ramp=0), attempts=1
    ) as embedder:
        with pytest.raises(EmbedderAway):
            await embedder.embed(["a"])
        await server.came.acquire()
        clock.now += 10
        server.held = asyncio.Event()
        probe = spawn(embedder.embed(["probe"]), name="probe")
        await server.came.acquire()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        server.held.set()
        rows = await embedder.embed(["b"])

    assert np.linalg.norm(rows[0]) == pytest.approx(1)


async def test_requests_that_are_wrong_do_not_open_the_circuit(server: EmbeddingServer) -> None:
    server.script += [status(400)] * 3

    async with asking(server, policy=BreakerPolicy(failures=2)) as embedder:
        for _ in range(3):
            with pytest.raises(EmbedderRefused):
                await embedder.embed(["a"])
        await embedder.embed(["a"])

    assert len(server.requests) == 4


async def test_nobody_at_the_address_is_an_embedder_that_is_away() -> None:
    async with EmbeddingServer() as server:
        pass

    async with asking(server, policy=BreakerPolicy(connect_errors=2), attempts=5) as embedder:
        with pytest.raises(EmbedderAway, match="failed call after call"):
            await embedder.embed(["a"])


async def test_one_that_was_stopped_is_away(server: EmbeddingServer) -> None:
    async with asking(server) as embedder:
        await embedder.stop()
        with pytest.raises(EmbedderAway, match="stopped"):
            await embedder.embed(["a"])

    assert server.requests == []


def _short(texts: list[str]) -> web.Response:
    answer = document(texts)
    answer["data"].pop()
    return web.json_response(answer)


def _endless(_: list[str]) -> web.Response:
    return web.Response(body=b" " * 1_000_000, content_type="application/json")


@pytest.mark.parametrize("answer", [_short, _endless, lambda _: web.Response(text="<html>")])
async def test_an_answer_that_is_none_is_not_believed_and_not_asked_for_again(
    server: EmbeddingServer, answer: Callable[[list[str]], web.Response]
) -> None:
    server.script.append(answer)

    async with asking(server) as embedder:
        with pytest.raises(EmbedderRefused):
            await embedder.embed(["a", "b"])
        await embedder.embed(["a", "b"])

    assert len(server.requests) == 2
