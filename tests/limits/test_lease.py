"""Leases against the real script in a real Redis, by a clock of the test's own."""

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.peers.redis import RedisServer
from uaitools.limits.lease import LIFE, Lease, Leases
from uaitools.limits.script import SCRIPT, quota_arguments, rate_arguments
from uaitools.traffic.limits import Quota, Rate
from uaitools.traffic.slots import QuotaCharge, RateCharge

TIME = "redis.call('TIME')"
SCRIPT_BY_OUR_CLOCK = SCRIPT.replace(TIME, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
START = 1_700_000_000 * 10**6  # microseconds
OFFSET = 12_345  # by which the processes' own clocks differ from the server's

RATES = st.sampled_from(
    (Rate(10, 1, 8), Rate(1000, 1, 100), Rate(30_000, 1, 50), Rate(7, 1, 3), Rate(1, 1, 1))
)
# Microseconds: within a round trip, until a bucket is full, until a lease ends.
STEPS = st.sampled_from((0, 0, 0, 1, 100_000, 800_000, LIFE // 1000 - 1, LIFE // 1000))
PROCESSES = 2


@dataclass
class Bucket:
    """A single token bucket of the same rate, charged when a call passes: the oracle."""

    rate: Rate
    tokens: Fraction = Fraction(0)
    at: int = START

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.rate.burst)

    def take(self, at: int) -> bool:
        grown = Fraction((at - self.at) * self.rate.count, self.rate.period * 10**6)
        self.tokens = min(Fraction(self.rate.burst), self.tokens + grown) - 1
        self.at = at
        return self.tokens >= 0


@dataclass
class Process:
    """One that asks for leases and spends them; an ask is sent, served and received, in turn."""

    name: str
    lease: Lease = field(default_factory=Lease)
    sent: tuple[int, tuple[str | int, ...], int] | None = None
    served: tuple[int, int, int] | None = None


def local(at: int) -> int:
    """A process's nanoseconds for the server's microseconds."""
    return (at - OFFSET) * 1000


async def run(redis: "Redis", key: str, arguments: tuple[str | int, ...], at: int) -> list[int]:
    answer: list[int] = await redis.eval(
        SCRIPT_BY_OUR_CLOCK, 1, key, *arguments, *divmod(at, 10**6)
    )
    return answer


@given(
    RATES,
    st.lists(
        st.tuples(
            st.integers(0, PROCESSES - 1),
            st.sampled_from(
                ("lease", "lease", "lease", "spend", "spend", "send", "serve", "receive", "lose")
            ),
            st.sampled_from((1, 1, 2, 200)),
            st.sampled_from((0, 5, 200)),
            STEPS,
        ),
        min_size=20,
        max_size=60,
    ),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_leases_never_let_more_pass_than_one_token_bucket(
    redis: RedisServer, rate: Rate, steps: list[tuple[int, str, int, int, int]]
) -> None:
    bucket = Bucket(rate)
    processes = [Process(f"p{number}") for number in range(PROCESSES)]
    at = START
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
        for number, what, need, extra, step in steps:
            at += step
            process = processes[number]
            lease = process.lease
            if what == "lose":
                process.sent = process.served = None  # an answer that never comes
            elif what == "spend":
                for _ in range(min(need, lease.unspent(local(at)))):
                    lease.spend()
                    assert bucket.take(at)
            if what in ("send", "lease") and process.sent is None:
                arguments = rate_arguments(
                    rate,
                    need,
                    extra,
                    process=process.name,
                    unspent=lease.unspent(local(at)),
                    life=LIFE,
                )
                process.sent = (local(at), arguments, need)
            if what in ("serve", "lease") and process.sent is not None and process.served is None:
                sent, arguments, waiting = process.sent
                granted, _, _ = await run(client, "key", arguments, at)
                for _ in range(min(granted, waiting)):
                    assert bucket.take(at)
                process.served = (sent, granted, waiting)
            if what in ("receive", "lease") and process.served is not None:
                sent, granted, waiting = process.served
                lease.grant(max(0, granted - waiting), sent, sent + LIFE, local(at))
                process.sent = process.served = None


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10), st.integers(0, 10**9))),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_granted_of_a_quota_is_never_more_than_it(
    redis: RedisServer, count: int, asks: list[tuple[int, int, int]]
) -> None:
    quota, period, at, total = (
        Quota(count, "hour"),
        (START // 10**6, START // 10**6 + 3600),
        START,
        0,
    )
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
        for need, extra, step in asks:
            at = min(at + step, START + 3600 * 10**6 - 1)
            before = count - total
            granted, wait, left = await run(
                client, "key", quota_arguments(quota, need, extra, period), at
            )
            total += granted
            assert granted >= min(need, before)
            assert left == count - total >= 0
            assert at + wait == period[1] * 10**6


async def test_who_asks_for_the_wrong_period_is_told_the_time(redis: RedisServer) -> None:
    arguments = quota_arguments(Quota(5, "hour"), 1, 0, (0, 3600))
    async with Redis.from_url(redis.url) as client:
        assert await run(client, "key", arguments, START) == [-1, START, 0]
        assert await client.dbsize() == 0


async def test_a_server_whose_clock_is_set_back_refuses_no_longer_than_a_bucket_takes(
    redis: RedisServer,
) -> None:
    arguments = rate_arguments(Rate(1, 1, 2), 2, 0, process="p", unspent=0, life=LIFE)
    async with Redis.from_url(redis.url) as client:
        assert (await run(client, "key", arguments, START))[0] == 2
        assert (await run(client, "key", arguments, START - 10**12))[:2] == [0, 10**6]


async def test_a_rate_is_granted_up_to_its_burst_and_then_as_it_refills(redis: RedisServer) -> None:
    async with Redis.from_url(redis.url) as client:

        async def ask(need: int, at: int) -> list[int]:
            rate = Rate(3, 1, 5)
            return await run(
                client,
                "key",
                rate_arguments(rate, need, 0, process="p", unspent=0, life=LIFE),
                START + at,
            )

        assert await ask(2, 0) == [2, 0, 3]
        assert await ask(9, 0) == [3, 333_334, 0]
        assert await ask(1, 333_333) == [0, 1, 0]
        assert await ask(1, 333_334) == [1, 333_334, 0]


async def test_nobody_leases_more_than_half_of_what_is_left(redis: RedisServer) -> None:
    async with Redis.from_url(redis.url) as client:
        arguments = rate_arguments(Rate(1, 60, 21), 1, 100, process="p", unspent=0, life=LIFE)

        assert (await run(client, "key", arguments, START))[0] == 1 + 10


def test_a_busy_key_leases_more_each_time_and_a_quiet_one_what_it_uses() -> None:
    charge, lease, now = RateCharge(10**6, 800 * 10**6), Lease(), 10**12
    assert lease.next_batch(charge, 64, now) == 0

    asked: list[int] = []
    for _ in range(9):
        lease.grant(asked[-1] if asked else 0, now, now + LIFE, now)
        while lease.unspent(now):
            lease.spend()
        now += 10**6
        asked.append(lease.next_batch(charge, 64, now))
    assert asked == [1, 2, 4, 8, 16, 32, 64, 64, 64]

    lease.grant(64, now, now + LIFE, now)
    for _ in range(5):
        lease.spend()
    now += LIFE
    assert lease.unspent(now) == 0
    assert lease.next_batch(charge, 64, now) == 5


def test_at_most_an_eighth_of_a_limit_is_leased() -> None:
    for charge in (RateCharge(10**6, 80 * 10**6), QuotaCharge(80, 10**15)):
        lease, now = Lease(), 10**12
        sizes = []
        for _ in range(8):
            sizes.append(lease.next_batch(charge, 1000, now))
            lease.grant(sizes[-1], now, now + LIFE, now)
            for _ in range(sizes[-1]):
                lease.spend()
        assert max(sizes) == 10


def test_leases_are_bounded_and_idle_ones_go_first() -> None:
    leases, now = Leases(limit=10), 10**12
    for number in range(5):
        leases.obtain(number, now).grant(1, now, now + LIFE, now)
    for number in range(5, 10_000):
        leases.obtain(number, now)
        assert len(leases) <= 10

    assert all(leases.get(number) is not None for number in range(5))


def test_leases_in_use_are_bounded_too() -> None:
    leases, now = Leases(limit=10), 10**12
    for number in range(1000):
        leases.obtain(number, now).grant(1, now, now + LIFE, now)

    assert len(leases) == 10
    assert leases.get(999) is not None
