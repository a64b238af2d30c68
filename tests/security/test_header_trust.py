"""What reaches the upstream of requests that are served: nothing forged, nothing hop-by-hop."""

import pytest

from tests.peers.gateways import gateway
from tests.peers.scripted import answering
from tests.peers.wire import Message, connect

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


async def seen(
    raw: bytes, count: int = 1, trusted: tuple[str, ...] = (), status: int = 200
) -> list[Message]:
    """The requests the upstream saw of `raw`, alone and behind a native request: the same."""
    views = []
    for before in (b"", HEALTH):
        async with (
            answering() as upstream,
            gateway(upstream.url, trusted_proxies=trusted) as proxy,
        ):
            wire = await connect(proxy.address.port)
            wire.send(before + raw)
            if before:
                assert (await wire.message()).status == 200
            for _ in range(count):
                assert (await wire.message()).status == status
            wire.close()
            views.append(upstream.requests)
            assert len(upstream.requests) == count
    first, second = views
    volatile = ("x-request-id", "traceparent")
    for one, other in zip(first, second, strict=True):
        assert one.start == other.start
        assert [f for f in one.fields if f[0] not in volatile] == [
            f for f in other.fields if f[0] not in volatile
        ]
    return first


def get(lines: bytes, target: bytes = b"/x") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, lines)


@pytest.mark.parametrize(
    "line",
    [
        b"Forwarded: for=smuggled",
        b"X-Forwarded-For: 6.6.6.6",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: smuggled",
        b"X-Forwarded-Port: smuggled",
        b"X-Forwarded-Anything: smuggled",
        b"x-FORWARDED-for: 6.6.6.6",
        b"X-Real-IP: 6.6.6.6",
        b"X-Request-Id: smuggled",
        b"X-User-Id: smuggled",
        b"X-User-Anything: smuggled",
        b"X_Forwarded_For: 6.6.6.6",
        b"X-Forwarded_For: 6.6.6.6",
        b"X_User_Id: smuggled",
        b"X_Anything: smuggled",
        b"Content_Length: smuggled",
        b"Transfer_Encoding: smuggled",
        b"Keep-Alive: smuggled",
        b"Proxy-Connection: smuggled",
        b"Proxy-Authorization: smuggled",
        b"Proxy-Authenticate: smuggled",
        b"TE: smuggled",
        b"Upgrade: smuggled",
        b"traceparent: 00-smuggled",
        b"traceparent: 00-%b-6666666666666666-01\r\ntracestate: smuggled" % (b"0" * 32),
    ],
    ids=lambda line: line.decode(),
)
async def test_what_a_client_could_forge_does_not_reach_the_upstream(line: bytes) -> None:
    (request,) = await seen(get(line + b"\r\n"))
    raw = b"".join(value for _, value in request.fields)
    assert b"6.6.6.6" not in raw
    assert b"smuggled" not in raw
    assert not any("_" in name for name, _ in request.fields)
    assert request["x-forwarded-for"] == b"127.0.0.1"
    assert request["x-forwarded-proto"] == b"http"
    assert request["x-forwarded-host"] == b"a"
    assert len(request["x-request-id"]) == 32
    assert request["traceparent"].startswith(b"00-" + request["x-request-id"])
    assert "connection" not in request
    assert "upgrade" not in request


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: X-Private\r\nX-Private: smuggled\r\n",
        b"Connection: close, x-private\r\nX-Private: smuggled\r\n",
        b"Connection: close\r\nConnection: X-PRIVATE\r\nX-Private: smuggled\r\n",
        b"X-Private: smuggled\r\nConnection: ,, X-Private ,\r\n",
        b"Connection: Cookie\r\nCookie: smuggled\r\n",
        b"Connection: Authorization\r\nAuthorization: smuggled\r\n",
        b"Connection: HTTP2-Settings, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: smuggled\r\n",
    ],
)
async def test_what_connection_names_is_stripped(lines: bytes) -> None:
    (request,) = await seen(get(lines))
    assert b"smuggled" not in b"".join(value for _, value in request.fields)
    assert "connection" not in request


@pytest.mark.parametrize(
    "named",
    [
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Request-Id",
        b"traceparent",
        b"Via",
        b"Host",
        b"Content-Length",
        b"X-Real-IP",
    ],
)
@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)], ids=["untrusted", "trusted"])
async def test_connection_cannot_strip_what_we_add(named: bytes, trusted: tuple[str, ...]) -> None:
    raw = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: %b\r\nContent-Length: 2\r\n\r\nok" % named
    (request,) = await seen(raw, trusted=trusted)
    assert request["host"] == b"a"
    assert request["x-forwarded-for"] == b"127.0.0.1"
    assert request["x-forwarded-proto"] == b"http"
    assert request["x-forwarded-host"] == b"a"
    assert len(request["x-request-id"]) == 32
    assert request["traceparent"].startswith(b"00-")
    assert request.all("via")[-1] == b"1.1 uaitools"
    assert request["content-length"] == b"2"
    assert request.body == b"ok"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/../x", b"/x"),
        (b"/a/./x", b"/a/x"),
        (b"//a///x", b"/a/x"),
        (b"/%61/%2e%2e/x", b"/x"),
        (b"/a%2fx", b"/a%2Fx"),
        (b"/a/..", b"/"),
        (b"/../../x", b"/x"),
        (b"/a?b/../c", b"/a?b/../c"),
        (b"http://a/x?y", b"/x?y"),
        (b"http://a", b"/"),
        (b"/a%20b", b"/a%20b"),
    ],
)
async def test_the_upstream_sees_the_path_that_was_matched(target: bytes, path: bytes) -> None:
    (request,) = await seen(get(b"", target))
    assert request.start == b"GET %b HTTP/1.1" % path


