"""The circuit breaker alone, around any call: time is an argument, so nothing here waits."""

from uaitools.proxy import BreakerPolicy, CircuitBreaker


def main() -> None:
    """Five failures eject; ten seconds later one probe goes through; then the share ramps up."""
    breaker = CircuitBreaker(BreakerPolicy(failures=5, eject=10, ramp=10), jitter=lambda: 0.5)
    now = 0.0
    for _ in range(5):
        ticket = breaker.admit(now)
        breaker.failure(ticket, now)
    print(now, breaker.state.value, breaker.share(now))

    now = 10.0
    ticket = breaker.admit(now)
    print(now, breaker.state.value, breaker.share(now))
    breaker.success(ticket, now)

    for now in (15.0, 20.0):
        print(now, breaker.state.value, breaker.share(now))
    print(now, breaker.state.value)


if __name__ == "__main__":
    main()
