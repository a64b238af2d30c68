"""Small requests that a function answers in process, behind routes and guards like any other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.peers.wire import Message, connect
from uaitools.errors import ServiceError
from uaitools.metrics import Family, Sample
from uaitools.proxy import DirectAnswer, DirectRequest, Gateway, Mounted, ProxyConfig

SEEN = Family("things_seen", "gauge", "Things.")


def answer(request: DirectRequest) -> Any:
    match request.path.rsplit("/", 1)[-1]:
        case "refused":
            raise ServiceError(409, "not like this", "things", retry_after=1.4)
        case "broken":
            raise RuntimeError("a secret detail")
        case "tagged":
            headers = b'ETag: "%b"\r\nX-Query: %b\r\n' % (
                request.header(b"x-tag"),
                request.query.encode("latin-1"),
            )
            same = request.header(b"if-none-match") == b'"a"'
            return DirectAnswer(304 if same else 200, b"" if same else b"{}", headers)
        case "later":
            return wait(request)
    return said(request)


def said(request: DirectRequest) -> bytes:
    body = request.body.decode()
    return json.dumps([request.path, request.content_type, body]).encode()


async def wait(request: DirectRequest) -> bytes:
    await asyncio.sleep(0.01)
    if request.body == b"fail":
        raise ServiceError(507, "no room", "things")
    return said(request)


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Gateway]:
    app = web.Application()
    app.router.add_get("/things", hello)
    mounted = Mounted(
        "things",
        app,
        lambda: {"shelf": False},
        lambda: [Sample(SEEN, (), 3)],
        {"direct": (answer, 200), "made": (answer, 201)},
    )
    routes = [
        {"path": "/things/{id}", "methods": ["PUT"], "service": "direct", "max_body": 1000},
        {"path": "/things", "exact": True, "methods": ["POST"], "service": "made"},
    ]
    config = ProxyConfig.model_validate({"listen": "127.0.0.1:0", "routes": routes})
    async with Gateway(config, app=mounted) as gateway:
        yield gateway


async def exchange(gateway: Gateway, *pieces: bytes) -> Message:
    wire = await connect(gateway.address.port)
    for piece in pieces:
        wire.send(piece)
        await asyncio.sleep(0.005)
    message = await wire.message()
    wire.close()
    return message


def put(name: str, body: bytes, *lines: bytes) -> bytes:
    head = b"PUT /things/%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % (
        name.encode(),
        len(body),
    )
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


async def test_a_function_answers_with_json() -> None:
    async with serving() as gateway:
        sent = put("a%20b?x=1", b"body", b"Content-Type: Application/JSON; charset=utf-8")
        message = await exchange(gateway, sent)
    assert message.status == 200
    assert json.loads(message.body) == ["/things/a b", "application/json", "body"]
    assert message["Content-Type"] == b"application/json"
    assert "x-request-id" in message


async def test_a_function_reads_headers_and_says_its_own() -> None:
    async with serving() as gateway:
        sent = put("tagged?x=1&y=%20", b"", b"X-TAG:  a ")
        message = await exchange(gateway, sent)
        same = await exchange(gateway, put("tagged", b"", b"X-Tag: a", b'If-None-Match: "a"'))
    assert (message.status, message["ETag"], message.body) == (200, b'"a"', b"{}")
    assert message["X-Query"] == b"x=1&y=%20"
    assert "cache-control" not in message
    assert (same.status, same["ETag"], same.body) == (304, b'"a"', b"")


async def test_a_header_that_comes_several_times_is_read_as_one() -> None:
    async with serving() as gateway:
        message = await exchange(gateway, put("tagged", b"", b"X-Tag: a", b"x-tag: b, c"))
    assert message["ETag"] == b'"a, b, c"'


async def test_bodies_in_pieces_and_in_chunks_are_whole() -> None:
    head = b"PUT /things/a HTTP/1.1\r\nHost: a\r\n"
    async with serving() as gateway:
        pieces = await exchange(gateway, head + b"Content-Length: 6\r\n\r\nab", b"cd", b"ef")
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        chunks = await exchange(gateway, chunked, b"3\r\nde", b"f\r\n0\r\n\r\n")
        nothing = await exchange(gateway, put("a", b""))
    assert [json.loads(m.body)[2] for m in (pieces, chunks, nothing)] == ["abcdef", "abcdef", ""]


async def test_many_on_one_connection_are_answered_in_their_order() -> None:
    async with serving() as gateway:
        wire = await connect(gateway.address.port)
        wire.send(b"".join(put("later" if n % 3 else "now", b"%d" % n) for n in range(12)))
        bodies = [json.loads((await wire.message()).body)[2] for _ in range(12)]
        wire.close()
    assert bodies == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("refused", b"", 409, "not like this"),
        ("broken", b"", 500, "internal error; the log has it under the request_id"),
        ("later", b"fail", 507, "no room"),
    ],
)
async def test_what_goes_wrong_is_said_in_the_house_s_shape(
    name: str, body: bytes, status: int, message: str
) -> None:
    async with serving() as gateway:
        found = await exchange(gateway, put(name, body, b"X-Request-Id: mine"))
    document = json.loads(found.body)
    assert (found.status, document["code"], document["message"]) == (status, status, message)
    assert document["service"] == "things"
    assert document["request_id"] == found["X-Request-Id"].decode()
    assert found.all("Retry-After") == ([b"2"] if name == "refused" else [])


async def test_routes_guard_it_as_they_guard_others() -> None:
    async with serving() as gateway:
        wrong = await exchange(gateway, b"GET /things/a HTTP/1.1\r\nHost: a\r\n\r\n")
        large = await exchange(gateway, put("a", b"x" * 1001))
        native = await exchange(gateway, b"GET /things HTTP/1.1\r\nHost: a\r\n\r\n")
        health = await exchange(gateway, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        metrics = await exchange(gateway, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (wrong.status, wrong["Allow"]) == (405, b"PUT")
    assert large.status == 413
    assert native.body == b"hello"
    document = json.loads(health.body)
    assert (document["service"], document["status"]) == ("things", "degraded")
    assert document["dependencies"] == {"shelf": "unhealthy"}
    assert b"things_seen 3" in metrics.body
    assert b'endpoint="/things/{id}"' in metrics.body


async def test_errors_have_their_message_under_another_name_as_well_where_that_is_asked_for() -> (
    None
):
    mounted = Mounted(
        "things", web.Application(), direct={"direct": (answer, 200)}, message_as="error"
    )
    routes = [{"path": "/things/{id}", "methods": ["PUT"], "service": "direct"}]
    config = ProxyConfig.model_validate({"listen": "127.0.0.1:0", "routes": routes})
    nowhere = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
    wrong = b"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n"
    async with Gateway(config, app=mounted) as gateway:
        for sent in (
            put("refused", b""),
            put("later", b"fail"),
            nowhere,
            wrong,
            b"no http\r\n\r\n",
        ):
            found = await exchange(gateway, sent)
            document = json.loads(found.body)
            assert found.status >= 400
            assert document["error"] == document["message"] != ""
            assert document["service"] == "things"


async def test_a_client_that_leaves_cancels_what_it_asked_for() -> None:
    async with serving() as gateway:
        wire = await connect(gateway.address.port)
        wire.send(put("later", b"x"))
        await asyncio.sleep(0.002)
        wire.close()
        assert (await exchange(gateway, put("a", b"y"))).status == 200


async def test_a_function_takes_a_method_of_a_path_whose_others_the_application_answers() -> None:
    async with serving() as gateway:
        post = b"POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        made = await exchange(gateway, post)
        asked = await exchange(gateway, b"GET /things HTTP/1.1\r\nHost: a\r\n\r\n")
        other = await exchange(gateway, post.replace(b"POST", b"PUT", 1))
    assert (made.status, json.loads(made.body)[0]) == (201, "/things")
    assert (asked.status, asked.body) == (200, b"hello")
    assert other.status == 405


async def test_head_gets_the_head_of_what_get_gets() -> None:
    mounted = Mounted("things", web.Application(), direct={"direct": (answer, 200)})
    routes = [{"path": "/things/{id}", "methods": ["GET"], "service": "direct"}]
    config = ProxyConfig.model_validate({"listen": "127.0.0.1:0", "routes": routes})
    async with Gateway(config, app=mounted) as gateway:
        wire = await connect(gateway.address.port)
        for _ in range(3):
            rest = b" /things/a HTTP/1.1\r\nHost: a\r\n\r\n"
            wire.send(b"HEAD" + rest + b"GET" + rest)
            head = await wire.message(to="HEAD")
            whole = await wire.message()
            assert (head.status, head.body) == (200, b"")
            assert head["Content-Length"] == whole["Content-Length"] == b"%d" % len(whole.body)
        wire.close()
        (pool,) = gateway.site.services["direct"].pools.values()
        assert pool.opened == 1  # nothing was sent that nobody had asked for