@pytest.mark.parametrize(
    "target",
    [
        b"/admin/../public",
        b"/admin%2f..%2fpublic",
        b"/public/../admin",
        b"/public/%2e%2e/admin",
        b"//admin",
        b"/./admin",
        b"/%61dmin",
        b"/public/..%2fadmin",
        b"/public/..;/admin",
        b"/admin/",
        b"/admin/x",
        b"/ADMIN",
    ],
)
async def test_a_path_cannot_reach_a_service_by_another_route(target: bytes) -> None:
    routes: list[dict[str, object]] = [
        {"path": "/admin", "service": "admin"},
        {"path": "/", "service": "api"},
    ]
    async with (
        answering() as upstream,
        gateway(upstream.url, routes=routes) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(get(b"", target))
        answered = await wire.message()
        wire.close()
        assert answered.status in (200, 400, 503)  # 503: the admin service has no endpoint
        for request in upstream.requests:
            assert not request.start.split(b" ")[1].startswith(b"/admin")


async def test_duplicate_requests_of_one_connection_are_counted_once_each() -> None:
    first, second = await seen(get(b"X-N: 1\r\n") + get(b"X-N: 2\r\n"), count=2)
    assert (first["x-n"], second["x-n"]) == (b"1", b"2")


async def test_content_length_zero_is_no_body() -> None:
    raw = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + get(b"", b"/y")
    first, second = await seen(raw, count=2)
    assert first["content-length"] == b"0"
    assert second.start == b"GET /y HTTP/1.1"


async def test_a_get_with_a_body_keeps_it_apart_from_the_next_request() -> None:
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    first, second = await seen(raw + get(b"", b"/y"), count=2)
    assert first.body == body
    assert second.start == b"GET /y HTTP/1.1"


async def test_chunk_extensions_and_forbidden_trailers_are_dropped() -> None:
    raw = (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n"
        b"Trailer: X-T, Content-Length, Host, X-User-Id\r\n\r\n"
        b"2;smuggled=1\r\nok\r\n0;smuggled\r\n"
        b"X-T: kept\r\nContent-Length: 666\r\nHost: smuggled\r\nX-User-Id: smuggled\r\n"
        b"X-Unannounced: smuggled\r\n\r\n"
    )
    (request,) = await seen(raw)
    assert request.body == b"ok"
    assert request.trailers == b"X-T: kept\r\n"
    assert request.all("transfer-encoding") == [b"chunked"]


@pytest.mark.parametrize("token", [b"h2c", b"TLS/1.2", b"websocket, h2c", b"smuggled"])
async def test_other_upgrades_are_dropped_and_what_follows_is_a_request(token: bytes) -> None:
    lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % token
    first, second = await seen(get(lines) + get(b"", b"/y"), count=2)
    assert "upgrade" not in first
    assert "connection" not in first
    assert second.start == b"GET /y HTTP/1.1"


async def test_h2c_prior_knowledge_behind_an_upgrade_is_refused() -> None:
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(lines) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00")
        assert (await wire.message()).status == 200
        assert (await wire.message()).status == 505
        assert await wire.rest() == b""
        wire.close()
        assert len(upstream.requests) == 1


WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("before", [b"", HEALTH], ids=["alone", "behind a native request"])
async def test_bytes_behind_a_refused_upgrade_go_nowhere(before: bytes) -> None:
    async with answering() as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(before + get(WEBSOCKET) + get(b"", b"/smuggled"))
        if before:
            assert (await wire.message()).status == 200
        answered = await wire.message()
        assert answered.status == 200
        assert answered["connection"] == b"close"
        assert await wire.rest() == b""
        wire.close()
        assert len(upstream.requests) == 1
        assert upstream.requests[0]["upgrade"] == b"websocket"
        assert b"smuggled" not in upstream.received


async def test_bytes_behind_an_upgrade_wait_for_the_101() -> None:
    switching = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    async with answering(switching) as upstream, gateway(upstream.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(WEBSOCKET) + b"early")
        assert (await wire.head()).status == 101
        await upstream.wires[0].until(lambda: upstream.received.endswith(b"\r\n\r\nearly"))
        wire.close()
        await upstream.wires[0].finish()


async def test_a_websocket_upgrade_needs_get_and_no_body() -> None:
    post = b"POST /x HTTP/1.1\r\nHost: a\r\n%bContent-Length: 2\r\n\r\nok" % WEBSOCKET
    (request,) = await seen(post)
    assert "upgrade" not in request


async def test_trusted_peers_are_believed_and_others_are_not() -> None:
    lines = (
        b"X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: public\r\nX-Request-Id: req-1\r\nX-User-Id: u1\r\n"
        b"X-Real-IP: 1.2.3.4\r\n"
    )
    (request,) = await seen(get(lines), trusted=("127.0.0.1/32",))
    assert request["x-forwarded-for"] == b"1.2.3.4, 10.0.0.1, 127.0.0.1"
    assert request["x-forwarded-proto"] == b"https"
    assert request["x-forwarded-host"] == b"public"
    assert request["x-request-id"] == b"req-1"
    assert request["x-user-id"] == b"u1"
    (request,) = await seen(get(lines), trusted=("10.0.0.0/8",))
    assert request["x-forwarded-for"] == b"127.0.0.1"
    assert request["x-forwarded-proto"] == b"http"
    assert "x-user-id" not in request


async def test_a_trusted_peer_cannot_split_the_head_by_its_request_id() -> None:
    lines = b'X-Request-Id: a"b c\r\n'
    (request,) = await seen(get(lines), trusted=("127.0.0.1/32",))
    assert len(request["x-request-id"]) == 32
