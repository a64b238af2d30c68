from email.utils import formatdate
from time import asctime, gmtime, strftime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.http1.response import parse_response
from uaitools.proxy.http1.retry_after import retry_after

NOW = 1_700_000_000.0
FORMS = {
    "IMF-fixdate": lambda at: formatdate(at, usegmt=True),
    "RFC 850": lambda at: strftime("%A, %d-%b-%y %H:%M:%S GMT", gmtime(at)),
    "asctime": lambda at: asctime(gmtime(at)),
}


def said(*values: bytes, name: bytes = b"Retry-After") -> float | None:
    lines = b"".join(b"\r\n" + name + b": " + value for value in values)
    head = parse_response(b"HTTP/1.1 503 Busy\r\nServer: a" + lines + b"\r\nContent-Length: 0")
    return retry_after(head.start, NOW)


@given(st.integers(0, 999_999_999))
def test_seconds_are_read_as_they_stand(seconds: int) -> None:
    assert said(b"%d" % seconds) == seconds


@pytest.mark.parametrize("form", FORMS)
@given(at=st.integers(0, 2_000_000_000))
def test_a_date_in_each_form_of_rfc_9110_is_the_time_until_then(form: str, at: int) -> None:
    assert said(FORMS[form](at).encode()) == max(0.0, at - NOW)


@pytest.mark.parametrize("name", [b"retry-after", b"RETRY-AFTER", b"Retry-after"])
def test_the_name_is_read_in_any_case(name: bytes) -> None:
    assert said(b"7", name=name) == 7


def test_of_several_the_longest_counts() -> None:
    assert said(b"1", b"9", b"no") == 9


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"-1", b"+1", b"1.5", b"0x5", b"1_0", b"1 s", b"soon", b"9" * 10, b"1, 2"),
        b"Tue, 14 Nov 2023 22:13:20",
        b"Tue, 14 Nov 2023 22:13:20 +0100",
        b"Tue, 14 Nov 2023 25:13:20 GMT",
        b"Tue, 00 Nov 2023 22:13:20 GMT",
        b"Sat, 01 Jan 0000 00:00:00 GMT",
        b"tue, 14 nov 2023 22:13:20 gmt",
        "Tue, 14 Nov 202３ 22:13:20 GMT".encode(),  # noqa: RUF001 - a digit of another script
    ],
)
def test_what_is_no_valid_value_says_nothing(value: bytes) -> None:
    assert said(value) is None


@given(st.binary(max_size=60))
def test_no_line_whatever_it_holds_makes_it_fail(value: bytes) -> None:
    wait = retry_after(b"HTTP/1.1 503 Busy\r\nRetry-After: " + value + b"\r\n", NOW)

    assert wait is None or wait >= 0


def test_a_response_without_the_field_says_nothing() -> None:
    assert said() is None
