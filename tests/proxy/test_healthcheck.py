import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.peers.scripted import answer
from uaitools.proxy.config import Check
from uaitools.proxy.healthcheck import BODY_LIMIT, HealthCheck, Reading

ANY = HealthCheck("/health")
WITH_BODY = HealthCheck("/health", body=re.compile(rb"ready"))


def read(
    check: HealthCheck, data: bytes, *, ended: bool = True, piece: int = 1 << 20
) -> str | None:
    reading = Reading(check)
    for at in range(0, len(data), piece):
        reading.feed(data[at : at + piece])
    if ended:
        reading.end()
    return reading.failure


def chunked(*payloads: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


# -- what is sent ---------------------------------------------------------------------------


def test_the_request_names_the_endpoint_unless_a_host_is_given() -> None:
    assert b"\r\nHost: 127.0.0.1:9001\r\n" in ANY.request("127.0.0.1:9001")
    assert b"\r\nHost: localhost\r\n" in ANY.request("unix:/run/app.sock")
    assert b"\r\nHost: a.example\r\n" in HealthCheck("/", host="a.example").request("[::1]:80")


def test_the_request_asks_to_close() -> None:
    assert ANY.request("a").startswith(b"GET /health HTTP/1.1\r\n")
    assert b"\r\nConnection: close\r\n" in ANY.request("a")


def test_a_tcp_check_sends_nothing() -> None:
    assert HealthCheck().request("a") == b""


# -- what comes back ------------------------------------------------------------------------


@given(st.integers(200, 599), st.frozensets(st.integers(200, 599), min_size=1))
def test_exactly_the_expected_statuses_are_good(status: int, expected: frozenset[int]) -> None:
    failure = read(HealthCheck("/", statuses=expected), answer(status=b"%d Thus" % status))

    assert failure == ("" if status in expected else f"status {status}")


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "data",
    [
        answer(b"is ready now"),
        b"HTTP/1.1 200 OK\r\n\r\nready",
        chunked(b"rea", b"dy"),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"ready"),
    ],
    ids=["length", "until close", "chunked", "after an interim response"],
)
def test_an_expected_body_is_found_however_it_is_framed(data: bytes, piece: int) -> None:
    assert read(WITH_BODY, data, piece=piece) == ""


@pytest.mark.parametrize(
    "data", [answer(b"not yet"), answer(b""), chunked(b"rea", b"d"), b"HTTP/1.1 200 OK\r\n\r\nno"]
)
def test_another_body_is_a_failure(data: bytes) -> None:
    assert read(WITH_BODY, data) == "the body is not the expected one"


def test_a_body_is_looked_at_up_to_its_bound_and_no_further() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BODY_LIMIT
    just = endless[: -len(b"ready")] + b"ready"

    assert read(WITH_BODY, endless + b"ready", ended=False) == "the body is not the expected one"
    assert read(WITH_BODY, just, ended=False) == ""


def test_without_an_expected_body_the_head_decides() -> None:
    assert read(ANY, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", ended=False) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_answer_that_ends_too_early_is_a_failure(data: bytes) -> None:
    assert read(ANY, data) == "the connection ended before the answer"
    assert read(ANY, data, ended=False) is None


def test_a_body_that_ends_too_early_is_a_failure() -> None:
    assert read(WITH_BODY, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nready") != ""


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17,
    ],
)
def test_what_is_no_valid_answer_is_a_failure_at_once(data: bytes) -> None:
    assert read(ANY, data, ended=False)


def test_a_malformed_chunk_is_a_failure() -> None:
    assert read(WITH_BODY, chunked(b"ready").replace(b"5\r\n", b"+5\r\n"), ended=False)


@given(st.binary(max_size=200), st.integers(1, 50))
@settings(deadline=None)
def test_whatever_comes_ends_in_a_verdict(data: bytes, piece: int) -> None:
    for check in (ANY, WITH_BODY):
        assert read(check, b"HTTP/1.1 200 OK\r\n" + data, piece=piece) is not None


# -- the configuration ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (204, {204}),
        ("200-202", {200, 201, 202}),
        ([200, "300-301"], {200, 300, 301}),
    ],
)
def test_statuses_are_numbers_and_ranges(given: object, expected: set[int]) -> None:
    assert Check.model_validate({"http": "/", "status": given}).status == expected


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "either a path"),
        ({"http": "/", "tcp": True}, "either a path"),
        ({"tcp": True, "body": "ok"}, "needs http"),
        ({"http": "health"}, "begins with '/'"),
        ({"http": "/a b"}, "begins with '/'"),
        ({"http": "/a\r\nX: y"}, "begins with '/'"),
        ({"http": "/", "host": "a\r\nX: y"}, "a name or an address"),
        ({"http": "/", "status": "ok"}, "neither a status nor a range"),
        ({"http": "/", "status": "299-200"}, "neither a status nor a range"),
        ({"http": "/", "status": True}, "neither a status nor a range"),
        ({"http": "/", "status": []}, "at least 1 item"),
        ({"http": "/", "status": [100]}, "greater than or equal to 200"),
        ({"http": "/", "body": "re:("}, "not a regular expression"),
        ({"http": "/", "body": "x" * 1025}, "at most 1024"),
        ({"http": "/", "method": "HEAD", "body": "x"}, "HEAD has no body"),
        ({"http": "/", "method": "POST"}, "Input should be"),
        ({"http": "/", "interval": 0.1}, "greater than or equal to 0.25"),
        ({"http": "/", "rise": 0}, "greater than or equal to 1"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused_with_what_is_expected(
    settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(reason)):
        Check.model_validate(settings)
