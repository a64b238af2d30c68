"""Hooks: what they see, what they may change, and what happens when they fail or take too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast

import orjson
import pytest
from pydantic import ValidationError

from tests.peers.gateways import config, eventually, gateway, pool_of
from tests.peers.scripted import Answering, answer, answering, upstream
from tests.peers.wire import Message, Wire, connect
from uaitools.errors import ServiceError
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.guards.hooks import Forward, Hook, HookAnswer, HookRequest

GET = b"GET /x?q=1 HTTP/1.1\r\nHost: a\r\nX-Old: 1\r\n\r\n"


def post(body: bytes, size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    return b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (length, body)


async def ask(proxy: Gateway, raw: bytes = GET) -> Message:
    wire = await connect(proxy.address.port)
    wire.send(raw)
    answered = await wire.message()
    wire.close()
    return answered


@contextlib.asynccontextmanager
async def hooked(
    *hooks: Hook, answers: tuple[bytes, ...] = (), **route: Any
) -> AsyncIterator[tuple[Gateway, Answering]]:
    """A gateway whose hooks are `hooks`, in front of an upstream that answers."""
    routes = [{"path": "/", "service": "api", **route}]
    async with answering(*answers) as server, gateway(server.url, routes=routes) as proxy:
        for hook in hooks:
            proxy.hook(hook)
        yield proxy, server


# -- before the upstream --------------------------------------------------------------------


async def test_a_hook_sees_the_request() -> None:
    seen: list[object] = []

    async def look(request: HookRequest, _forward: Forward) -> None:
        seen.extend((request.method, request.path, request.query, request.client))
        seen.extend((request.service, request.headers["x-old"], request.principal.id))

    async with hooked(look) as (proxy, _):
        assert (await ask(proxy)).body == b"ok"

    assert seen == ["GET", "/x", "?q=1", "127.0.0.1", "api", "1", "anonymous"]


async def test_a_hook_may_change_headers_and_path() -> None:
    async def change(request: HookRequest, _forward: Forward) -> None:
        request.headers["X-New"] = "2"
        request.headers["Authorization"] = "Bearer for-the-upstream"
        del request.headers["X-Old"]
        request.path = "/elsewhere"

    async with hooked(change) as (proxy, server):
        await ask(proxy)

    (request,) = server.requests
    assert request.start == b"GET /elsewhere?q=1 HTTP/1.1"
    assert (request["x-new"], request["authorization"]) == (b"2", b"Bearer for-the-upstream")
    assert "x-old" not in request


async def test_a_hook_may_choose_the_service() -> None:
    async def choose(request: HookRequest, _forward: Forward) -> None:
        request.service = "other"

    async with answering() as one, answering() as other:
        services = {"api": {"endpoints": [one.url]}, "other": {"endpoints": [other.url]}}
        async with gateway(services=services) as proxy:
            proxy.hook(choose)
            await ask(proxy)

        assert (len(one.requests), len(other.requests)) == (0, 1)


async def test_a_hook_that_answers_is_the_answer() -> None:
    async def answer_it(_request: HookRequest, _forward: Forward) -> HookAnswer:
        return HookAnswer(402, b"pay first", {"Content-Type": "text/plain", "X-Price": "1"})

    async with hooked(answer_it) as (proxy, server):
        answered = await ask(proxy)

    assert (answered.status, answered.body, answered["x-price"]) == (402, b"pay first", b"1")
    assert "x-request-id" in answered
    assert server.requests == []


async def test_a_service_error_of_a_hook_is_the_answer() -> None:
    async def refuse(_request: HookRequest, _forward: Forward) -> None:
        raise ServiceError(403, "not on Sundays", "calendar")

    async with hooked(refuse) as (proxy, _):
        answered = await ask(proxy)

    assert answered.status == 403
    assert orjson.loads(answered.body)["message"] == "not on Sundays"


async def test_a_hook_gets_the_body_that_the_upstream_gets_too() -> None:
    bodies: list[bytes] = []

    async def read(request: HookRequest, _forward: Forward) -> None:
        bodies.append(await request.body())

    async with hooked(read) as (proxy, server):
        wire = await connect(proxy.address.port)
        wire.send(post(b"one ", size=7))
        await eventually(lambda: proxy.clients)
        wire.send(b"two")
        assert (await wire.message()).status == 200
        wire.close()

    assert bodies == [b"one two"]
    assert server.requests[0].body == b"one two"


async def test_a_large_body_passes_a_hook_that_reads_it_whole() -> None:
    body = bytes(range(256)) * 2048  # 512 KiB, more than is kept without hooks
    sizes: list[int] = []

    async def read(request: HookRequest, _forward: Forward) -> None:
        sizes.append(len(await request.body()))

    async with hooked(read) as (proxy, server):
        assert (await ask(proxy, post(body))).status == 200

    assert sizes == [len(body)]
    assert server.requests[0].body == body


async def test_a_body_over_the_bound_is_a_413() -> None:
    async def read(request: HookRequest, _forward: Forward) -> None:
        await request.body()

    async with hooked(read, hook_body=100_000) as (proxy, server):
        answered = await ask(proxy, post(bytes(100_001), size=200_000))

    assert answered.status == 413
    assert server.requests == []


@pytest.mark.parametrize("size", [21, 60_000])
async def test_a_body_over_the_bound_is_a_413_also_when_it_is_here_already(size: int) -> None:
    async def read(request: HookRequest, _forward: Forward) -> None:
        await request.body()

    async with hooked(read, hook_body=20) as (proxy, server):
        assert (await ask(proxy, post(bytes(20)))).status == 200
        assert (await ask(proxy, post(bytes(size)))).status == 413

    assert [request.body for request in server.requests] == [bytes(20)]


async def test_who_expects_100_continue_is_told_when_a_hook_wants_the_body() -> None:
    async def read(request: HookRequest, _forward: Forward) -> None:
        assert await request.body() == b"body"

    async with hooked(read) as (proxy, _):
        wire = await connect(proxy.address.port)
        wire.send(post(b"", 4).replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"))
        assert (await wire.head()).status == 100
        wire.send(b"body")
        assert (await wire.message()).status == 200
        wire.close()


# -- behind the upstream --------------------------------------------------------------------


async def test_a_hook_may_change_the_answers_head() -> None:
    async def change(_request: HookRequest, forward: Forward) -> None:
        response = await forward()
        response.headers["X-Seen"] = str(response.status)
        del response.headers["Server"]

    async with hooked(change, answers=(answer(b"hello", headers=b"Server: secret/1\r\n"),)) as (
        proxy,
        _,
    ):
        answered = await ask(proxy)

    assert (answered.status, answered.body, answered["x-seen"]) == (200, b"hello", b"200")
    assert "server" not in answered


async def test_a_long_answer_waits_for_the_hook_and_comes_whole() -> None:
    body = bytes(range(256)) * 8192  # 2 MiB
    proceed = asyncio.Event()

    async def wait(_request: HookRequest, forward: Forward) -> None:
        await forward()
        await proceed.wait()

    async with hooked(wait, answers=(answer(body),)) as (proxy, _):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await eventually(lambda: pool_of(proxy).endpoint.in_flight)
        assert not wire.received
        proceed.set()
        assert (await wire.message()).body == body
        wire.close()


async def test_hooks_nest() -> None:
    order: list[str] = []

    def named(name: str) -> Hook:
        async def hook(_request: HookRequest, forward: Forward) -> None:
            order.append(f"{name} in")
            await forward()
            order.append(f"{name} out")

        return hook

    async with hooked(named("a"), named("b")) as (proxy, _):
        await ask(proxy)

    assert order == ["a in", "b in", "b out", "a out"]


async def test_an_outer_hook_sees_the_answer_of_an_inner_one() -> None:
    async def outer(_request: HookRequest, forward: Forward) -> None:
        (await forward()).headers["X-Outer"] = "was here"

    async def inner(_request: HookRequest, _forward: Forward) -> HookAnswer:
        return HookAnswer(204)

    async with hooked(outer, inner) as (proxy, _):
        answered = await ask(proxy)

    assert (answered.status, answered["x-outer"]) == (204, b"was here")


async def test_a_hook_may_answer_when_the_upstream_cannot() -> None:
    async def fall_back(_request: HookRequest, forward: Forward) -> HookAnswer | None:
        try:
            await forward()
        except ServiceError as error:
            return HookAnswer(200, f"cached, because of {error.code}".encode())
        return None

    async def close(wire: Wire) -> None:
        await wire.head()
        wire.close()

    async with upstream(close) as server, gateway(server.url) as proxy:
        proxy.hook(fall_back)
        assert (await ask(proxy)).body == b"cached, because of 502"


async def test_an_upstream_that_fails_is_told_through_hooks_that_do_not_care() -> None:
    async def through(_request: HookRequest, forward: Forward) -> None:
        await forward()

    async with gateway("http://127.0.0.1:1") as proxy:
        proxy.hook(through)
        assert (await ask(proxy)).status == 502


async def test_a_hook_that_asks_again_gets_the_same_failure() -> None:
    seen: list[ServiceError] = []

    async def insist(_request: HookRequest, forward: Forward) -> None:
        for _ in range(2):
            try:
                await forward()
            except ServiceError as error:
                seen.append(error)

    async def close(wire: Wire) -> None:
        await wire.head()
        wire.close()

    async with upstream(close) as server, gateway(server.url) as proxy:
        proxy.hook(insist)
        assert (await ask(proxy, post(b"once"))).status == 502
        assert len(server.wires) == 1

    assert seen[0] is seen[1]


async def test_a_hook_that_does_not_look_at_answers_leaves_retries_as_they_are() -> None:
    async def look(_request: HookRequest, _forward: Forward) -> None: ...

    retry = {"statuses": [503], "tries": 2}
    async with answering(answer(status=b"503 Service Unavailable")) as bad, answering() as good:
        services = {"api": {"endpoints": [bad.url, good.url], "retry": retry}}
        async with gateway(services=services) as proxy:
            proxy.hook(look)
            answered = [await ask(proxy) for _ in range(4)]

        assert [message.status for message in answered] == [200] * 4
        assert bad.requests


# -- when a hook is wrong -------------------------------------------------------------------


async def test_a_hook_that_raises_is_a_500_with_the_error_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail(_request: HookRequest, _forward: Forward) -> None:
        raise ZeroDivisionError("by design")

    async with hooked(fail) as (proxy, server):
        answered = await ask(proxy)

    assert answered.status == 500
    assert b"by design" not in answered.body
    assert "by design" in "".join(capsys.readouterr())
    assert server.requests == []


async def test_a_hook_that_raises_behind_the_upstream_is_a_500() -> None:
    async def fail(_request: HookRequest, forward: Forward) -> None:
        await forward()
        raise ZeroDivisionError

    async with hooked(fail, answers=(answer(bytes(1 << 20)),)) as (proxy, _):
        assert (await ask(proxy)).status == 500
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


@pytest.mark.parametrize("behind", [False, True])
async def test_a_hook_that_is_slow_is_a_504_and_in_the_log(
    capsys: pytest.CaptureFixture[str], *, behind: bool
) -> None:
    async def sleep(_request: HookRequest, forward: Forward) -> None:
        if behind:
            await forward()
        await asyncio.Event().wait()

    async with hooked(sleep, hook_timeout=0.1) as (proxy, _):
        answered = await ask(proxy)
        assert answered.status == 504
        assert b"hook" in answered.body
    assert "a hook was too slow" in "".join(capsys.readouterr())


async def test_a_slow_hook_that_does_not_want_to_end_is_a_504_all_the_same() -> None:
    ended = asyncio.Event()

    async def cling(_request: HookRequest, _forward: Forward) -> HookAnswer:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ended.set()
        return HookAnswer(200)

    async with hooked(cling, hook_timeout=0.1) as (proxy, server):
        assert (await ask(proxy)).status == 504
        await asyncio.wait_for(ended.wait(), 5)
        assert server.requests == []


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    async def insist(request: HookRequest, forward: Forward) -> HookAnswer | None:
        if request.path != "/slow":
            return None
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await forward()
        return HookAnswer(200, b"too late")

    async with hooked(insist) as (proxy, server):
        wire = await connect(proxy.address.port)
        wire.send(GET.replace(b"/x", b"/slow").replace(b"X-Old", b"X-Request-Timeout"))
        assert (await wire.message()).status == 504
        wire.send(GET.replace(b"/x", b"/next"))
        assert (await wire.message()).body == b"ok"
        wire.close()

    assert [request.start.split()[1] for request in server.requests] == [b"/next?q=1"]


async def test_a_hook_that_goes_on_without_its_client_asks_no_upstream() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def cling(_request: HookRequest, _forward: Forward) -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ended.set()

    async with hooked(cling) as (proxy, server):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await begun.wait()
        wire.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0)
        assert server.received == b""


async def cancelled() -> None:
    raise asyncio.CancelledError


async def exits() -> None:
    raise SystemExit(3)


async def answers(answer: object) -> object:
    return answer


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        cancelled,
        exits,
        partial(answers, "text"),
        partial(answers, HookAnswer(200, "text")),  # type: ignore[arg-type]
        partial(answers, HookAnswer(204, b"not empty")),
        partial(answers, HookAnswer(304, b"not empty")),
        partial(answers, HookAnswer(99)),
        partial(answers, HookAnswer(200, b"", {"Content-Length": "7"})),
    ],
)
async def test_whatever_a_hook_does_its_client_gets_an_answer(
    end: Callable[[], Awaitable[Any]], *, behind: bool
) -> None:
    async def wrong(_request: HookRequest, forward: Forward) -> HookAnswer | None:
        if behind:
            await forward()
        return cast("HookAnswer | None", await end())

    async with hooked(wrong, concurrency=1) as (proxy, _):
        for _ in range(2):  # and its place is free again
            assert (await ask(proxy)).status == 500


async def test_a_body_is_read_before_the_request_goes_on_or_not_at_all() -> None:
    async def late(request: HookRequest, forward: Forward) -> None:
        await forward()
        await request.body()

    async def twice(request: HookRequest, forward: Forward) -> None:
        assert await request.body() == b"body"
        await forward()
        assert await request.body() == b"body"

    async with hooked(late) as (proxy, _):
        assert (await ask(proxy, post(b"body"))).status == 500
    async with hooked(twice) as (proxy, _):
        assert (await ask(proxy, post(b"body"))).status == 200


async def test_a_hooks_credential_takes_the_place_of_the_clients() -> None:
    async def lend(request: HookRequest, _forward: Forward) -> None:
        request.headers["Authorization"] = "Bearer ours"

    async with hooked(lend) as (proxy, server):
        await ask(proxy, GET.replace(b"X-Old: 1", b"Authorization: Bearer theirs\r\nX-API-Key: k"))

    (seen,) = server.requests
    assert [value for name, value in seen.fields if name == "authorization"] == [b"Bearer ours"]
    assert seen["x-api-key"] == b"k"


async def test_a_service_that_a_hook_chooses_keeps_its_own_limit() -> None:
    async def choose(request: HookRequest, _forward: Forward) -> None:
        request.service = "other"

    async def hang(wire: Wire) -> None:
        await wire.head()
        await wire.rest()

    async with answering() as one, upstream(hang) as other:
        narrow = {"endpoints": [other.url], "limits": {"concurrency": 1}}
        async with gateway(services={"api": {"endpoints": [one.url]}, "other": narrow}) as proxy:
            proxy.hook(choose)
            first = await connect(proxy.address.port)
            first.send(GET)
            await other.accepted()
            assert (await ask(proxy)).status == 503
            first.transport.abort()


async def test_bodies_that_wait_for_hooks_count_among_what_is_held() -> None:
    async def hold(request: HookRequest, _forward: Forward) -> None:
        await request.body()
        await asyncio.Event().wait()

    settings = {"client": {"buffer": 1 << 20}, "routes": [{"path": "/", "service": "api"}]}
    async with answering() as server, gateway(server.url, **settings) as proxy:
        proxy.hook(hold)
        wires = [await connect(proxy.address.port) for _ in range(4)]
        for wire in wires:
            wire.send(post(bytes(600_000)))
        await eventually(lambda: sum(wire.lost for wire in wires) == 3)
        for wire in wires:
            wire.transport.abort()


async def test_the_upstreams_time_is_not_the_hooks() -> None:
    proceed = asyncio.Event()

    async def through(_request: HookRequest, forward: Forward) -> None:
        await forward()

    async def wait(wire: Wire) -> None:
        await wire.head()
        await proceed.wait()
        wire.send(answer(b"late"))
        await wire.rest()

    routes = [{"path": "/", "service": "api", "hook_timeout": 0.05}]
    async with upstream(wait) as server, gateway(server.url, routes=routes) as proxy:
        proxy.hook(through)
        asking = asyncio.ensure_future(ask(proxy))  # noqa: TID251 - a test may
        await server.accepted()
        await asyncio.sleep(0.2)
        proceed.set()
        assert (await asking).body == b"late"


Change = Callable[[HookRequest], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda request: request.headers.add("Content-Length", "7"),
        lambda request: request.headers.add("Transfer-Encoding", "chunked"),
        lambda request: request.headers.add("X-User-Id", "root"),
        lambda request: request.headers.add("X-Forwarded-For", "10.0.0.1"),
        lambda request: request.headers.add("X-Split", "a\r\nX-Injected: 1"),
        lambda request: request.headers.add("X Space", "1"),
        lambda request: setattr(request, "path", "/a/../b"),
        lambda request: setattr(request, "path", "/a HTTP/1.1\r\nX-Injected: 1"),
        lambda request: setattr(request, "service", "nobody"),
    ],
)
async def test_what_a_hook_may_not_change_is_a_500_and_reaches_no_upstream(change: Change) -> None:
    async def wrong(request: HookRequest, _forward: Forward) -> None:
        change(request)

    async with hooked(wrong) as (proxy, server):
        assert (await ask(proxy)).status == 500
        assert server.received == b""


async def test_a_client_that_leaves_cancels_its_hook() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def wait(_request: HookRequest, _forward: Forward) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with hooked(wait) as (proxy, _):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await begun.wait()
        wire.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_leaves_behind_the_upstream_frees_the_connection() -> None:
    begun = asyncio.Event()

    async def wait(_request: HookRequest, forward: Forward) -> None:
        await forward()
        begun.set()
        await asyncio.Event().wait()

    async with hooked(wait, answers=(answer(b"small"),)) as (proxy, _):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await begun.wait()
        wire.transport.abort()
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


# -- configuration --------------------------------------------------------------------------


async def of_a_module(request: HookRequest, _forward: Forward) -> None:
    request.headers["X-By"] = "name"


async def of_one(_request: HookRequest) -> None: ...


def not_async(_request: HookRequest, _forward: Forward) -> None: ...


async def test_a_route_names_its_hooks() -> None:
    name = f"{__name__}:of_a_module"
    async with hooked(hooks=[name]) as (proxy, server):
        await ask(proxy)

    assert server.requests[0]["x-by"] == b"name"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "package.module:function"),
        ("no.such.module:f", "cannot import no.such.module"),
        (f"{__name__}:missing", "there is no missing"),
        (f"{__name__}:of_one", "has to take"),
        (f"{__name__}:not_async", "no async function"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_at_start(name: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        config("http://127.0.0.1:9", routes=[{"path": "/", "service": "api", "hooks": [name]}])
