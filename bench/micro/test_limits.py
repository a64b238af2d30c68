"""Limits: microseconds of a check, with the header lines of its answer."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.limits.shared import Table
from uaitools.traffic.limits import NANO, Quota, Rate
from uaitools.traffic.slots import QuotaCharge, RateCharge, fingerprint

RATE = Rate(1000, 1, 1000)
KEY = b"p=client"


@pytest.mark.parametrize("workers", [1, 4])
def test_take_from_the_table(benchmark: BenchmarkFixture, workers: int) -> None:
    table = Table(1 << 17, workers)
    table.open()
    charge = RateCharge(RATE.interval, RATE.capacity)
    times = count(NANO, 10_000_000)

    left = benchmark(lambda: table.take(charge, fingerprint(1, KEY), next(times)))

    assert left >= 0
    table.close()


def test_take_for_keys_that_never_come_again(benchmark: BenchmarkFixture) -> None:
    table = Table(1 << 17)
    charge = RateCharge(RATE.interval, RATE.capacity)
    times = count(NANO, 10_000)

    def take() -> int:
        now = next(times)
        return table.take(charge, fingerprint(1, b"p=%d" % now), now)

    assert benchmark(take) >= 0


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("number", [1, 2])
def test_check_with_headers(benchmark: BenchmarkFixture, number: int, workers: int) -> None:
    limits = Limits(LimitsConfig(), workers=workers)
    asyncio.run(limits.start())
    rules = (Limit("rate", RATE), Limit("quota", Quota(10**9, "month")))[:number]
    times = count(1000)
    keys = (KEY,) * number

    verdict = benchmark(lambda: limits.check(rules, keys, next(times) / 100))

    assert verdict is not None
    assert verdict.lines


def test_header_lines_of_a_passing_call(benchmark: BenchmarkFixture) -> None:
    limit = Limit("rate", RATE)

    assert benchmark(limit.admitted, 500_000_000, NANO).lines


def test_refusal(benchmark: BenchmarkFixture) -> None:
    limits, rules = Limits(LimitsConfig()), (Limit("rate", Rate(1, 3600, 1)),)
    limits.check(rules, (KEY,), 1.0)

    verdict = benchmark(limits.check, rules, (KEY,), 1.0)

    assert verdict is not None
    assert verdict.refused is not None


def test_quota_of_a_full_set(benchmark: BenchmarkFixture) -> None:
    table = Table(8)
    charge = QuotaCharge(10**9, 10**18)
    for number in range(100):
        table.take(charge, 8 * number + 100, NANO)

    assert benchmark(table.take, charge, 8 * 77 + 100, NANO) >= 0
