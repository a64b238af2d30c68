from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.traffic.breaker import Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.sticky import Session, Sessions

NOW = 1000.0
LATER = NOW + 500
WALL = 1_800_000_000
TTL = 3600
SECRET = b"s" * 32


def endpoint(address: str, *, backup: bool = False) -> Endpoint:
    return Endpoint(address, 1, CircuitBreaker(), 10, backup=backup)


A = "10.1.2.3:9001"


def sessions(*members: Endpoint, secret: bytes = SECRET, service: str = "chat") -> Sessions:
    return Sessions(secret, service, TTL, members)


def kept(made: Sessions, token: bytes, wall: int = WALL, now: float = NOW) -> Endpoint | None:
    session = made.read(token)
    return None if session is None else made.endpoint(session, wall, now)


# -- tokens -------------------------------------------------------------------------------------


def test_a_token_leads_back_to_its_endpoint() -> None:
    a, b = endpoint(A), endpoint("10.1.2.4:9001")
    made = sessions(a, b)

    assert kept(made, made.write(a, WALL)) is a
    assert kept(made, made.write(b, WALL)) is b


def test_it_holds_in_another_process_with_the_same_secret_and_other_endpoints() -> None:
    token = sessions(endpoint(A)).write(endpoint(A), WALL)
    again = endpoint(A)

    assert kept(sessions(endpoint("10.1.2.9:1"), again), token) is again


def test_it_tells_nothing_of_the_address_and_differs_by_service_and_secret() -> None:
    a = endpoint(A)
    tokens = [
        sessions(a).write(a, WALL),
        sessions(a, service="memory").write(a, WALL),
        sessions(a, secret=b"t" * 32).write(a, WALL),
    ]
    names = {urlsafe_b64decode(token)[:9] for token in tokens}

    assert len(names) == 3
    for token in tokens:
        assert A.encode() not in urlsafe_b64decode(token)
        assert b"9001" not in token


@pytest.mark.parametrize(
    "other", [{"secret": b"t" * 32}, {"service": "memory"}], ids=["secret", "service"]
)
def test_a_token_of_another_secret_or_service_is_none(other: dict[str, object]) -> None:
    a = endpoint(A)
    token = Sessions(**{"secret": SECRET, "service": "chat", **other}, ttl=TTL, endpoints=[a])  # type: ignore[arg-type]

    assert sessions(a).read(token.write(a, WALL)) is None


@given(st.integers(0, 39), st.integers(1, 63))
def test_no_digit_of_a_token_can_be_changed(at: int, shift: int) -> None:
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    a = endpoint(A)
    token = bytearray(sessions(a).write(a, WALL))
    token[at] = digits[(digits.index(token[at]) + shift) % 64]

    assert sessions(a).read(bytes(token)) is None


@given(st.binary(max_size=60))
def test_what_is_no_token_is_none(raw: bytes) -> None:
    made = sessions(endpoint(A))

    assert made.read(raw) is None
    assert made.read(urlsafe_b64encode(raw)) is None


def test_a_token_expires_and_one_for_longer_than_the_ttl_does_not_count() -> None:
    a = endpoint(A)
    made = sessions(a)
    token = made.write(a, WALL)

    assert kept(made, token, WALL + TTL - 1) is a
    assert kept(made, token, WALL + TTL) is None
    assert kept(made, token, WALL - 1) is None, "the ttl was shortened, or the clock set back"


def test_a_token_is_renewed_when_half_of_its_time_has_gone() -> None:
    a, b = endpoint(A), endpoint("10.1.2.4:9001")
    made = sessions(a, b)
    session = made.read(made.write(a, WALL))
    assert session is not None

    assert made.is_fresh(session, a, WALL + TTL // 2)
    assert not made.is_fresh(session, a, WALL + TTL // 2 + 1)
    assert not made.is_fresh(session, b, WALL), "it names another endpoint"


def test_what_it_shows_of_itself_has_no_secret() -> None:
    assert repr(sessions(endpoint(A))) == "<Sessions endpoints=1 ttl=3600>"


# -- when a session is kept ---------------------------------------------------------------------


def session_at(member: Endpoint, made: Sessions) -> Session:
    session = made.read(made.write(member, WALL))
    assert session is not None
    return session


def test_a_session_moves_while_its_endpoint_is_ejected_probing_full_or_gone() -> None:
    a = endpoint(A)
    made = sessions(a)
    session = session_at(a, made)

    a.in_flight = 10
    assert made.endpoint(session, WALL, NOW) is None
    a.in_flight = 0
    a.breaker.eject(NOW, Cause.CHECK, LATER)
    assert made.endpoint(session, WALL, NOW) is None
    assert made.endpoint(session, WALL, LATER) is None, "the probe is the balancer's to give"
    ticket = a.breaker.admit(LATER)
    assert made.endpoint(session, WALL, LATER) is None
    a.breaker.success(ticket, LATER)
    assert made.endpoint(session, WALL, LATER) is a, "ramping up"
    assert sessions(endpoint("other:1")).endpoint(session, WALL, NOW) is None


def test_weight_zero_keeps_sessions() -> None:
    a = endpoint(A)
    made = sessions(a)
    session = session_at(a, made)
    a.weight = 0

    assert made.endpoint(session, WALL, NOW) is a


def test_a_session_at_a_backup_goes_back_when_a_primary_is_available() -> None:
    a, b = endpoint(A), endpoint("10.1.2.4:9001", backup=True)
    made = sessions(a, b)
    session = session_at(b, made)

    a.breaker.eject(NOW, Cause.CONNECT, LATER)
    assert made.endpoint(session, WALL, NOW) is b
    assert made.endpoint(session, WALL, LATER) is None
