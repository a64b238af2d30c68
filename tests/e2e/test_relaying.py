"""Messages are relayed as HTTP/1.1 says, whatever shape they have; raw peers on both sides."""

import asyncio

import orjson
import pytest

from tests.peers.gateways import SERVICE, eventually, gateway, pool_of, steady
from tests.peers.scripted import OK, answer, answering, upstream
from tests.peers.wire import Message, Wire, connect

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
NO_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def get(target: bytes = b"/x", lines: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"GET %b HTTP/%b\r\nHost: a\r\n%b\r\n" % (target, version, lines)


def post(body: bytes, lines: bytes = b"", target: bytes = b"/x") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n%b" % (
        target,
        len(body),
        lines,
        body,
    )


async def once(raw: bytes, served: bytes, to: str = "GET") -> tuple[Message, Message]:
    """What the upstream saw and what the client got of one exchange."""
    async with answering(served) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(raw)
        answered = await wire.message(to=to)
        wire.close()
        return server.requests[0], answered


async def seen(wire: Wire, data: bytes, times: int = 1) -> None:
    """Wait until `data` has arrived so often."""
    await wire.until(lambda: wire.received.count(data) >= times)


# -- bodies of responses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"5"),
        (CHUNKED + b"\r\n", None),
        (NO_LENGTH, None),
    ],
    ids=["length", "chunked", "neither"],
)
async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(
    served: bytes, length: bytes | None
) -> None:
    async with answering(served, answer()) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        for _ in range(2):
            wire.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
            answered = await wire.message(to="HEAD")
            assert answered.status == 200
            assert wire.unread == b""
        first = server.wires[0]
        assert first.received.count(b"HEAD /x") == 2, "the upstream connection is used again"
        wire.send(get())
        assert (await wire.message()).body == b"ok"
        wire.close()
    if length is not None:
        assert b"Content-Length: " + length in wire.received


@pytest.mark.parametrize(
    "served",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_204_and_304_have_no_body_and_both_connections_go_on(served: bytes) -> None:
    async with answering(served, answer()) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get() + get())
        assert (await wire.message()).status == int(served[9:12])
        assert (await wire.message()).body == b"ok"
        wire.close()
        assert len(server.wires) == 1


@pytest.mark.parametrize("end", ["fin", "close header"])
async def test_a_response_without_length_ends_with_its_connection(end: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(
            b"HTTP/1.1 200 OK\r\n%b\r\nhello " % (b"" if end == "fin" else b"Connection: close\r\n")
        )
        await client.until(lambda: b"hello" in client.received)
        wire.send(b"world")
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(get())
        answered = await client.message()
        assert answered["transfer-encoding"] == b"chunked"
        assert answered.body == b"hello world"
        client.send(HEALTH)
        assert (await client.message()).status == 200, "the client's connection goes on"
        client.close()
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_a_chunked_response_arrives_piece_by_piece() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(CHUNKED + b"\r\n")
        for number in range(5):
            wire.send(b"5\r\nevent\r\n")
            await seen(client, b"event", number + 1)
        wire.send(b"0\r\n\r\n")
        await wire.rest()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(get())
        answered = await client.message()
        assert answered.body == b"event" * 5
        client.close()
        await eventually(lambda: len(pool_of(proxy).idle) == 1)


@pytest.mark.parametrize("size", [0, 1, 65536, 300_000])
async def test_chunks_are_taken_at_any_cut(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    chunks = b"".join(
        b"%X;ext=1\r\n%b\r\n" % (len(body[i : i + 7919]), body[i : i + 7919])
        for i in range(0, size, 7919)
    )
    _, answered = await once(get(), CHUNKED + b"\r\n" + chunks + b"0\r\n\r\n")
    assert answered.body == body


async def test_event_streams_arrive_event_by_event() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(20):
            event = b"data: %d\n\n" % number
            wire.send(event)
            await seen(client, event)
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(get())
        answered = await client.message()
        assert answered.body.count(b"data: ") == 20
        client.close()


# -- interim responses ----------------------------------------------------------------------


async def test_103_is_relayed_without_hop_by_hop_and_100_is_swallowed() -> None:
    served = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-P\r\nX-P: secret\r\n"
        b"Keep-Alive: timeout=3\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n"
    )
    async with answering(served + answer()) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get())
        hints = await wire.head()
        assert hints == Message(b"HTTP/1.1 103 Early Hints", (("link", b"</a.css>"),))
        assert (await wire.head()).status == 102
        assert (await wire.message()).body == b"ok"
        wire.close()
        assert pool_of(proxy).open == 1


