"""Upstreams that fail and clients that vanish, at every stage.

Each time: what the client sees, that the next request works, that the pool counts the
connections there are, and (by the fixture) that no task and no socket is left.
"""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from tests.peers.gateways import eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, Script, Scripted, answer, answering, upstream
from tests.peers.wire import Wire, connect
from uaitools.proxy.gateway import Gateway
from uaitools.tasks import spawn

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
BODY_HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"
QUICK = {"timeouts": {"connect": 0.3, "first_byte": 0.4, "between_bytes": 0.4}}

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def then_good(bad: Script) -> Script:
    """The first request meets `bad`, each later connection is served."""
    wires: list[Wire] = []

    async def script(wire: Wire) -> None:
        wires.append(wire)
        if wire is wires[0]:
            await bad(wire)
            return
        while not wire.ended:
            await wire.message()
            wire.send(OK)

    return script


async def works_on(proxy: Gateway, server: Scripted) -> None:
    """The next request is served, by a connection that never met the fault."""
    wire = await connect(proxy.address.port)
    wire.send(NEXT)
    assert (await wire.message()).body == b"ok"
    wire.close()
    assert b"/next" not in server.wires[0].received
    pool = pool_of(proxy)
    await eventually(lambda: pool.open == len(pool.idle) == server.open == 1)
    await eventually(lambda: len(proxy.clients) == 0)
    assert pool.endpoint.in_flight == 0
    assert len(pool.waiters) == 0


