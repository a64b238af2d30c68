"""Where a call may go: microseconds of a pick and of an outcome."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from uaitools.traffic.balancing import RoundRobin
from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryBudget


def endpoints(count: int) -> list[Endpoint]:
    return [
        Endpoint(f"10.0.0.{number}:80", 1, CircuitBreaker(BreakerPolicy()), 1024)
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [2, 200])
def test_pick_while_all_are_healthy(benchmark: BenchmarkFixture, count: int) -> None:
    balancer = RoundRobin(endpoints(count))

    assert benchmark(balancer.pick, 1.0) is not None


@pytest.mark.parametrize("count", [2, 200])
def test_pick_while_one_is_ejected(benchmark: BenchmarkFixture, count: int) -> None:
    members = endpoints(count)
    members[0].breaker.eject(0.0, Cause.FAILURES, until=1e9)
    balancer = RoundRobin(members)

    assert benchmark(balancer.pick, 1.0) is not members[0]


def test_breaker_admits_and_hears_of_success(benchmark: BenchmarkFixture) -> None:
    breaker = CircuitBreaker(BreakerPolicy())

    def call() -> None:
        breaker.success(breaker.admit(1.0), 1.0)

    benchmark(call)

    assert breaker.failures == 0


def test_breaker_hears_of_failures_that_stay_below_the_ratio(benchmark: BenchmarkFixture) -> None:
    breaker = CircuitBreaker(BreakerPolicy())

    def calls() -> None:
        for _ in range(3):
            breaker.success(breaker.admit(1.0), 1.0)
        breaker.failure(breaker.admit(1.0), 1.0)

    benchmark(calls)

    assert breaker.cause is None


def test_retry_budget(benchmark: BenchmarkFixture) -> None:
    budget = RetryBudget(0.2, 0.0)

    assert benchmark(budget.take, 1.0, 100) in (True, False)
