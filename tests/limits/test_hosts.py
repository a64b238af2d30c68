"""Two hosts of four worker processes each, on one Redis."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.peers.redis import RedisServer
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.tasks import spawn
from uaitools.traffic.limits import Quota, Rate

# The runner has threads, none of which hold what the children need (Python 3.12 warns of it).
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

HOSTS = 2
WORKERS = 4
SECONDS = 1.0


def run_workers(url: str, limits: tuple[Limit, ...]) -> tuple[int, int, float]:
    """Have all workers of all hosts call for a second: calls passed, calls made, seconds."""
    ends: list[tuple[int, int]] = []
    began = time.monotonic()
    for _ in range(HOSTS):
        host = Limits(LimitsConfig(slots=64), redis_url=url, workers=WORKERS)
        ends += [_forked(lambda host=host: _call(host, limits)) for _ in range(WORKERS)]  # type: ignore[misc]
    passed = made = 0
    for child, pipe in ends:
        with os.fdopen(pipe) as text:
            counts = text.read().split()
        assert os.waitpid(child, 0)[1] == 0
        passed, made = passed + int(counts[0]), made + int(counts[1])
    return passed, made, time.monotonic() - began


def _forked(work: Callable[[], str]) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            os.write(writing, work().encode())
            status = 0
        os._exit(status)
    os.close(writing)
    return child, reading


def _call(host: Limits, limits: tuple[Limit, ...]) -> str:
    counts = [0, 0]
    keys = (b"p=ann",) * len(limits)

    async def caller(until: float) -> None:
        while (now := time.monotonic()) < until:
            verdict = host.check(limits, keys, now) or await host.wait(limits, keys)
            counts[0] += verdict.refused is None
            counts[1] += 1
            await asyncio.sleep(0)

    async def callers() -> None:
        await host.start()
        until = time.monotonic() + SECONDS
        await asyncio.gather(*(spawn(caller(until), name="caller") for _ in range(4)))
        await host.stop()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(callers())
    return f"{counts[0]} {counts[1]}"


def test_every_worker_has_a_name_of_its_own_in_redis() -> None:
    host = Limits(LimitsConfig(slots=64), redis_url="redis://127.0.0.1:1", workers=WORKERS)

    def name() -> str:
        asyncio.run(host.start())
        assert host._remote is not None  # noqa: SLF001 - leases are told apart by it
        return host._remote._process  # noqa: SLF001

    names = set()
    for child, pipe in [_forked(name) for _ in range(WORKERS)]:
        with os.fdopen(pipe) as text:
            names.add(text.read())
        assert os.waitpid(child, 0)[1] == 0
    assert len(names - {""}) == WORKERS


def test_no_more_than_a_quota_passes(redis: RedisServer) -> None:
    passed, made, _ = run_workers(redis.url, (Limit("q", Quota(2000, "month")),))

    assert made > 2000
    # A process may be left with the one lease that it has not spent.
    assert 2000 - HOSTS * WORKERS * 100 <= passed <= 2000


def test_no_more_than_a_rate_passes(redis: RedisServer) -> None:
    passed, made, seconds = run_workers(redis.url, (Limit("r", Rate(1000, 1, 500)),))

    assert passed < made
    assert 500 < passed <= 500 + 1000 * seconds


def test_no_more_than_the_strictest_of_several_passes(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(1000, 1, 500)), Limit("q", Quota(300, "month"), "address"))
    passed, made, _ = run_workers(redis.url, limits)

    assert passed < made
    assert passed <= 300
