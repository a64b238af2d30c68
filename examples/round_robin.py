"""The balancer alone: smooth weighted round robin over endpoints that may be ejected."""

from collections import Counter

from uaitools.proxy import BreakerPolicy, CircuitBreaker, Endpoint, RoundRobin


def main() -> None:
    """Weights 5, 1, 1 interleave; an ejected endpoint gets nothing."""
    endpoints = [
        Endpoint(name, weight, CircuitBreaker(BreakerPolicy(failures=1)), max_requests=100)
        for name, weight in (("a", 5), ("b", 1), ("c", 1))
    ]
    balancer = RoundRobin(endpoints)
    picks = [balancer.pick(now=0.0) for _ in range(7)]
    print(" ".join(pick.address for pick in picks if pick))

    worst = endpoints[0].breaker
    worst.failure(worst.admit(0.0), 0.0)
    balancer.refresh()
    counts = Counter(pick.address for _ in range(100) if (pick := balancer.pick(now=1.0)))
    print(dict(counts))


if __name__ == "__main__":
    main()
