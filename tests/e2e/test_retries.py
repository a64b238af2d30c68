"""Answers after which a request is sent again: which statuses, when, and where."""

import time
from email.utils import formatdate

import pytest

from tests.peers.gateways import ask, config, eventually, gateway, pool_of, service_of
from tests.peers.scripted import OK, answer, answering
from tests.peers.wire import connect
from uaitools.proxy.gateway import Gateway

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
KEYED = POST.replace(b"\r\n\r\n", b"\r\nIdempotency-Key: 1\r\n\r\n")


def busy(status: int, retry_after: str = "") -> bytes:
    line = f"Retry-After: {retry_after}\r\n".encode() if retry_after else b""
    return answer(b"busy", b"%d Busy" % status, line)


def retry(**settings: object) -> dict[str, object]:
    return {"retry": {"tries": 2, **settings}}


def idle(proxy: Gateway) -> bool:
    """Nothing is under way anywhere, and nothing is counted as if it were."""
    return all(
        pool.endpoint.in_flight == 0 and not pool.waiters and pool.open == len(pool.idle)
        for pool in service_of(proxy).pools.values()
    )


@pytest.mark.parametrize("status", [429, 500, 404])
async def test_any_status_that_the_policy_names_is_tried_elsewhere(status: int) -> None:
    async with (
        answering(busy(status)) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(statuses=[status])) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"
        assert (len(one.requests), len(two.requests)) == (1, 1)
        assert service_of(proxy).retries == 1
        await eventually(lambda: idle(proxy))


async def test_a_4xx_that_is_tried_elsewhere_is_no_failure_of_the_endpoint() -> None:
    async with (
        answering(busy(429)) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(statuses=[429])) as proxy,
    ):
        await ask(proxy)
        breaker = pool_of(proxy).endpoint.breaker
        assert (breaker.successes, breaker.failures) == (1, 0)
        assert service_of(proxy).errors == {}


async def test_without_statuses_every_answer_stands_and_connect_errors_are_still_tried() -> None:
    async with (
        answering(busy(503)) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(statuses=[])) as proxy,
    ):
        assert (await ask(proxy)).status == 503
        assert two.requests == []
        await one.stop()
        for _ in range(2):
            assert (await ask(proxy)).status == 200


async def test_a_reload_changes_the_statuses() -> None:
    async with (
        answering(busy(503)) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(statuses=[])) as proxy,
    ):
        assert (await ask(proxy)).status == 503
        await proxy.reload(config(one.url, two.url, service=retry(statuses=[503])))
        assert (await ask(proxy)).status == 200
        assert (await ask(proxy)).status == 200


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_within_max_delay_is_waited_for(form: str) -> None:
    async with (
        answering(busy(503, "1") if form == "seconds" else b"") as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(max_delay=5)) as proxy,
    ):
        if form == "date":
            one.answers = [busy(503, formatdate(time.time() + 2, usegmt=True))]
        began = time.monotonic()
        assert (await ask(proxy)).body == b"ok"
        assert time.monotonic() - began >= 0.9
        assert len(two.requests) == 1
        await eventually(lambda: idle(proxy))


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_beyond_max_delay_is_relayed_at_once(form: str) -> None:
    value = "3" if form == "seconds" else formatdate(time.time() + 60, usegmt=True)
    async with (
        answering(busy(503, value)) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(max_delay=2)) as proxy,
    ):
        answered = await ask(proxy)
        assert (answered.status, answered.body) == (503, b"busy")
        assert answered["retry-after"] == value.encode(), "the client may come back then"
        assert two.requests == []
        assert service_of(proxy).retries == 0


async def test_retry_after_is_not_read_where_the_policy_says_so() -> None:
    async with (
        answering(busy(503, "3600")) as one,
        answering() as two,
        gateway(one.url, two.url, service=retry(respect_retry_after=False)) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"
        assert len(two.requests) == 1


async def test_an_endpoint_that_is_the_only_one_is_asked_again_when_it_said_when() -> None:
    async with (
        answering(busy(503, "0"), OK) as server,
        gateway(server.url, service=retry()) as proxy,
    ):
        assert (await ask(proxy)).body == b"ok"
        assert len(server.requests) == 2
        assert len(server.wires) == 1


async def test_an_endpoint_that_is_the_only_one_is_not_asked_again_otherwise() -> None:
    async with (
        answering(busy(503), OK) as server,
        gateway(server.url, service=retry()) as proxy,
    ):
        assert (await ask(proxy)).status == 503
        assert len(server.requests) == 1


@pytest.mark.parametrize("raw", [GET, KEYED], ids=["GET", "keyed POST"])
async def test_a_request_with_its_body_is_sent_whole_after_the_wait(raw: bytes) -> None:
    async with (
        answering(busy(429, "0"), OK) as server,
        gateway(server.url, service=retry(statuses=[429])) as proxy,
    ):
        assert (await ask(proxy, raw)).body == b"ok"
        assert [request.body for request in server.requests] == [raw.partition(b"\r\n\r\n")[2]] * 2


async def test_a_post_is_not_sent_again_whenever_it_is_asked_for() -> None:
    async with (
        answering(busy(503, "0"), OK) as server,
        gateway(server.url, service=retry()) as proxy,
    ):
        assert (await ask(proxy, POST)).status == 503
        assert len(server.requests) == 1


async def test_who_leaves_during_the_wait_leaves_nothing_behind() -> None:
    async with (
        answering(busy(503, "2")) as server,
        gateway(server.url, service=retry()) as proxy,
    ):
        wire = await connect(proxy.address.port)
        wire.send(GET)
        await eventually(lambda: len(server.requests) == 1)
        await eventually(lambda: pool_of(proxy).endpoint.in_flight == 0)
        wire.reset()
        await eventually(lambda: len(proxy.clients) == 0)
        assert idle(proxy)
        assert len(server.requests) == 1