async def test_an_http_1_0_client_gets_no_interim_response() -> None:
    served = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + answer()
    _, answered = await once(get(version=b"1.0"), served)
    assert (answered.status, answered.body) == (200, b"ok")


async def test_after_a_relayed_103_nothing_is_sent_again() -> None:
    hinting = b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(status=b"503 Busy")
    async with (
        answering(hinting) as one,
        answering(hinting) as two,
        gateway(one.url, two.url, service={"retry": {"tries": 3}}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(get())
        assert (await wire.head()).status == 103
        assert (await wire.message()).status == 503
        wire.close()
        assert len(one.requests) + len(two.requests) == 1


# -- trailers -------------------------------------------------------------------------------


async def test_announced_trailers_of_a_response_are_relayed_to_who_accepts_them() -> None:
    served = (
        CHUNKED + b"Trailer: X-Sum, X-More\r\n\r\n2\r\nok\r\n0\r\n"
        b"X-Sum: 7\r\nX-Other: 8\r\nContent-Length: 9\r\n\r\n"
    )
    request, answered = await once(get(lines=b"TE: trailers\r\n"), served)
    assert request["te"] == b"trailers"
    assert answered["trailer"].lower() == b"x-more, x-sum"
    assert answered.trailers == b"X-Sum: 7\r\n"
    request, answered = await once(get(), served)
    assert "te" not in request
    assert "trailer" not in answered
    assert (answered.body, answered.trailers) == (b"ok", b"")


async def test_trailers_of_a_request_are_relayed_when_announced() -> None:
    raw = (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n"
    )
    request, _ = await once(raw, answer())
    assert request["trailer"] == b"x-sum"
    assert (request.body, request.trailers) == (b"ok", b"X-Sum: 7\r\n")


# -- bodies of requests ---------------------------------------------------------------------


async def test_a_chunked_request_is_chunked_again_by_us() -> None:
    raw = (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1;x=y\r\na\r\n000002\r\nbc\r\n0\r\n\r\n"
    )
    request, answered = await once(raw, answer())
    assert request.all("transfer-encoding") == [b"chunked"]
    assert request.body == b"abc"
    assert answered.status == 200


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
async def test_a_request_without_content_says_so_where_content_is_expected(method: bytes) -> None:
    request, _ = await once(b"%b /x HTTP/1.1\r\nHost: a\r\n\r\n" % method, answer())
    assert request["content-length"] == b"0"


async def test_a_body_that_comes_in_pieces_goes_on_piece_by_piece() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"abcdef")[:-6])
        upstream_wire = await server.accepted()
        for piece in (b"ab", b"c", b"def"):
            wire.send(piece)
            await seen(upstream_wire, piece)
        assert (await wire.message()).status == 200
        wire.close()
        assert server.requests[0].body == b"abcdef"


# -- Expect: 100-continue -------------------------------------------------------------------

EXPECT = b"Expect: 100-continue\r\n"


async def test_the_gateway_answers_100_when_it_has_an_upstream_and_does_not_forward_expect() -> (
    None
):
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"body", EXPECT)[:-4])
        assert (await wire.head()).start == b"HTTP/1.1 100 Continue"
        wire.send(b"body")
        assert (await wire.message()).status == 200
        wire.send(get())
        assert (await wire.message()).status == 200
        wire.close()
        assert server.requests[0].body == b"body"
        assert "expect" not in server.requests[0]


async def test_a_client_that_does_not_wait_for_100_gets_none_when_its_body_is_there() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"body", EXPECT) + get())
        assert (await wire.message()).status == 200
        assert (await wire.message()).status == 200
        wire.close()
        assert [len(r.body) for r in server.requests] == [4, 0]


