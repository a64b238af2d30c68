"""Limits over several machines, each a front of its own, with a real Redis between them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import partial

import pytest
from structlog.testing import capture_logs

from tests.peers.redis import RedisServer
from tests.peers.stopwatch import stopwatch
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.limits.verdict import Verdict
from uaitools.tasks import spawn
from uaitools.traffic.limits import Quota, Rate

KEY = (b"p=ann",)


@asynccontextmanager
async def front(url: str, **settings: object) -> AsyncIterator[Limits]:
    limits = Limits(LimitsConfig.model_validate(settings), redis_url=url)
    await limits.start()
    try:
        yield limits
    finally:
        await limits.stop()


async def ask(front: Limits, limits: tuple[Limit, ...], keys: tuple[bytes, ...] = KEY) -> Verdict:
    verdict = front.check(limits, keys, time.monotonic())
    return verdict if verdict is not None else await front.wait(limits, keys)


class Load:
    """Callers that ask without a pause, and the times at which their calls passed."""

    def __init__(self, fronts: list[Limits], limits: tuple[Limit, ...], tasks: int = 8) -> None:
        self.passed: list[float] = []
        self.asked = 0
        self._ended = False
        self._tasks = [
            spawn(self._call(one, limits), name="caller") for one in fronts for _ in range(tasks)
        ]

    async def _call(self, front: Limits, limits: tuple[Limit, ...]) -> None:
        while not self._ended:
            began = time.monotonic()
            verdict = await ask(front, limits, KEY * len(limits))
            self.asked += 1
            if verdict.refused is None:
                self.passed.append(began)
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what happens to Redis tells nobody
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)


def passes_at_most(passed: list[float], rate: Rate, slack: float) -> None:
    """In every window at most `burst + count * t / period`, by an independent count.

    slack: seconds between the server's charge and what a caller saw.
    """
    times = sorted(passed)
    speed = Fraction(rate.count, rate.period)
    # A token bucket over the whole run, which starts full: the same as looking at every window.
    tokens, at = Fraction(rate.burst) + Fraction(slack) * speed, times[0]
    size = tokens
    for moment in times:
        tokens = min(size, tokens + Fraction(moment - at) * speed) - 1
        at = moment
        assert tokens >= 0


async def test_two_fronts_never_pass_more_than_a_rate(redis: RedisServer) -> None:
    rate = Rate(200, 1, 100)
    limits = (Limit("r", rate),)
    async with front(redis.url) as one, front(redis.url) as two:
        load = Load([one, two], limits)
        await load.until(lambda: len(load.passed) >= 500)
        await load.end()

        passes_at_most(load.passed, rate, slack=0.05)
        assert len(load.passed) <= 100 + 200 * (load.passed[-1] - load.passed[0] + 0.05)


async def test_two_fronts_never_pass_more_than_a_quota(redis: RedisServer) -> None:
    limits = (Limit("q", Quota(1000, "month")),)
    async with front(redis.url) as one, front(redis.url) as two:
        load = Load([one, two], limits)
        await load.until(lambda: load.asked >= 4000)
        await load.end()

        # What one has leased when the other gets no more is still spent here.
        assert len(load.passed) == 1000


async def test_of_several_limits_each_holds(redis: RedisServer) -> None:
    rate = Rate(300, 1, 50)
    limits = (Limit("r", rate), Limit("q", Quota(200, "day")))
    async with front(redis.url) as one, front(redis.url) as two:
        load = Load([one, two], limits)
        # Either may be left with one lease, an eighth of the quota at most.
        await load.until(lambda: len(load.passed) >= 200 - 25)
        asked = load.asked
        await load.until(lambda: load.asked >= asked + 3000)
        await load.end()

        assert len(load.passed) <= 200
        passes_at_most(load.passed, rate, slack=0.05)


async def test_who_stays_below_the_rate_is_never_refused(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(200, 1, 50)),)
    async with front(redis.url) as one, front(redis.url) as two:
        began = time.monotonic()
        for number in range(200):
            await asyncio.sleep(began + number * 0.006 - time.monotonic())
            assert (await ask((one, two)[number % 2], limits)).refused is None


async def test_most_calls_of_a_busy_key_need_no_round_trip(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(10_000, 1, 10_000)),)
    async with front(redis.url) as one:
        for _ in range(2000):
            assert (await ask(one, limits)).refused is None

        assert one.round_trips < 2000 / 20


async def test_calls_that_wait_for_one_key_share_a_round_trip(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(1000, 60, 1000)),)
    async with front(redis.url) as one:
        verdicts = await asyncio.gather(*(ask(one, limits) for _ in range(500)))

        assert all(verdict.refused is None for verdict in verdicts)
        assert one.round_trips <= 3


async def test_calls_of_many_keys_share_a_round_trip(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(1, 60, 1)),)
    async with front(redis.url) as one:
        verdicts = await asyncio.gather(
            *(ask(one, limits, (b"p=%d" % number,)) for number in range(200))
        )

        assert all(verdict.refused is None for verdict in verdicts)
        assert one.round_trips <= 3


async def test_a_refusal_is_remembered_until_it_is_worth_asking_again(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(2, 60, 2)),)
    async with front(redis.url) as one, front(redis.url) as two:
        assert [(await ask(f, limits)).refused for f in (one, two)] == [None, None]
        verdict = await ask(one, limits)
        assert verdict.refused is limits[0]
        assert 25 < verdict.retry_after <= 30

        before = one.round_trips
        for _ in range(100):
            assert (await ask(one, limits)).refused is limits[0]
        assert one.round_trips == before


async def test_what_one_limit_refuses_is_not_charged_to_the_others(redis: RedisServer) -> None:
    wide, narrow = Limit("w", Quota(1000, "month")), Limit("n", Rate(1, 3600, 1))
    async with front(redis.url) as one, front(redis.url) as two:
        assert (await ask(one, (wide, narrow), KEY * 2)).refused is None
        for _ in range(50):
            assert (await ask(two, (wide, narrow), KEY * 2)).refused is narrow

        passed = 0
        while (await ask(two, (wide,))).refused is None:
            passed += 1
        assert passed == 999


async def test_a_refusal_that_is_remembered_costs_the_other_limits_nothing(
    redis: RedisServer,
) -> None:
    wide, narrow = Limit("w", Rate(50, 3600, 50)), Limit("n", Rate(1, 3600, 1))
    async with front(redis.url) as one, front(redis.url) as two:
        assert (await ask(one, (narrow,))).refused is None
        # Only the first of these asks Redis, for both; the others know of the narrow one.
        for _ in range(20):
            assert (await ask(two, (wide, narrow), KEY * 2)).refused is narrow

        passed = 0
        while (await ask(two, (wide,))).refused is None:
            passed += 1
        assert passed >= 49


async def test_a_client_that_leaves_while_it_waits_is_not_charged_for_good(
    redis: RedisServer,
) -> None:
    limits = (Limit("q", Quota(10, "month")),)
    async with front(redis.url) as one:
        waiting = spawn(ask(one, limits), name="leaver")
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        passed = 0
        while (await ask(one, limits)).refused is None:
            passed += 1
        assert passed == 10


async def test_no_credential_is_a_key_in_redis(redis: RedisServer) -> None:
    async with front(redis.url) as one:
        await ask(one, (Limit("r", Rate(5, 60, 5), "header:x-api-key"),), (b"h=secret-1234",))

    assert b"secret" not in await redis.command("RANDOMKEY")
    assert await redis.command("DBSIZE") == b":1\r\n"


async def test_a_key_that_says_nothing_any_more_vanishes_from_redis(redis: RedisServer) -> None:
    async with front(redis.url) as one:
        await ask(one, (Limit("r", Rate(1000, 1, 10)),))

    (time_left,) = [
        await redis.command("EVAL", "return redis.call('PTTL', redis.call('RANDOMKEY'))", "0")
    ]
    assert 0 < int(time_left[1:]) <= 1100  # a call at this rate, and a second


# -- Redis away ---------------------------------------------------------------------------------

POLICIES = ("local", "open", "closed")


def expected(policy: str, verdicts: list[Verdict]) -> None:
    """What a limit of 3 lets pass of 10 calls, on this host alone."""
    passed = [verdict for verdict in verdicts if verdict.refused is None]
    refused = [verdict for verdict in verdicts if verdict.refused is not None]
    match policy:
        case "local":
            assert (len(passed), {verdict.status for verdict in refused}) == (3, {429})
        case "open":
            assert len(passed) == 10
        case "closed":
            assert (len(refused), {verdict.status for verdict in refused}) == (10, {503})


@pytest.mark.parametrize("policy", POLICIES)
async def test_while_no_redis_listens_the_policy_decides(redis: RedisServer, policy: str) -> None:
    await redis.kill()
    limits = (Limit("r", Rate(3, 60, 3)),)
    async with front(redis.url, on_error=policy) as one:
        with capture_logs() as logged:
            expected(policy, [await ask(one, limits) for _ in range(10)])

        assert [line["event"] for line in logged] == ["redis is away"]
        assert not one.dependencies["redis"]


@pytest.mark.parametrize("policy", POLICIES)
async def test_while_redis_hangs_nobody_waits_longer_than_the_timeout_and_then_nobody_waits(
    redis: RedisServer, policy: str
) -> None:
    limits = (Limit("r", Rate(3, 60, 3)),)
    async with front(redis.url, on_error=policy, timeout=0.2) as one:
        assert (await ask(one, (Limit("other", Rate(3, 60, 3)),))).refused is None
        redis.freeze()
        began = time.monotonic()
        with stopwatch() as watch:
            verdicts = await asyncio.gather(*(ask(one, limits) for _ in range(5)))
        assert time.monotonic() - began > 0.15
        assert watch.seconds < 0.6

        with stopwatch() as watch:
            verdicts += [await ask(one, limits) for _ in range(5)]
        assert watch.seconds < 0.1
        expected(policy, verdicts)
        redis.thaw()


async def test_no_more_than_10_000_calls_wait_for_redis(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(100_000, 1, 100_000)),)
    async with front(redis.url, timeout=10) as one:
        redis.freeze()
        calls = [spawn(ask(one, limits), name="caller") for _ in range(10_050)]
        await asyncio.sleep(0)
        redis.thaw()
        verdicts = await asyncio.gather(*calls)

        refused = [verdict for verdict in verdicts if verdict.refused is not None]
        assert len(refused) == 50
        assert refused[0].retry_after == 1


async def test_redis_is_probed_at_a_bounded_rate_and_taken_back(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(1000, 1, 1000)),)
    async with front(redis.url, probe=0.2) as one:
        await ask(one, limits)
        await redis.kill()
        with capture_logs() as logged:
            load = Load([one], limits, tasks=4)
            await load.until(lambda: not one.dependencies["redis"])
            tries, began = one.round_trips, time.monotonic()
            asked = load.asked
            await load.until(lambda: load.asked > asked + 500 and time.monotonic() > began + 0.5)
            assert one.round_trips - tries <= 1 + (time.monotonic() - began) / 0.2
            await redis.start()
            await load.until(lambda: one.dependencies["redis"])
            await load.end()

        assert [line["event"] for line in logged] == ["redis is away", "redis is back"]


async def test_a_redis_that_forgot_the_script_is_told_it_again(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(1, 60, 1)),)
    async with front(redis.url) as one:
        assert (await ask(one, limits, (b"p=1",))).refused is None
        await redis.command("SCRIPT", "FLUSH")

        assert (await ask(one, limits, (b"p=2",))).refused is None
        assert (await ask(one, limits, (b"p=2",))).refused is limits[0]
        assert one.dependencies["redis"]


async def test_a_redis_that_takes_no_writes_counts_as_away(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(3, 60, 3)),)
    async with front(redis.url, probe=0.05) as one:
        await redis.command("REPLICAOF", "127.0.0.1", "1")
        expected("local", [await ask(one, limits) for _ in range(10)])
        assert not one.dependencies["redis"]

        await redis.command("REPLICAOF", "NO", "ONE")
        load = Load([one], limits, tasks=1)
        await load.until(lambda: one.dependencies["redis"])
        await load.end()


async def test_no_host_passes_more_than_the_limit_whatever_happens_to_redis(
    redis: RedisServer,
) -> None:
    rate = Rate(200, 1, 50)
    limits = (Limit("r", rate), Limit("q", Quota(100_000, "month")))
    async with front(redis.url, probe=0.05, timeout=0.1) as one:
        load = Load([one], limits)
        await load.until(lambda: len(load.passed) >= 100)
        for _ in range(2):
            redis.freeze()
            await load.until(lambda: not one.dependencies["redis"])
            redis.thaw()
            await load.until(lambda: one.dependencies["redis"])
            await redis.command("CLIENT", "PAUSE", "60", "ALL")  # slower, but not too slow
            await redis.command("DEBUG", "SLEEP", "0.05")
            await redis.kill()
            await load.until(lambda: not one.dependencies["redis"])
            await redis.start()  # empty: it knows nothing of what was used
            await load.until(lambda: one.dependencies["redis"])
            passed = len(load.passed)
            await load.until(lambda: len(load.passed) > passed + 100)  # noqa: B023
        await load.end()

        passes_at_most(load.passed, rate, slack=0.15)


async def test_two_hosts_pass_twice_the_limit_at_most_while_redis_is_away(
    redis: RedisServer,
) -> None:
    limits = (Limit("q", Quota(100, "month")),)
    async with front(redis.url) as one, front(redis.url) as two:
        assert (await ask(one, limits)).refused is None
        await redis.kill()
        load = Load([one, two], limits)
        await load.until(lambda: load.asked >= 2000)
        await load.end()

        assert 100 <= len(load.passed) + 1 <= 200


async def test_who_waits_when_it_ends_is_decided_here(redis: RedisServer) -> None:
    limits = (Limit("r", Rate(3, 60, 3)),)
    async with front(redis.url, timeout=5) as one:
        redis.freeze()
        waiting = spawn(ask(one, limits), name="waiter")
        await asyncio.sleep(0.05)
    redis.thaw()

    assert (await waiting).refused is None


async def strange(junk: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A Redis whose scripts answer something else."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            words = []
            for _ in range(int((await reader.readuntil(b"\r\n"))[1:])):
                size = int((await reader.readuntil(b"\r\n"))[1:])
                words.append((await reader.readexactly(size + 2))[:-2].upper())
            match words[0]:
                case b"SCRIPT":
                    writer.write(b"$40\r\n" + b"a" * 40 + b"\r\n")
                case b"EVALSHA":
                    writer.write(junk)
                case _:
                    writer.write(b"+OK\r\n")
    writer.close()


@pytest.mark.parametrize(
    "junk",
    [
        b":5\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*3\r\n$1\r\na\r\n:1\r\n:1\r\n",
        b"*3\r\n:-1\r\n:1\r\n:1\r\n",
        b"+OK\r\n",
    ],
)
@pytest.mark.parametrize("rule", [Rate(3, 60, 3), Quota(3, "month")])
async def test_a_redis_that_answers_nonsense_counts_as_away(
    junk: bytes, rule: Rate | Quota
) -> None:
    server = await asyncio.start_server(partial(strange, junk), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    limits = (Limit("l", rule),)
    async with front(f"redis://127.0.0.1:{port}/0") as one:
        expected("local", [await ask(one, limits) for _ in range(10)])
        assert not one.dependencies["redis"]
    server.close()
    await server.wait_closed()


async def test_the_password_in_the_url_is_not_logged() -> None:
    limits = (Limit("r", Rate(3, 60, 3)),)
    with capture_logs() as logged:
        async with front("redis://:sesame@127.0.0.1:1/0") as one:
            assert (await ask(one, limits)).refused is None
            assert "sesame" not in repr(one)

    assert "sesame" not in repr(logged)


async def test_a_clock_that_is_behind_the_servers_counts_in_the_servers_period(
    redis: RedisServer,
) -> None:
    limit = Limit("q", Quota(5, "hour"))
    async with front(redis.url) as one:
        assert one._remote is not None  # noqa: SLF001 - no other way to a wrong clock
        one._remote._ahead = -7200 * 1_000_000  # noqa: SLF001
        passed = [await ask(one, (limit,)) for _ in range(6)]

    assert [verdict.refused for verdict in passed] == [None] * 5 + [limit]
    assert await redis.command("DBSIZE") == b":1\r\n"
