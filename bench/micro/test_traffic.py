"""Where a call may go: microseconds of a pick and of an outcome."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from uaitools.traffic.balancing import BALANCERS, Ewma, make_balancer
from uaitools.traffic.balancing.ring import Ring, hashed
from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryBudget
from uaitools.traffic.sticky import Sessions

KEY = 0x9E3779B97F4A7C15


def endpoints(count: int) -> list[Endpoint]:
    return [
        Endpoint(f"10.0.0.{number}:80", 1, CircuitBreaker(BreakerPolicy()), 1024)
        for number in range(count)
    ]


every_policy = pytest.mark.parametrize("policy", BALANCERS)


@every_policy
@pytest.mark.parametrize("count", [2, 10, 200])
def test_pick_while_all_are_healthy(benchmark: BenchmarkFixture, policy: str, count: int) -> None:
    members = endpoints(count)
    for member in members:
        member.in_flight = 2  # consistent hashing has to look at its bound
        member.latency = 0.01
    balancer = make_balancer(policy, 10.0, members)

    assert benchmark(balancer.pick, 1.0, (), KEY) is not None


@every_policy
@pytest.mark.parametrize("count", [2, 10, 200])
def test_pick_while_one_is_ejected(benchmark: BenchmarkFixture, policy: str, count: int) -> None:
    members = endpoints(count)
    members[0].breaker.eject(0.0, Cause.FAILURES, until=1e9)
    balancer = make_balancer(policy, 10.0, members)

    assert benchmark(balancer.pick, 1.0, (), KEY) is not members[0]


def test_ewma_hears_of_an_answer(benchmark: BenchmarkFixture) -> None:
    (member,) = endpoints(1)
    ewma = Ewma([member])

    benchmark(lambda: ewma.observe(member, 0.01, 1.0, failed=False))

    assert member.latency == 0.01


@pytest.mark.parametrize("count", [3, 10, 200])
def test_ring_is_built(benchmark: BenchmarkFixture, count: int) -> None:
    members = endpoints(count)

    assert benchmark(Ring, members).made_of(members)


def test_address_is_hashed(benchmark: BenchmarkFixture) -> None:
    assert benchmark(hashed, b"203.0.113.77") < 1 << 64


def test_session_is_read(benchmark: BenchmarkFixture) -> None:
    members = endpoints(3)
    sessions = Sessions(b"s" * 32, "chat", 3600, members)

    assert benchmark(sessions.read, sessions.write(members[1], 0)) is not None


def test_session_is_found_at_its_endpoint(benchmark: BenchmarkFixture) -> None:
    members = endpoints(3)
    sessions = Sessions(b"s" * 32, "chat", 3600, members)
    session = sessions.read(sessions.write(members[1], 0))
    assert session is not None

    assert benchmark(sessions.endpoint, session, 1, 1.0) is members[1]


def test_session_is_written(benchmark: BenchmarkFixture) -> None:
    members = endpoints(3)
    sessions = Sessions(b"s" * 32, "chat", 3600, members)

    assert len(benchmark(sessions.write, members[1], 1)) == 40


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