async def test_100_is_sent_once_though_the_request_is_sent_twice() -> None:
    async def dies(wire: Wire) -> None:
        await wire.head()
        wire.reset()

    async with (
        upstream(dies) as bad,
        answering() as good,
        gateway(bad.url, good.url, service={"retry": {"tries": 2}}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(
            b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nIdempotency-Key: k\r\n"
            + EXPECT
            + b"\r\n"
        )
        assert (await wire.head()).status == 100
        await good.accepted()
        wire.send(b"body")
        assert (await wire.message()).status == 200
        wire.close()
        assert wire.received.count(b"100 Continue") == 1


async def test_a_final_answer_instead_of_100_closes_both_connections() -> None:
    async def refuse(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(status=b"417 No"))
        await wire.rest()

    async with upstream(refuse) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"body", EXPECT)[:-4])
        answers = [await wire.message()]
        if answers[0].status == 100:
            answers.append(await wire.message())
        assert answers[-1].status == 417
        assert answers[-1]["connection"] == b"close"
        assert await wire.rest() == b""
        wire.close()
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_a_refused_route_answers_at_once_instead_of_100_and_closes() -> None:
    routes: list[dict[str, object]] = [{"path": "/y", "service": SERVICE, "max_body": 3}]
    async with answering() as server, gateway(server.url, routes=routes) as proxy:
        for target, status in ((b"/x", 404), (b"/y", 413)):
            wire = await connect(proxy.address.port)
            wire.send(post(b"body", EXPECT, target)[:-4])
            answered = await wire.message()
            assert answered.status == status
            # The client may leave the body out, so what follows cannot be told apart from it.
            assert answered["connection"] == b"close"
            assert await wire.rest() == b""
            wire.close()
        assert server.received == b""


# -- early answers --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100_000, 10_000_000])
async def test_an_answer_before_the_body_ends_is_relayed_at_once(size: int) -> None:
    async def early(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(b"early", status=b"403 Forbidden"))
        await wire.rest()

    async with upstream(early) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"x" * size)[: -size + 10])
        answered = await wire.message()
        assert (answered.status, answered.body) == (403, b"early")
        if size <= 256 * 1024:  # the rest is read away, and the connection goes on
            wire.send(b"x" * (size - 10))
            wire.send(HEALTH)
            assert (await wire.message()).status == 200
        else:
            assert answered["connection"] == b"close"
            assert await wire.rest() == b""
        wire.close()
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_an_early_stream_and_its_request_go_on_side_by_side() -> None:
    async def echo(wire: Wire) -> None:
        await wire.head()
        wire.send(CHUNKED + b"\r\n")
        while piece := await wire.chunk():
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await wire.read_to(b"\r\n")
        wire.send(b"0\r\n\r\n")
        await wire.rest()

    async with upstream(echo) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await wire.head()).status == 200
        for word in (b"one", b"two", b"three"):
            wire.send(b"%x\r\n%b\r\n" % (len(word), word))
            assert await wire.chunk() == word
        wire.send(b"0\r\n\r\n")
        assert await wire.chunk() == b""
        assert await wire.read_to(b"\r\n") == b"\r\n"
        wire.send(HEALTH)
        assert (await wire.message()).status == 200
        wire.close()
        await eventually(lambda: len(pool_of(proxy).idle) == 1)


# -- HTTP/1.0 clients -----------------------------------------------------------------------


async def test_an_http_1_0_client_gets_an_answer_and_the_end() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(version=b"1.0"))
        answered = await wire.message()
        assert answered.body == b"ok"
        assert answered["connection"] == b"close"
        assert await wire.rest() == b""
        wire.close()


async def test_an_http_1_0_client_may_keep_its_connection() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        for _ in range(2):
            wire.send(get(version=b"1.0", lines=b"Connection: keep-alive\r\n"))
            answered = await wire.message()
            assert answered.body == b"ok"
            assert answered["connection"] == b"keep-alive"
        wire.close()
        assert server.requests[0].start == b"GET /x HTTP/1.1"