def part(sent: bytes, end: str) -> Script:
    """Reads the head, sends `sent`, and then does `end`."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(sent)
        await wire.flush()
        if end == "fin":
            wire.send_eof()
        elif end == "close":
            wire.close()
        elif end == "reset":
            # What was sent has to be read before the reset destroys it.
            if sent and b"\r\n\r\n" in sent:
                await client_of(wire).until(lambda: b"\r\n\r\n" in client_of(wire).received)
            wire.reset()
        await wire.rest()

    return script


_clients: dict[str, Wire] = {}


def client_of(_wire: Wire) -> Wire:
    return _clients["now"]


# -- response-queue poisoning -------------------------------------------------------------------

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


async def test_bytes_that_come_while_a_request_is_on_its_way_out_are_not_its_answer() -> None:
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(NEXT)
        assert (await wire.message()).body == b"ok"
        await eventually(lambda: len(pool_of(proxy).idle) == 1)

        # Both reach the gateway in one turn of the loop, the request first.
        wire.send(GET)
        server.wires[0].send(POISON)
        answered = await wire.message()

        assert (answered.status, answered.body) == (200, b"ok")
        assert b"GET /x" not in server.wires[0].received, "it never went out on that connection"
        assert service_of(proxy).errors == {"unasked": 1}
        wire.close()
        await eventually(lambda: server.open == pool_of(proxy).open == 1)


@pytest.mark.parametrize("first", ["upstream", "client"])
async def test_a_request_that_meets_a_connection_as_it_closes_is_sent_on_another(
    first: str,
) -> None:
    """Even a POST: it cannot have been acted on."""
    async with answering() as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(NEXT)
        assert (await wire.message()).body == b"ok"
        await eventually(lambda: len(pool_of(proxy).idle) == 1)

        if first == "client":
            wire.send(POST)
        server.wires[0].send_fin()
        if first == "upstream":
            wire.send(POST)

        assert (await wire.message()).body == b"ok"
        assert len(server.requests) == 2
        assert service_of(proxy).errors == {}
        wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


# -- upstreams ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["fin", "close", "reset", "hang"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_an_upstream_that_ends_before_its_head_is_a_502_or_504(sent: bytes, end: str) -> None:
    async with (
        upstream(then_good(part(sent, end))) as server,
        gateway(server.url, service=QUICK) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        answered = await wire.message()
        assert answered.status == (504 if end == "hang" else 502)
        assert "connection" not in answered, "the client's own connection is good"
        wire.close()
        await works_on(proxy, server)
        assert sum(service_of(proxy).errors.values()) == 1


@pytest.mark.parametrize("end", ["fin", "close", "reset", "hang"])
@pytest.mark.parametrize(
    "sent",
    [LENGTH, LENGTH + b"x" * 99, CHUNKED, CHUNKED + b"5\r\nabc", CHUNKED + b"3\r\nabc\r\n"],
    ids=["length", "length and part", "chunked", "chunked and part", "chunked without last"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_an_upstream_that_ends_within_its_body_resets_the_client(
    sent: bytes, end: str, version: bytes
) -> None:
    async with (
        upstream(then_good(part(sent, end))) as server,
        gateway(server.url, service=QUICK) as proxy,
    ):
        wire = _clients["now"] = await connect(proxy.address.port)
        wire.send(GET.replace(b"1.1", version))
        assert (await wire.head()).status == 200
        await wire.finish()
        assert wire.was_reset
        await works_on(proxy, server)
        assert sum(service_of(proxy).errors.values()) == 1


@pytest.mark.parametrize("end", ["reset", "hang"])
async def test_a_body_until_close_that_does_not_close_cleanly_resets_the_client(end: str) -> None:
    async with (
        upstream(then_good(part(CLOSE + b"part", end))) as server,
        gateway(server.url, service=QUICK) as proxy,
    ):
        wire = _clients["now"] = await connect(proxy.address.port)
        wire.send(GET.replace(b"1.1", b"1.0"))
        assert (await wire.head()).status == 200
        await wire.finish()
        assert wire.was_reset, "else the part would look like the whole"
        await works_on(proxy, server)


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_upstream_that_ends_within_the_request_body_is_a_502(end: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.read(1000)
        wire.reset() if end == "reset" else wire.close()

    async with upstream(then_good(script)) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(BODY_HEAD + b"x" * 2000)
        answered = await wire.message()
        assert answered.status == 502
        wire.close()
        await works_on(proxy, server)


async def test_an_upstream_that_does_not_read_the_body_is_a_504_and_holds_the_client() -> None:
    async def script(wire: Wire) -> None:
        wire.transport.pause_reading()
        await wire.until(lambda: wire.lost)

    size = 50_000_000
    async with (
        upstream(then_good(script)) as server,
        gateway(server.url, service=QUICK, client={"body": 60}) as proxy,
    ):
        first = await server_ready(server, proxy, size)
        answered = await first.message()
        assert answered.status == 504
        # What the kernels hold is sent; the rest never left the client.
        assert first.transport.get_write_buffer_size() > size // 4
        first.reset()
        server.wires[0].transport.resume_reading()
        await works_on(proxy, server)


async def server_ready(server: Scripted, proxy: Gateway, size: int) -> Wire:
    wire = await connect(proxy.address.port)
    wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    await server.accepted()
    wire.send(b"x" * size)
    return wire


async def test_an_early_answer_until_close_ends_though_the_upstream_reads_no_more() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.transport.pause_reading()
        wire.send(CLOSE + b"early")
        await _clients["now"].until(lambda: b"early" in _clients["now"].received)
        wire.send_eof()
        await wire.until(lambda: wire.lost)

    async with upstream(then_good(script)) as server, gateway(server.url) as proxy:
        wire = _clients["now"] = await connect(proxy.address.port)
        wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        await server.accepted()
        wire.send(b"x" * 20_000_000)
        answered = await wire.message()
        assert answered.body == b"early"
        wire.reset()
        server.wires[0].transport.resume_reading()
        await works_on(proxy, server)


async def test_an_upstream_that_accepts_and_resets_is_a_502_not_a_loop() -> None:
    async def script(wire: Wire) -> None:
        wire.reset()

    async with upstream(script) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        assert (await wire.message()).status == 502
        wire.close()
        assert len(server.wires) <= 2
        await eventually(lambda: pool_of(proxy).open == 0)


async def test_an_upstream_that_accepts_and_closes_at_once_is_a_502_not_a_loop() -> None:
    async def script(wire: Wire) -> None:
        wire.close()

    async with upstream(script) as server, gateway(server.url) as proxy:
        for _ in range(2):
            wire = await connect(proxy.address.port)
            wire.send(GET)
            assert (await wire.message()).status == 502
            wire.close()
        assert len(server.wires) <= 3
        await eventually(lambda: pool_of(proxy).open == 0)


# -- clients --------------------------------------------------------------------------------

Vanish = Callable[[Wire], None]


def closes(wire: Wire) -> None:
    wire.close()


def resets(wire: Wire) -> None:
    wire.reset()


LEAVING = pytest.mark.parametrize("leave", [closes, resets])


async def served_next(wire: Wire) -> None:
    """Serves, and hangs on `/x` until the gateway closes."""
    while not wire.ended:
        request = await wire.head()
        if b"/next" not in request.start:
            await wire.rest()
            return
        wire.send(OK)


async def nothing_is_left(proxy: Gateway, server: Scripted) -> None:
    pool = pool_of(proxy)
    await eventually(lambda: len(proxy.clients) == 0)
    await eventually(lambda: server.open == 0 and pool.open == 0)
    assert pool.endpoint.in_flight == 0
    wire = await connect(proxy.address.port)
    wire.send(NEXT)
    assert (await wire.message()).body == b"ok"
    wire.close()


@LEAVING
async def test_a_client_that_leaves_within_its_head(leave: Vanish) -> None:
    async with upstream(served_next) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET[:-2])
        await eventually(lambda: len(proxy.clients) == 1)
        leave(wire)
        await nothing_is_left(proxy, server)


@LEAVING
async def test_a_client_that_leaves_within_its_body_cancels_the_upstream(leave: Vanish) -> None:
    async with upstream(served_next) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(BODY_HEAD + b"x" * 1000)
        seen = await server.accepted()
        await seen.until(lambda: seen.received.endswith(b"x" * 1000))
        leave(wire)
        await nothing_is_left(proxy, server)
        assert len(seen.received) < 3000


async def test_a_client_that_resets_while_it_waits_cancels_the_upstream() -> None:
    async with upstream(served_next) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        seen = await server.accepted()
        await seen.until(lambda: seen.received.endswith(b"\r\n\r\n"))
        wire.reset()
        await nothing_is_left(proxy, server)


async def test_a_client_that_closes_while_it_waits_cancels_the_upstream() -> None:
    async with upstream(served_next) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        seen = await server.accepted()
        await seen.until(lambda: seen.received.endswith(b"\r\n\r\n"))
        wire.close()
        await nothing_is_left(proxy, server)
        (counted,) = [series for _, series in proxy.requests.items()]
        assert counted.statuses == {499: 1, 200: 1}


async def test_a_client_that_may_half_close_is_found_out_when_the_answer_comes() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.send(CHUNKED)
        while not wire.ended:
            wire.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.001)
        await wire.rest()

    async with (
        upstream(then_good(script)) as server,
        gateway(server.url, client={"half_close": True}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await server.accepted()
        wire.close()
        await wire.finish()
        gate.set()
        await server.wires[0].finish()
        await works_on(proxy, server)


@LEAVING
@pytest.mark.parametrize("sent", [LENGTH + b"x", CHUNKED + b"1\r\nx\r\n", CLOSE + b"x"])
async def test_a_client_that_leaves_within_the_answer_cancels_the_upstream(
    leave: Vanish, sent: bytes
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(sent)
        while not wire.ended:
            wire.send(b"1\r\nx\r\n" if b"chunked" in sent else b"")
            await asyncio.sleep(0.001)

    async with upstream(then_good(script)) as server, gateway(server.url, service=QUICK) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await wire.head()
        leave(wire)
        await server.wires[0].finish()
        await works_on(proxy, server)


@LEAVING
async def test_a_client_that_leaves_while_it_does_not_read_costs_no_memory_afterwards(
    leave: Vanish,
) -> None:
    body = b"x" * 20_000_000

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(body))
        await wire.rest()

    async with (
        upstream(then_good(script)) as server,
        gateway(server.url, client={"write": 0.5}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.transport.pause_reading()
        wire.send(GET)
        seen = await server.accepted()
        await eventually(lambda: seen.transport.get_write_buffer_size() > 0)
        leave(wire)
        await seen.finish()
        await works_on(proxy, server)


async def test_a_client_that_leaves_between_pipelined_requests() -> None:
    async with upstream(served_next) as server, gateway(server.url) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(NEXT * 100)
        await wire.message()
        wire.reset()
        await eventually(lambda: len(proxy.clients) == 0)
        pool = pool_of(proxy)
        await eventually(lambda: pool.open == server.open == len(pool.idle))
        assert pool.endpoint.in_flight == 0


async def test_a_client_that_leaves_while_a_retry_is_due() -> None:
    async def busy(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            wire.send(answer(status=b"503 Busy"))
            gone.set()

    gone = asyncio.Event()
    settings = {"retry": {"tries": 10, "budget": 1.0}}
    async with upstream(busy) as server, gateway(server.url, service=settings) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await gone.wait()
        wire.reset()
        await eventually(lambda: len(proxy.clients) == 0)
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)
        assert pool_of(proxy).open == server.open


# -- slow clients ---------------------------------------------------------------------------

SLOW = {"header": 0.4, "body": 0.4, "idle": 0.4, "write": 0.4}


async def others_are_served(proxy: Gateway, until: Coroutine[object, object, object]) -> None:
    """Another client is answered all the time while `until` is awaited."""
    waiting = spawn(until, name="slow client")
    wire = await connect(proxy.address.port)
    while not waiting.done():
        wire.send(NEXT)
        assert (await wire.message()).status == 200
        await asyncio.sleep(0.001)
    wire.close()
    await waiting


@pytest.mark.parametrize("dribble", [False, True])
async def test_a_head_that_does_not_come_in_time_is_a_408(*, dribble: bool) -> None:
    async def slow() -> None:
        wire = await connect(proxy.address.port)
        wire.send(b"GET /x HTTP/1.1\r\n")
        while dribble and not wire.received:
            wire.send(b"X-A: b\r\n")
            await asyncio.sleep(0.02)
        assert (await wire.message()).status == 408
        await wire.rest()
        wire.close()

    async with upstream(served_next) as server, gateway(server.url, client=SLOW) as proxy:
        await others_are_served(proxy, slow())
        assert b"/x" not in server.received


async def test_a_body_that_does_not_go_on_is_a_408_and_its_upstream_is_cancelled() -> None:
    async def slow() -> None:
        wire = await connect(proxy.address.port)
        wire.send(BODY_HEAD + b"x" * 10)
        assert (await wire.message()).status == 408
        await wire.rest()
        wire.close()

    async with upstream(served_next) as server, gateway(server.url, client=SLOW) as proxy:
        await others_are_served(proxy, slow())
        await eventually(lambda: pool_of(proxy).open == server.open == 1)


async def test_a_body_that_comes_slowly_but_steadily_is_served() -> None:
    async with (
        upstream(echo_length) as server,
        gateway(
            server.url, client={**SLOW, "body": 1}, service={"timeouts": {"first_byte": 0.3}}
        ) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0.3)  # longer than the upstream has for its first byte
            wire.send(b"x")
        answered = await wire.message()
        assert (answered.status, answered.body) == (200, b"5")
        wire.close()


async def echo_length(wire: Wire) -> None:
    while not wire.ended:
        request = await wire.message()
        wire.send(answer(b"%d" % len(request.body)))


async def test_an_idle_client_is_closed_without_a_word() -> None:
    async with upstream(served_next) as server, gateway(server.url, client=SLOW) as proxy:
        fresh, used = [await connect(proxy.address.port) for _ in range(2)]
        used.send(NEXT)
        await used.message()
        for wire in (fresh, used):
            assert await wire.rest() == b""
            assert not wire.was_reset
            wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


async def test_a_client_that_does_not_read_is_cut_off_and_a_slow_one_is_not() -> None:
    body = b"x" * 8_000_000

    async def script(wire: Wire) -> None:
        while not wire.ended:
            await wire.head()
            wire.send(answer(body))

    async with (
        upstream(script) as server,
        gateway(server.url, client={**SLOW, "write": 0.6}) as proxy,
    ):
        stuck, slow = [await connect(proxy.address.port) for _ in range(2)]
        for wire in (stuck, slow):
            wire.transport.pause_reading()
            wire.send(GET)
        started = asyncio.get_running_loop().time()
        while len(slow.received) < len(body):
            slow.transport.resume_reading()
            await asyncio.sleep(0.01)
            if len(slow.received) < len(body) // 2:
                slow.transport.pause_reading()
                await asyncio.sleep(0.2)
            if asyncio.get_running_loop().time() - started > 10:
                break
        assert len(slow.received) > len(body)
        slow.close()
        await eventually(lambda: len(proxy.clients) == 0)
        stuck.transport.resume_reading()
        await stuck.finish()
        assert stuck.was_reset
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)


async def test_a_client_that_sends_on_but_does_not_read_an_early_answer_is_cut_off() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(b"x" * 8_000_000))
        await wire.rest()

    async with (
        upstream(script) as server,
        gateway(server.url, client={**SLOW, "body": 60}) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.transport.pause_reading()
        wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(0.2)  # by now the answer is stuck
        wire.send(b"b")
        await eventually(lambda: len(proxy.clients) == 0)
        wire.transport.resume_reading()
        await wire.finish()
        assert wire.was_reset
        await eventually(lambda: pool_of(proxy).open == server.open == 0)


async def test_too_many_connections_are_refused_with_503() -> None:
    async with (
        upstream(served_next) as server,
        gateway(server.url, client={"connections": 2}) as proxy,
    ):
        clients = [await connect(proxy.address.port) for _ in range(2)]
        for wire in clients:
            wire.send(NEXT)
            assert (await wire.message()).status == 200
        third = await connect(proxy.address.port)
        assert (await third.message()).status == 503
        third.close()
        for wire in clients:
            wire.send(NEXT)
            assert (await wire.message()).status == 200
            wire.close()
        await eventually(lambda: len(proxy.clients) == 0)


# -- the end of the gateway -----------------------------------------------------------------


async def test_stopping_ends_every_connection_on_both_sides() -> None:
    async with upstream(served_next) as server:
        async with gateway(server.url) as proxy:
            clients = [await connect(proxy.address.port) for _ in range(4)]
            clients[0].send(GET)
            clients[1].send(BODY_HEAD + b"x")
            clients[2].send(NEXT)
            await clients[2].message()
            await server.accepted(3)
        for wire in clients:
            await wire.finish()
        await eventually(lambda: server.open == 0)


async def test_draining_finishes_what_is_under_way_and_says_close() -> None:
    gate = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await gate.wait()
        wire.send(OK)
        await wire.rest()

    async with upstream(script) as server, gateway(server.url) as proxy:
        busy, idle = [await connect(proxy.address.port) for _ in range(2)]
        busy.send(GET)
        await server.accepted()
        await eventually(lambda: len(proxy.clients) == 2)
        draining = spawn(proxy.drain(asyncio.get_running_loop().time() + 5), name="drain")
        assert await idle.rest() == b""
        idle.close()
        gate.set()
        answered = await busy.message()
        assert (answered.body, answered["connection"]) == (b"ok", b"close")
        assert await busy.rest() == b""
        busy.close()
        await draining
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset
            await (await connect(proxy.address.port)).message()


async def test_the_buffer_budget_cuts_off_who_holds_most() -> None:
    body = b"x" * 3_000_000

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(answer(body))
        await wire.rest()

    async with upstream(script) as server, gateway(server.url, client={"buffer": 1 << 20}) as proxy:
        clients = [await connect(proxy.address.port) for _ in range(30)]
        for wire in clients:
            wire.transport.pause_reading()
            wire.send(GET)
        await eventually(lambda: len(proxy.clients) < 30)
        await eventually(
            lambda: (
                pool_of(proxy).open == pool_of(proxy).endpoint.in_flight + len(pool_of(proxy).idle)
            )
        )
        assert pool_of(proxy).endpoint.in_flight <= len(proxy.clients)
        for wire in clients:
            wire.reset()
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)
        await eventually(lambda: server.open == pool_of(proxy).open)
