from uaitools.traffic.breaker import Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint


def test_the_share_is_the_weight_times_what_the_breaker_allows() -> None:
    endpoint = Endpoint("127.0.0.1:9001", 4, CircuitBreaker(), 10)
    assert endpoint.share(0.0) == 4.0

    endpoint.breaker.eject(0.0, Cause.CHECK, 5.0)
    assert endpoint.share(4.9) == 0.0
    assert not endpoint.healthy

    endpoint.breaker.success(endpoint.breaker.admit(5.0), 5.0)
    assert endpoint.share(10.0) == 2.0
    assert endpoint.share(15.0) == 4.0
    assert endpoint.healthy


def test_a_full_endpoint_has_no_share() -> None:
    endpoint = Endpoint("127.0.0.1:9001", 4, CircuitBreaker(), 2)

    endpoint.in_flight = 1
    assert endpoint.share(0.0) == 4.0
    endpoint.in_flight = 2
    assert endpoint.share(0.0) == 0.0


def test_the_repr_shows_state_and_load() -> None:
    endpoint = Endpoint("unix:/run/a.sock", 4, CircuitBreaker(), 2)

    assert repr(endpoint) == "<Endpoint unix:/run/a.sock healthy weight=4 in_flight=0>"
