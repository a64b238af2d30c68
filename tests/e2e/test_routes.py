"""What routes do beside naming a service, over real sockets: raw clients, scripted upstreams."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.peers.gateways import config, eventually, gateway
from tests.peers.scripted import OK, Answering, answer, answering
from tests.peers.wire import Message, Wire, connect
from uaitools.proxy import Gateway, ReverseProxy

CANARY = [{"service": "a", "weight": 3}, {"service": "b", "weight": 1}]


class Sides:
    """A gateway in front of two services, which answer with their names."""

    def __init__(self, running: Gateway, a: Answering, b: Answering) -> None:
        self.gateway = running
        self.port = running.address.port
        self.a = a
        self.b = b

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.a.requests), len(self.b.requests)


@contextlib.asynccontextmanager
async def sides(**route: object) -> AsyncIterator[Sides]:
    async with (
        answering(answer(b"a")) as a,
        answering(answer(b"b")) as b,
        gateway(
            services={"a": a.url, "b": b.url},
            routes=[{"path": "/", "split": CANARY, **route}],
        ) as running,
    ):
        yield Sides(running, a, b)


def get(target: str = "/x", lines: str = "", *, version: str = "1.1", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: a.org\r\n{lines}\r\n".encode()


async def ask(wire: Wire, data: bytes) -> Message:
    wire.send(data)
    return await wire.message(to=data.split(b" ")[0].decode())


async def once(data: bytes, served: bytes = OK, **route: object) -> tuple[Message, Message]:
    """What the upstream saw and what the client got of one exchange over a route."""
    async with answering(served) as server, gateway(server.url, routes=[_to(route)]) as running:
        wire = await connect(running.address.port)
        answered = await ask(wire, data)
        wire.close()
        return server.requests[0], answered


def _to(route: dict[str, object]) -> dict[str, object]:
    return {"path": "/", "service": "api", **route}


@contextlib.asynccontextmanager
async def answered_here(*routes: Mapping[str, object]) -> AsyncIterator[tuple[Gateway, Wire]]:
    """A gateway whose routes ask nobody, and a client of it."""
    async with gateway(routes=[dict(route) for route in routes]) as running:
        wire = await connect(running.address.port)
        yield running, wire
        wire.close()


async def metrics(running: Gateway) -> str:
    wire = await connect(running.address.port)
    answered = await ask(wire, get("/metrics"))
    wire.close()
    return answered.body.decode()


# -- split ----------------------------------------------------------------------------------


async def test_a_split_without_a_key_falls_by_weight_request_by_request() -> None:
    async with sides() as both:
        wire = await connect(both.port)
        for _ in range(400):
            assert (await ask(wire, get())).body in (b"a", b"b")
        wire.close()

        a, b = both.counts
        assert a + b == 400
        assert 55 < b < 145  # binomial: 100, with a standard deviation of 9


async def test_a_sticky_cookie_is_given_once_and_keeps_its_client_on_its_side() -> None:
    async with sides(sticky="cookie:side") as both:
        wire = await connect(both.port)
        found: Counter[bytes] = Counter()
        for _ in range(60):
            first = await ask(wire, get())
            found[first.body] += 1
            cookie = first["set-cookie"].decode()
            assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
            for _ in range(3):
                again = await ask(wire, get("/y", f"Cookie: x=1; {cookie.split(';')[0]}\r\n"))
                assert again.body == first.body
                assert "set-cookie" not in again
        wire.close()

        assert set(found) == {b"a", b"b"}
        assert found[b"a"] > found[b"b"]


async def test_a_sticky_header_has_one_side_on_every_gateway() -> None:
    async with sides(sticky="header:X-Tenant") as one, sides(sticky="header:x-tenant") as other:
        wires = [await connect(both.port) for both in (one, other)]
        found: Counter[bytes] = Counter()
        for tenant in range(100):
            bodies = {
                (await ask(wire, get(lines=f"X-TENANT: t{tenant}\r\n"))).body
                for wire in (*wires, *wires)
            }
            assert len(bodies) == 1
            found[bodies.pop()] += 1
        for wire in wires:
            wire.close()

        assert 8 < found[b"b"] < 45


async def test_a_sticky_address_is_the_peer_s_or_a_trusted_proxy_s_client() -> None:
    async with sides(sticky="address") as both:
        wire = await connect(both.port)
        forged = [
            (await ask(wire, get(lines=f"X-Forwarded-For: 10.0.0.{n}\r\n"))).body for n in range(20)
        ]
        assert len(set(forged)) == 1, "nobody may say that he is somebody else"
        trusting = both.gateway.config.model_copy(
            update={"trusted_proxies": config(trusted_proxies=["127.0.0.0/8"]).trusted_proxies}
        )
        await both.gateway.reload(trusting)
        for _ in range(2):
            said = [
                (await ask(wire, get(lines=f"X-Forwarded-For: 10.0.0.{n}, 10.9.9.9\r\n"))).body
                for n in range(40)
            ]
            assert set(said) == {b"a", b"b"}
        wire.close()


async def test_a_split_request_brings_its_body_and_its_chunks() -> None:
    async with sides() as both:
        wire = await connect(both.port)
        for _ in range(10):
            await ask(wire, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            wire.send(b"2\r\nbc\r\n0\r\n\r\n")
            await wire.message()
        wire.close()

        seen = [*both.a.requests, *both.b.requests]
        assert [request.body for request in seen] == [b"abc"] * 20


async def test_an_upgrade_of_a_split_route_is_a_tunnel_and_gets_its_cookie() -> None:
    switching = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    split = [{"service": "a"}]
    async with (
        answering(switching) as server,
        gateway(
            services={"a": server.url},
            routes=[{"path": "/", "split": split, "sticky": "cookie:side"}],
        ) as running,
    ):
        wire = await connect(running.address.port)
        wire.send(get(lines="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        head = await wire.head()
        assert head.status == 101
        assert head["set-cookie"].startswith(b"side=")
        wire.close()
        await eventually(lambda: not server.open)


async def test_a_side_without_endpoints_answers_in_its_name() -> None:
    route = {"path": "/", "split": [{"service": "none"}, {"service": "api", "weight": 0}]}
    async with answering() as server, gateway(server.url, routes=[route]) as running:
        wire = await connect(running.address.port)
        answered = await ask(wire, get())
        wire.close()

        assert answered.status == 503
        assert orjson.loads(answered.body)["service"] == "none"
        assert not server.requests


# -- redirects and fixed responses ----------------------------------------------------------


REDIRECT = {"path": "/", "redirect": {"to": "https://new.example{path}{query}"}}
RESPOND = {"path": "/", "respond": {"status": 410, "body": "gone for good"}}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_redirect_is_answered_here(version: str, method: str) -> None:
    async with answered_here(REDIRECT) as (_, wire):
        answered = await ask(wire, get("/a//b/../c?q=1", version=version, method=method))

        assert answered.status == 308
        assert answered["location"] == b"https://new.example/a/c?q=1"
        assert answered["content-length"] == b"0"
        assert len(answered["x-request-id"]) == 32
        assert "date" in answered
        if version == "1.0":
            assert await wire.rest() == b""
        else:
            assert (await ask(wire, get())).status == 308, "the connection goes on"


async def test_every_request_is_redirected_to_its_own_place() -> None:
    async with answered_here(
        {"path": "/old/{id}", "redirect": {"to": "/new/{id}{query}", "status": 301}},
        {"path": "/", "redirect": {"to": "https://{host}{path}"}},
    ) as (_, wire):
        for number in (1, 2, 1, 1, 2):
            answered = await ask(wire, get(f"/old/{number}?q={number}"))
            assert answered["location"] == b"/new/%d?q=%d" % (number, number)
        for host in (b"a.org", b"B.org:81", b"a.org", b"a.org", b"B.org:81"):
            answered = await ask(wire, b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            name = host.lower().partition(b":")[0]
            assert answered["location"] == b"https://%b/x" % name


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "BREW"])
async def test_a_fixed_response_is_answered_here(version: str, method: str) -> None:
    async with answered_here(RESPOND) as (_, wire):
        answered = await ask(wire, get(version=version, method=method))

        assert answered.start == b"HTTP/1.1 410 Gone"
        assert answered.body == (b"" if method == "HEAD" else b"gone for good")
        assert answered["content-length"] == b"13"
        assert answered["content-type"] == b"text/plain; charset=utf-8"
        assert len(answered["x-request-id"]) == 32


async def test_a_fixed_response_without_content_has_no_length() -> None:
    async with answered_here({"path": "/", "respond": {"status": 204}}) as (_, wire):
        for _ in range(2):
            answered = await ask(wire, get())
            assert answered.status == 204
            assert "content-length" not in answered
            assert "content-type" not in answered


async def test_a_body_that_nobody_reads_leaves_the_connection_in_order() -> None:
    async with answered_here(RESPOND) as (_, wire):
        body = b"x" * 100_000
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await wire.message()).status == 410
        assert (await ask(wire, get())).body == b"gone for good"


async def test_pipelined_answers_come_in_order() -> None:
    async with answered_here(
        RESPOND, {"path": "/b", "respond": {"body": "b"}}, {**REDIRECT, "path": "/r"}
    ) as (_, wire):
        wire.send(get() + get("/b") + get("/r") + get("/health") + get("/b"))
        answers = [await wire.message() for _ in range(5)]

        assert [answered.status for answered in answers] == [410, 200, 308, 200, 200]


async def test_a_body_over_the_limit_is_413_here_too() -> None:
    async with answered_here({**RESPOND, "max_body": 2}) as (_, wire):
        assert (await ask(wire, get(lines="Content-Length: 2\r\n") + b"ab")).status == 410
        assert (await ask(wire, get(lines="Content-Length: 3\r\n") + b"abc")).status == 413


async def test_answers_of_routes_are_counted_by_template_and_host_never_by_path() -> None:
    async with answered_here(
        {"path": "/users/{id}", "respond": {"body": "x"}},
        {"path": "/", "host": "*.a.org", "redirect": {"to": "/users/1"}},
    ) as (running, wire):
        for number in range(3):
            await ask(wire, get(f"/users/secret{number}"))
        await ask(wire, b"GET /secret HTTP/1.1\r\nHost: secret.a.org\r\n\r\n")
        text = await metrics(running)

        counted = {line for line in text.splitlines() if line.startswith("http_requests_total")}
        assert counted == {
            'http_requests_total{endpoint="/users/{id}",method="GET",status="200"} 3',
            'http_requests_total{endpoint="*.a.org/",method="GET",status="308"} 1',
        }
        assert "secret" not in text


async def test_native_paths_win_over_every_route() -> None:
    async with answered_here(
        {"path": "/{any}", "host": "a.org", "respond": {"body": "mine"}},
        {"path": "/health", "exact": True, "host": "a.org", "respond": {"body": "mine"}},
    ) as (_, wire):
        assert (await ask(wire, get("/x"))).body == b"mine"
        assert orjson.loads((await ask(wire, get("/health"))).body)["service"] == "proxy"


# -- header fields --------------------------------------------------------------------------


REQUEST = {"set": {"X-Env": "prod"}, "add": {"Accept": "text/html"}, "remove": ["Cookie"]}
RESPONSE = {"set": {"Server": "edge"}, "add": {"Vary": "Origin"}, "remove": ["X-Internal"]}
SERVED = b"Server: nginx\r\nVary: Accept\r\nX-Internal: 1\r\nETag: x\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_request_s_fields_are_edited_and_ours_stay(version: str, method: str) -> None:
    lines = "cookie: a=b\r\nx-ENV: dev\r\nAccept: */*\r\n"
    if method == "POST":
        lines += "Content-Length: 0\r\n"
    seen, _ = await once(get(lines=lines, version=version, method=method), request_headers=REQUEST)

    assert "cookie" not in seen
    assert seen["x-env"] == b"prod"
    assert seen.all("accept") == [b"*/*", b"text/html"]
    assert seen["host"] == seen["x-forwarded-host"] == b"a.org"
    assert seen["via"] == b"1.1 uaitools"
    assert ("content-length" in seen) == (method == "POST")


@pytest.mark.parametrize(
    ("served", "version", "method"),
    [
        (answer(b"body", headers=SERVED), "1.1", "GET"),
        (answer(b"body", headers=SERVED), "1.0", "GET"),
        (answer(b"", headers=SERVED), "1.1", "HEAD"),
        (b"HTTP/1.1 304 Not Modified\r\n" + SERVED + b"\r\n", "1.1", "GET"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            + SERVED
            + b"\r\n4\r\nbody\r\n0\r\n\r\n",
            "1.1",
            "GET",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            + SERVED
            + b"\r\n4\r\nbody\r\n0\r\n\r\n",
            "1.0",
            "GET",
        ),
        (answer(b"failed", b"500 Oh No", SERVED), "1.1", "GET"),
    ],
    ids=["length", "1.0", "head", "304", "chunked", "chunked for 1.0", "500"],
)
async def test_a_response_s_fields_are_edited_whatever_its_framing(
    served: bytes, version: str, method: str
) -> None:
    async with (
        answering(served) as server,
        gateway(server.url, routes=[_to({"response_headers": RESPONSE})]) as running,
    ):
        for _ in range(4):  # heads that come again are remembered
            wire = await connect(running.address.port)
            answered = await ask(wire, get(version=version, method=method))
            wire.close()
            assert answered["server"] == b"edge"
            assert answered.all("vary") == [b"Accept", b"Origin"]
            assert answered["etag"] == b"x"
            assert "x-internal" not in answered
            assert len(answered["x-request-id"]) == 32
            assert answered.start == served.split(b"\r\n")[0]
            assert answered.body in (b"body", b"failed", b"")


async def test_removed_trailers_and_interim_fields_do_not_pass() -> None:
    served = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Internal: 1\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Internal, X-Sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Internal: 1\r\nX-Sum: 2\r\n\r\n"
    )
    async with (
        answering(served) as server,
        gateway(server.url, routes=[_to({"response_headers": RESPONSE})]) as running,
    ):
        wire = await connect(running.address.port)
        wire.send(get(lines="TE: trailers\r\n"))
        early, last = await wire.head(), await wire.message()
        wire.close()

    assert early.fields == (("link", b"</a>"),)
    assert last["trailer"] == b"x-sum"
    assert last.trailers == b"X-Sum: 2\r\n"


async def test_a_route_s_fields_are_on_its_own_answers_and_not_on_errors() -> None:
    async with answered_here(
        {**RESPOND, "response_headers": {"set": {"X-A": "1", "Content-Type": "text/html"}}},
        {**REDIRECT, "path": "/r", "response_headers": {"add": {"X-A": "2"}}},
        {"path": "/s", "service": "none", "response_headers": {"set": {"X-A": "3"}}},
    ) as (_, wire):
        fixed, moved, failed = [await ask(wire, get(path)) for path in ("/", "/r", "/s")]

        assert (fixed["x-a"], fixed["content-type"]) == (b"1", b"text/html")
        assert moved["x-a"] == b"2"
        assert failed.status == 503
        assert "x-a" not in failed


async def test_the_upstream_s_host_can_be_named() -> None:
    seen, _ = await once(get(), host_header="internal:81")

    assert seen["host"] == b"internal:81"
    assert seen["x-forwarded-host"] == b"a.org"


@pytest.mark.parametrize(
    ("path", "rewrite", "target", "start"),
    [
        ("/users/{id}/p/{post}", "/v2/{post}/of/{id}", "/users/7/p/%41?q", b"GET /v2/A/of/7?q "),
        ("/u/{id}", "/v2/{id}", "/u/a%2fb", b"GET /v2/a%2Fb "),
        ("/f/{rest...}", "/{rest}", "/f/a//b/", b"GET /a/b/ "),
        ("/f/{rest...}", "/{rest}", "/f/", b"GET / "),
        ("/u/{id}", "/all", "/u/7", b"GET /all "),
    ],
)
async def test_a_template_rewrites_with_its_parameters(
    path: str, rewrite: str, target: str, start: bytes
) -> None:
    seen, _ = await once(get(target), path=path, rewrite=rewrite)

    assert seen.start == start + b"HTTP/1.1"


async def test_an_exact_route_is_rewritten_whole() -> None:
    seen, _ = await once(get("/a?q"), path="/a", exact=True, rewrite="/b/")

    assert seen.start == b"GET /b/?q HTTP/1.1"


# -- reload, and the handler ----------------------------------------------------------------


async def test_a_reload_swaps_routes_under_a_connection_that_stays() -> None:
    async with sides(sticky="header:X-Tenant") as both:
        wire = await connect(both.port)
        line = "X-Tenant: 1\r\n"
        for route, expected in (
            ({"split": [{"service": "a"}, {"service": "b", "weight": 0}]}, b"a"),
            ({"split": [{"service": "a", "weight": 0}, {"service": "b"}]}, b"b"),
            ({"respond": {"body": "fixed"}}, b"fixed"),
            ({"service": "a", "headers": {"X-Tenant": "1"}}, b"a"),
        ):
            await both.gateway.reload(
                config(
                    services={"a": both.a.url, "b": both.b.url},
                    routes=[{"path": "/", **route}],
                )
            )
            for _ in range(4):
                assert (await ask(wire, get(lines=line))).body == expected
        assert (await ask(wire, get())).status == 404
        wire.close()


async def test_the_handler_splits_redirects_and_edits_like_the_gateway() -> None:
    async with answering(answer(b"a", headers=SERVED)) as server:
        proxy = ReverseProxy(
            config=config(
                server.url,
                routes=[
                    {
                        "path": "/",
                        "split": [{"service": "api"}],
                        "sticky": "cookie:side",
                        "request_headers": REQUEST,
                        "response_headers": RESPONSE,
                    },
                    {**REDIRECT, "path": "/r"},
                ],
            )
        )
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", proxy.handle)
        app.cleanup_ctx.append(proxy.lifespan)
        async with TestClient(TestServer(app, handler_cancellation=True)) as client:
            async with client.get("/x") as answered:
                assert await answered.read() == b"a"
                assert answered.headers["Server"] == "edge"
                assert answered.headers.getall("Vary") == ["Accept", "Origin"]
                assert answered.cookies["side"].value
            async with client.get("/r?q", allow_redirects=False) as moved:
                assert moved.status == 308
                assert moved.headers["Location"] == "https://new.example/r?q"
        assert server.requests[0]["x-env"] == b"prod"


async def test_a_real_client_follows_and_keeps_its_side() -> None:
    async with sides(sticky="cookie:side") as both:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            bodies = set()
            for _ in range(10):
                async with session.get(f"http://127.0.0.1:{both.port}/") as answered:
                    bodies.add(await answered.read())
        assert len(bodies) == 1