@pytest.mark.parametrize("served", [CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n", NO_LENGTH + b"ok"])
async def test_an_http_1_0_client_gets_unknown_lengths_until_close(served: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(served)
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(version=b"1.0", lines=b"Connection: keep-alive\r\n"))
        answered = await wire.message()
        assert answered.body == b"ok"
        assert "transfer-encoding" not in answered
        assert answered["connection"] == b"close"
        await wire.rest()
        wire.close()


async def test_an_http_1_0_client_without_host_is_served() -> None:
    request, answered = await once(b"GET /x HTTP/1.0\r\n\r\n", answer())
    assert answered.status == 200
    assert request.all("host") == [b"localhost"]


# -- pipelining, half-close -----------------------------------------------------------------


async def test_pipelined_requests_native_and_proxied_are_answered_in_order() -> None:
    async def slow_first(wire: Wire) -> None:
        while not wire.ended:
            request = await wire.message()
            wire.send(answer(request.start.split(b" ")[1] + request.body))

    async with upstream(slow_first) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        raw, expected = b"", []
        for number in range(40):
            target = b"/%d" % number
            kind = number % 4
            if kind == 0:
                raw += get(target)
                expected.append(target)
            elif kind == 1:
                raw += HEALTH
                expected.append(b"health")
            elif kind == 2:
                raw += post(b"body", target=target)
                expected.append(target + b"body")
            else:
                raw += (
                    b"PUT %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"1\r\nz\r\n0\r\n\r\n" % target
                )
                expected.append(target + b"z")
        wire.send(raw)
        got = []
        for _ in expected:
            answered = await wire.message()
            healthy = answered.body.startswith(b"{")
            got.append(b"health" if healthy else answered.body)
        assert got == expected
        wire.close()


@pytest.mark.parametrize("count", [1, 5, 100])
async def test_a_client_that_half_closes_gets_all_its_answers_then_the_end(count: int) -> None:
    async with (
        answering() as server,
        gateway(server.url, client={"half_close": True}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(get() * count)
        wire.send_eof()
        for _ in range(count):
            assert (await wire.message()).body == b"ok"
        await wire.finish()
        assert wire.unread == b""
        assert not wire.was_reset
        assert len(server.requests) == count


async def test_an_answer_is_not_lost_to_a_fin_that_comes_in_the_same_turn() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.send(OK)
        client.send_fin()  # the gateway reads both in one turn of the loop, this one last
        await wire.rest()

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.send(get())
        await server.accepted()
        gate.set()
        assert (await client.message()).body == b"ok"
        assert await client.rest() == b""
        client.close()


async def test_refused_requests_pipelined_behind_a_half_close_are_all_answered() -> None:
    routes: list[dict[str, object]] = [{"path": "/y", "service": SERVICE}]
    async with gateway("http://127.0.0.1:1", routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get() * 100)
        wire.send_eof()
        for _ in range(100):
            assert (await wire.message()).status == 404
        await wire.finish()


async def test_1500_requests_at_once_are_answered_over_two_upstream_connections() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send((get(lines=b"X-Pad: %b\r\n" % (b"p" * 500))) * 1500)
        for _ in range(1500):
            assert (await wire.message()).body == b"ok"
        wire.close()
        assert [wire.received.count(b"GET /x") for wire in server.wires] == [1000, 500]


async def test_requests_wait_while_their_client_does_not_read_the_answers() -> None:
    body = b"x" * 1_000_000
    async with answering(answer(body)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.transport.pause_reading()
        wire.send(get(lines=b"X-Pad: %b\r\n" % (b"p" * 2000)) * 50)
        wire.send(post(b"y" * 300_000))
        await eventually(lambda: len(server.requests) >= 1)
        wire.transport.resume_reading()
        for _ in range(51):
            assert len((await wire.message()).body) == len(body)
        wire.close()
        assert server.requests[-1].body == b"y" * 300_000


async def test_an_answer_waits_whose_client_stopped_reading_before_it_began() -> None:
    """The first answers fill the client while the next request waits for a connection."""
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        while not wire.ended:
            await wire.message()
            if len(server.wires) < 40:
                wire.send(answer(b"x" * 16_000, headers=b"Connection: close\r\n"))
                wire.send_eof()
                await wire.rest()
                return
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n")
            while sent < 64_000_000 and not wire.lost:
                wire.send(bytes(64_000))
                sent += 64_000
                await wire.until(lambda: wire.lost or not wire.transport.get_write_buffer_size())
            return

    async with upstream(script) as server, gateway(server.url) as proxy:
        client = await connect(proxy.address.port)
        client.transport.pause_reading()
        client.send(get() * 60)
        await eventually(lambda: sent or len(server.wires) < 40, patience=5)
        held = await steady(lambda: sent, every=0.2)
        assert held < 20_000_000, "the kernels hold that much, the gateway next to nothing"
        client.reset()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_what_follows_connection_close_is_not_served() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(lines=b"Connection: close\r\n") + get(b"/second"))
        answered = await wire.message()
        assert answered["connection"] == b"close"
        assert await wire.rest() == b""
        wire.close()
        assert len(server.requests) == 1


async def test_one_empty_line_before_a_request_is_skipped() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(b"\r\n" + get())
        assert (await wire.message()).status == 200
        wire.send(b"\r\n" + get())
        assert (await wire.message()).status == 200
        wire.close()


# -- what the gateway adds and answers itself -----------------------------------------------


async def test_identities_are_added_and_continued() -> None:
    request, answered = await once(get(), answer())
    identity = request["x-request-id"]
    assert answered["x-request-id"] == identity
    version, trace, span, flags = request["traceparent"].split(b"-")
    assert (version, trace, flags) == (b"00", identity, b"01")
    assert len(span) == 16
    assert request["via"] == b"1.1 uaitools"

    parent = b"traceparent: 00-%b-%b-00\r\ntracestate: a=b\r\n" % (b"a" * 32, b"b" * 16)
    request, _ = await once(get(lines=parent), answer())
    version, trace, span, flags = request["traceparent"].split(b"-")
    assert (trace, flags) == (b"a" * 32, b"00")
    assert span != b"b" * 16
    assert request["tracestate"] == b"a=b"


async def test_request_ids_differ_though_heads_are_equal() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get() * 50)
        for _ in range(50):
            await wire.message()
        wire.close()
        assert len({request["x-request-id"] for request in server.requests}) == 50
        assert len({request["traceparent"] for request in server.requests}) == 50


@pytest.mark.parametrize(
    ("rewrite", "target", "path"),
    [
        ("/memories", b"/api/memory", b"/memories"),
        ("/memories", b"/api/memory/7?q=1", b"/memories/7?q=1"),
        ("/", b"/api/memory/7", b"/7"),
        ("/", b"/api/memory", b"/"),
        (None, b"/api/memory/7", b"/api/memory/7"),
    ],
)
async def test_rewrite_replaces_the_prefix(rewrite: str | None, target: bytes, path: bytes) -> None:
    routes: list[dict[str, object]] = [
        {"path": "/api/memory", "service": SERVICE, "rewrite": rewrite}
    ]
    async with answering() as server, gateway(server.url, routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get(target))
        assert (await wire.message()).status == 200
        wire.close()
        assert server.requests[0].start == b"GET %b HTTP/1.1" % path


@pytest.mark.parametrize(
    "raw",
    [
        post(b"four"),
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfo\r\n2\r\nur\r\n",
    ],
    ids=["length", "chunked at once", "chunked unfinished"],
)
@pytest.mark.parametrize("split", [False, True])
async def test_a_body_over_max_body_is_413(raw: bytes, *, split: bool) -> None:
    routes: list[dict[str, object]] = [{"path": "/", "service": SERVICE, "max_body": 3}]
    async with answering() as server, gateway(server.url, routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        head, end, body = raw.partition(b"\r\n\r\n")
        wire.send(head + end)
        if split and b"chunked" in head:
            await server.accepted()
        wire.send(body)
        answered = await wire.message()
        assert answered.status == 413
        assert orjson.loads(answered.body)["code"] == 413
        wire.close()
        assert server.requests == []
        await eventually(lambda: pool_of(proxy).open == len(pool_of(proxy).idle))


async def test_a_body_of_max_body_passes() -> None:
    routes: list[dict[str, object]] = [{"path": "/", "service": SERVICE, "max_body": 4}]
    async with answering() as server, gateway(server.url, routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(post(b"four"))
        assert (await wire.message()).status == 200
        wire.close()


async def test_errors_of_the_gateway_have_the_house_shape() -> None:
    routes: list[dict[str, object]] = [
        {"path": "/chat", "service": SERVICE, "methods": ["POST", "GET"]},
        {"path": "/none", "service": "absent"},
    ]
    async with answering() as server, gateway(server.url, routes=routes) as proxy:
        wire = await connect(proxy.address.port)
        for raw, status, service in (
            (get(b"/nowhere"), 404, "proxy"),
            (b"DELETE /chat HTTP/1.1\r\nHost: a\r\n\r\n", 405, "proxy"),
            (get(b"/none"), 503, "absent"),
        ):
            wire.send(raw)
            answered = await wire.message()
            assert answered.status == status
            assert answered["content-type"] == b"application/json"
            assert "date" in answered
            error = orjson.loads(answered.body)
            assert error["code"] == status
            assert error["service"] == service
            assert error["request_id"].encode() == answered["x-request-id"]
            if status == 405:
                assert answered["allow"] == b"GET, HEAD, POST"
            if status == 503:
                assert "proxy.services.absent.endpoints" in error["message"]
        wire.send(b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" + get(b"/chat"))
        assert (await wire.message(to="HEAD")).status == 404
        assert (await wire.message()).status == 200
        wire.close()
        assert len(server.requests) == 1
