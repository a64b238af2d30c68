import pytest

from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.routing.conditions import HEADER, QUERY, Facts, Question, cookie, parameters


def head(*lines: bytes, target: bytes = b"/") -> RequestHead:
    return RequestHead(b"\r\n".join((b"GET %b HTTP/1.1" % target, b"Host: a", *lines)))


def facts(*lines: bytes, target: bytes = b"/") -> Facts:
    parsed = head(*lines, target=target)
    return Facts(parsed.lines, parsed.query)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ((b"X-Version: 2",), b"2"),
        ((b"x-vErSiOn:2",), b"2"),
        ((b"X-Version: \t 2 \t",), b"2"),
        ((b"X-Version:",), b""),
        ((b"X-Version: 1", b"Accept: */*", b"x-version: 2"), b"1, 2"),
        ((b"X-Version: A b",), b"A b"),
        ((b"X-Versions: 2", b"A-X-Version: 2", b"Y: x-version: 2"), None),
        ((b"X-Version: 2", b"Connection: X-Version"), None),
        ((b"X_Version: 2",), None),
        ((), None),
    ],
)
@pytest.mark.parametrize("more", [(), (b"Transfer-Encoding: chunked",)], ids=["usual", "walked"])
def test_a_header_has_one_value_whatever_its_name_s_case(
    lines: tuple[bytes, ...], value: bytes | None, more: tuple[bytes, ...]
) -> None:
    assert facts(*lines, *more).value(HEADER, b"x-version") == value


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"?beta=1", b"1"),
        (b"?a=2&beta=1&c", b"1"),
        (b"?beta", b""),
        (b"?beta=", b""),
        (b"?b%65ta=%31", b"1"),
        (b"?beta=a+b%2B", b"a b+"),
        (b"?beta=1&beta=2", b"1&2"),
        (b"?beta=1=2", b"1=2"),
        (b"?Beta=1", None),
        (b"?&&", None),
        (b"", None),
    ],
)
def test_a_query_parameter_is_compared_decoded(query: bytes, value: bytes | None) -> None:
    assert facts(target=b"/" + query).value(QUERY, b"beta") == value


def test_parameters_behind_the_256th_are_not_looked_at() -> None:
    assert b"beta" in parameters(b"?" + b"a&" * 255 + b"beta=1&b&c")
    assert b"beta" not in parameters(b"?" + b"a&" * 256 + b"beta=1")


def test_all_answers_that_make_no_difference_have_one_code() -> None:
    question = Question(HEADER, b"x-version", {b"1", b"2"})

    codes = [question.code(facts(b"X-Version: " + value)) for value in (b"1", b"2", b"3", b"1, 2")]
    assert len(set(codes)) == 3
    assert codes[2] == codes[3] != question.code(facts())


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ((b"Cookie: side=b; a=1",), b"b"),
        ((b"Cookie: a=1;side=b",), b"b"),
        ((b"cookie: a=1", b"COOKIE: side=b"), b"b"),
        ((b"Cookie: side=b; side=c",), b"b"),
        ((b"Cookie: side=; b=c",), None),
        ((b"Cookie: aside=b",), None),
        ((), None),
    ],
)
def test_a_cookie_is_found_among_others(lines: tuple[bytes, ...], value: bytes | None) -> None:
    assert cookie(head(*lines).lines, b"side") == value
