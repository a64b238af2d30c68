import time
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.cookies import cookie, set_cookie, without_cookie

HEAD = b"GET /cookie:uai=x HTTP/1.1\r\nHost: a\r\nX-Cookie: uai=no"
OCTETS = "!#$%&'()*+-./0123456789:<=>?@AZ[]^_`az{|}~"


@pytest.mark.parametrize(
    "lines",
    [
        b"\r\nCookie: uai=v1",
        b"\r\ncookie:uai=v1\r\nAccept: */*",
        b"\r\nCOOKIE: a=b; uai=v1; c=d",
        b"\r\nCookie: a=b;uai=v1;",
        b"\r\nCookie: a=b\r\nCookie: uai=v1",
        b'\r\nCookie: uai="v1"',
        b"\r\nCookie: \t uai = v1 \t; uaix=v2; xuai=v3; UAI=v4; noequals",
    ],
)
def test_a_cookie_is_found_by_its_name(lines: bytes) -> None:
    assert cookie(HEAD + lines, b"uai") == b"v1"


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\r\nCookie: uai",
        b"\r\nCookie: a=uai=v1",
        b"\r\nCookie: Uai=v1",
        b"\r\nCookie: uai=v1; uai=v1",
        b"\r\nCookie: uai=v1\r\nCookie: uai=v2",
        b"\r\nCookie: uai=v 1",
        b'\r\nCookie: uai="v1',
        b'\r\nCookie: uai=v"1',
        b"\r\nCookie: uai=v,1",
        b"\r\nCookie: uai=v\\1",
        b"\r\nCookie: uai=v\xe9",
        b"\r\nCookie: uai=v\t1",
        b"\r\nSet-Cookie: uai=v1",
        b"\r\nCookie2: uai=v1",
    ],
)
def test_what_is_missing_doubled_or_malformed_is_none(lines: bytes) -> None:
    assert cookie(HEAD + lines, b"uai") is None


@given(
    st.dictionaries(
        st.text("abcXYZ0-_", min_size=1, max_size=6), st.text(OCTETS, max_size=12), max_size=6
    )
)
def test_it_reads_what_the_standard_library_writes(values: dict[str, str]) -> None:
    line = "; ".join(f"{name}={value}" for name, value in values.items())

    for name in [*values, "missing"]:
        expected = values.get(name)
        found = cookie(b"\r\nCookie: " + line.encode(), name.encode())
        assert found == (None if expected is None else expected.encode())


@pytest.mark.parametrize(
    "hostile",
    [b"; " * 8000, b"uai=" * 4000, b"=" * 16000, b" " * 16000, b";uai" * 4000],
    ids=["semicolons", "names", "equals", "spaces", "pairs"],
)
def test_the_longest_head_is_read_in_no_time(hostile: bytes) -> None:
    begun = time.process_time()
    cookie(b"\r\nCookie: " + hostile, b"uai")

    assert time.process_time() - begun < 0.05


def test_a_cookie_is_set_for_no_script_and_no_other_site() -> None:
    line = set_cookie(b"uai", b"v1", 60, secure=False)

    assert line == b"Set-Cookie: uai=v1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax\r\n"
    assert set_cookie(b"uai", b"v1", 60, secure=True).endswith(b"; SameSite=Lax; Secure\r\n")
    morsel = SimpleCookie(line.decode().partition(": ")[2])["uai"]
    assert (morsel.value, morsel["path"], morsel["max-age"]) == ("v1", "/", "60")


def test_only_the_line_that_sets_the_cookie_is_taken_out() -> None:
    others = [b"Set-Cookie: uaix=1\r\n", b"Vary: Origin\r\n", b"Set-Cookie: x=uai=1\r\n"]
    lines = others[0] + set_cookie(b"uai", b"v", 1, secure=True) + others[1] + others[2]

    assert without_cookie(lines, b"uai") == b"".join(others)
    assert without_cookie(b"", b"uai") == b""
