"""Two gateways of four workers each on one Redis, under load while that freezes, dies, returns."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import orjson
import pytest

from tests.peers.gateways import eventually
from tests.peers.redis import RedisServer
from tests.proxy.program import Program
from tests.proxy.program import eventually as wait_until
from uaitools.tasks import spawn

WORKERS = 4
CLIENTS = 8  # connections to each gateway: the kernel spreads them over its workers
BURST = 40
RATE = 200
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@contextlib.contextmanager
def gateways(folder: Path, redis: RedisServer, on_error: str) -> Iterator[list[Program]]:
    """Two hosts, as far as limits can tell; the limit is their clients' common address's."""
    file = folder / "uaitools.toml"
    file.write_text(
        f"""
        redis_url = "{redis.url}"
        [limits]
        on_error = "{on_error}"
        timeout = 0.2
        probe = 0.2
        [proxy]
        workers = {WORKERS}
        rate_limit = {{ rate = "{RATE}/s", burst = {BURST} }}
        [[proxy.routes]]
        path = "/"
        respond = {{ status = 200, body = "passed" }}
        """
    )
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Program("--config", str(file))) for _ in range(2)]


class Load:
    """Clients of one gateway, each of which asks again as soon as it is answered."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.statuses: Counter[int] = Counter()
        self._address = address
        self._ending = False
        self._clients: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = [spawn(self._client(), name="client") for _ in range(CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._clients)

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        while not self._ending:
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            self.statuses[int(head[9:12])] += 1
            await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()


async def passes(*loads: Load) -> None:
    """Wait until each gateway has admitted a request more."""
    before = [load.statuses[200] for load in loads]
    await eventually(
        lambda: all(now.statuses[200] > then for now, then in zip(loads, before, strict=True))
    )


async def address(program: Program) -> tuple[str, int]:
    """Where a gateway listens, once it does."""
    return await asyncio.to_thread(lambda: program.address)


def until_redis_is_missed(program: Program) -> None:
    """Each worker finds out by itself, and any of them may answer."""

    def missed() -> bool:
        _, body = program.request("GET", "/health")
        return bool(orjson.loads(body)["dependencies"]["redis"] == "unhealthy")

    wait_until(missed)


@pytest.mark.parametrize("fault", ["none", "freezes", "is slow"])
async def test_no_more_than_the_limit_passes(
    tmp_path: Path, redis: RedisServer, fault: str
) -> None:
    with gateways(tmp_path, redis, "closed") as (one, other):
        addresses = [await address(program) for program in (one, other)]
        began = time.monotonic()
        async with Load(addresses[0]) as a, Load(addresses[1]) as b:
            await passes(a, b)
            for _ in range(10):
                if fault != "none":
                    redis.freeze()
                await asyncio.sleep(0.4 if fault == "freezes" else 0.05)
                if fault != "none":
                    redis.thaw()
                await asyncio.sleep(0.05)
            await passes(a, b)
            await eventually(lambda: a.statuses[429] + b.statuses[429])
        seconds = time.monotonic() - began

    statuses = a.statuses + b.statuses
    assert BURST < statuses[200] <= BURST + RATE * seconds
    assert (statuses[503] > 0) is (fault == "freezes")
    assert statuses.keys() <= {200, 429, 503}


async def test_a_gateway_that_stood_still_itself_does_not_take_redis_for_away(
    tmp_path: Path, redis: RedisServer
) -> None:
    with gateways(tmp_path, redis, "closed") as (one, other):
        addresses = [await address(program) for program in (one, other)]
        async with Load(addresses[0]) as a, Load(addresses[1]) as b:
            await passes(a, b)
            for _ in range(10):
                one.freeze()
                await asyncio.sleep(0.3)
                one.thaw()
                await asyncio.sleep(0.05)
            await passes(a, b)

    assert (a.statuses + b.statuses).keys() == {200, 429}
    assert "redis is away" not in repr(one.lines)


async def test_without_redis_each_host_keeps_to_the_limit_and_with_it_again_both(
    tmp_path: Path, redis: RedisServer
) -> None:
    with gateways(tmp_path, redis, "local") as (one, other):
        addresses = [await address(program) for program in (one, other)]
        began = time.monotonic()
        async with Load(addresses[0]) as a, Load(addresses[1]) as b:
            await passes(a, b)
            await redis.kill()
            await asyncio.to_thread(one.logged, "redis is away")
            await asyncio.to_thread(other.logged, "redis is away")
            await asyncio.to_thread(until_redis_is_missed, one)
            await asyncio.sleep(1)
            away = a.statuses[200], b.statuses[200]
            await redis.start()
            # Each worker finds out by itself; those that nobody asks do not matter.
            await asyncio.to_thread(one.logged, "redis is back")
            await asyncio.to_thread(other.logged, "redis is back")
            await asyncio.sleep(1)
            back = a.statuses[200] + b.statuses[200]
            again = time.monotonic()
            await asyncio.sleep(2)
            passed = a.statuses[200] + b.statuses[200] - back
            ended = time.monotonic()

    for load, count in zip((a, b), away, strict=True):
        assert count > BURST
        assert load.statuses[200] <= BURST + RATE * (ended - began)
        assert load.statuses.keys() <= {200, 429}
    assert 0 < passed <= BURST + RATE * (ended - again)
