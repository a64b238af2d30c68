from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http1.cuts import CUTS, pieces, single_cuts
from uaitools.proxy.http1.body import (
    ChunkedBody,
    CloseBody,
    LengthBody,
    encode,
)
from uaitools.proxy.http1.grammar import FIELD_COUNT_LIMIT, HEAD_LIMIT, MessageError

MESSAGE = (
    b'5\r\nhello\r\n00A;name="a\tb";x\r\n0123456789\r\n1 ;e\r\n\r\r\n'
    b"0;last\r\nX-Sum: 7\r\nHost: evil\r\n\r\nGET /next HTTP/1.1\r\n\r\n"
)


@dataclass(frozen=True)
class Outcome:
    """What became of a message: its payload, trailers and what followed, or why it was refused."""

    payload: bytes = b""
    trailers: tuple[bytes, ...] = ()
    rest: bytes = b""
    done: bool = False
    error: str | None = None


def decoded(parts: Sequence[bytes], body: ChunkedBody | LengthBody | None = None) -> Outcome:
    """Feed a body piece by piece; when it is done, what has not been fed yet follows it."""
    body = body or ChunkedBody(400)
    payload = b""
    for index, part in enumerate(parts):
        if body.done:
            return _end(body, payload, b"".join(parts[index:]))
        try:
            payload += body.feed(part)
        except MessageError as error:
            return Outcome(error=str(error))
    return _end(body, payload, b"")


def _end(body: ChunkedBody | LengthBody, payload: bytes, unfed: bytes) -> Outcome:
    fields = body.trailers if isinstance(body, ChunkedBody) else ()
    return Outcome(payload, tuple(field.line for field in fields), body.rest + unfed, body.done)


def refused(message: bytes) -> int:
    """The status with which a chunked body is refused, whole or byte by byte."""
    codes = set()
    for parts in ([message], [message[i : i + 1] for i in range(len(message))]):
        body = ChunkedBody(400)
        with pytest.raises(MessageError) as caught:
            b"".join(map(body.feed, parts))
        codes.add(caught.value.code)
    assert len(codes) == 1
    return int(codes.pop())


@st.composite
def chunked_messages(draw: st.DrawFn) -> bytes:
    """A chunked body as peers may write it, with whatever follows it on the connection."""
    message = b""
    for payload in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        size = b"%x" % len(payload)
        size = draw(st.sampled_from((size, size.upper(), size.zfill(13))))
        message += size + draw(_EXTENSIONS) + b"\r\n" + payload + b"\r\n"
    message += draw(st.sampled_from((b"0", b"000"))) + draw(_EXTENSIONS) + b"\r\n"
    message += b"".join(draw(st.lists(_TRAILERS, max_size=3))) + b"\r\n"
    return message + draw(st.sampled_from((b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n")))


_EXTENSIONS = st.sampled_from((b"", b"", b";a", b' ;a="\xff\t"', b"\t;;", b";" + b"x" * 200))
_TRAILERS = st.sampled_from(
    (b"X-Sum: 7\r\n", b"x-b:\t\r\n", b"Content-Length: 5\r\n", b"X_A: 1\r\n", b"Host: a\r\n")
)


@st.composite
def broken_messages(draw: st.DrawFn) -> bytes:
    """A chunked message with one place changed; some are whole all the same."""
    message = draw(chunked_messages())
    at = draw(st.integers(0, len(message)))
    splice = st.sampled_from((b"\r", b"\n", b"\r\n", b" ", b"\x00", b"0", b"f", b"+", b"_", b";"))
    return message[:at] + draw(splice) + message[at + draw(st.integers(0, 2)) :]


# -- Content-Length -----------------------------------------------------------------------------


@given(st.binary(max_size=40), st.binary(max_size=10), CUTS)
@settings(deadline=None)
def test_a_body_with_length_ends_at_its_length_however_it_is_cut(
    payload: bytes, following: bytes, cuts: list[int]
) -> None:
    parts = pieces(payload + following, cuts)

    outcome = decoded(parts, LengthBody(len(payload)))

    assert outcome == Outcome(payload, (), following, done=True)


def test_a_body_of_no_length_is_done_at_once() -> None:
    assert LengthBody(0).done


def test_a_body_that_is_short_is_not_done() -> None:
    body = LengthBody(5)

    assert body.feed(b"abc") == b"abc"
    assert not body.done
    assert body.remaining == 2


def test_a_body_until_close_is_all_that_comes() -> None:
    body = CloseBody()

    assert body.feed(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert not body.done


# -- chunked ------------------------------------------------------------------------------------


def test_chunks_trailers_and_what_follows_are_told_apart() -> None:
    assert decoded([MESSAGE]) == Outcome(
        b"hello0123456789\r", (b"X-Sum: 7",), b"GET /next HTTP/1.1\r\n\r\n", done=True
    )


def test_a_chunked_message_reads_the_same_wherever_it_is_cut() -> None:
    whole = decoded([MESSAGE])

    for parts in single_cuts(MESSAGE):
        assert decoded(parts) == whole


@given(chunked_messages(), CUTS)
@settings(deadline=None, max_examples=100)
def test_every_chunked_message_reads_the_same_at_every_cut(message: bytes, cuts: list[int]) -> None:
    whole = decoded([message])

    assert whole.done
    assert decoded(pieces(message, cuts)) == whole
    for parts in single_cuts(message):
        assert decoded(parts) == whole


@given(broken_messages(), CUTS)
@settings(deadline=None, max_examples=100)
def test_a_broken_message_meets_the_same_error_at_every_cut(
    message: bytes, cuts: list[int]
) -> None:
    whole = decoded([message])

    assert decoded(pieces(message, cuts)) == whole
    for parts in single_cuts(message):
        assert decoded(parts) == whole


@given(st.lists(st.binary(min_size=1, max_size=50)), st.binary(max_size=9), CUTS)
@settings(deadline=None)
def test_what_is_encoded_decodes_to_itself(
    payloads: list[bytes], following: bytes, cuts: list[int]
) -> None:
    trailed = ChunkedBody(400)
    trailed.feed(b"0\r\nX-Sum: 7\r\nX-B:2\r\n\r\n")
    wire = b"".join([encode(payload, done=False) for payload in payloads])
    wire += encode(b"", done=True, trailers=trailed.trailers) + following

    outcome = decoded(pieces(wire, cuts))

    lines = (b"X-Sum: 7", b"X-B:2")
    assert outcome == Outcome(b"".join(payloads), lines, following, done=True)


def test_the_last_chunk_without_trailers_is_five_bytes() -> None:
    assert encode(b"", done=True) == b"0\r\n\r\n"
    assert encode(b"ab", done=True) == b"2\r\nab\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [b"5", b"05", b"0000000000005"])
def test_a_chunk_size_is_at_most_13_hex_digits(size: bytes) -> None:
    assert decoded([size + b"\r\nhello\r\n0\r\n\r\n"]).payload == b"hello"


@pytest.mark.parametrize(
    "size",
    [
        b"",
        b"+5",
        b"-5",
        b"0x5",
        b"0_5",
        b"5h",
        b" 5",
        b"5 ",
        b"5\t",
        b"5,",
        b"5 a",
        b"x",
        b"5.0",
        b"00000000000005",
        b"fffffffffffffffff",
        b"5\x00",
        b"\xb2",
        "\N{ARABIC-INDIC DIGIT FIVE}".encode(),  # int() takes it
    ],
)
def test_a_chunk_size_of_any_other_form_is_400(size: bytes) -> None:
    assert refused(size + b"\r\nhello\r\n0\r\n\r\n") == 400


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="bare LF behind the size"),
        pytest.param(b"5\rhello\r\n0\r\n\r\n", id="bare CR behind the size"),
        pytest.param(b"5;a\nhello\r\n0\r\n\r\n", id="bare LF in an extension"),
        pytest.param(b"5;a\rb\r\nhello\r\n0\r\n\r\n", id="bare CR in an extension"),
        pytest.param(b"5;\x00\r\nhello\r\n0\r\n\r\n", id="NUL in an extension"),
        pytest.param(b"5;\x7f\r\nhello\r\n0\r\n\r\n", id="DEL in an extension"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="bare LF behind the data"),
        pytest.param(b"5\r\nhello\r0\r\n\r\n", id="bare CR behind the data"),
        pytest.param(b"4\r\nhello\r\n0\r\n\r\n", id="more data than the size says"),
        pytest.param(b"6\r\nhello\r\n0\r\n\r\n", id="less data than the size says"),
        pytest.param(b"5\r\nhello0\r\n\r\n", id="nothing behind the data"),
        pytest.param(b"0\r\nX : 7\r\n\r\n", id="space before a trailer's colon"),
        pytest.param(b"0\r\nX: 7\r\n folded\r\n\r\n", id="obs-fold in a trailer"),
        pytest.param(b"0\r\nX: 7\nY: 8\r\n\r\n", id="bare LF in a trailer"),
        pytest.param(b"0\r\nX: \x00\r\n\r\n", id="NUL in a trailer"),
        pytest.param(b"0\r\nX\r\n\r\n", id="a trailer without colon"),
        pytest.param(b"0\r\n: 7\r\n\r\n", id="a trailer without name"),
    ],
)
def test_a_malformed_chunk_or_trailer_is_400(line: bytes) -> None:
    assert refused(line) == 400


def test_a_bad_response_body_is_502() -> None:
    with pytest.raises(MessageError) as caught:
        ChunkedBody(502).feed(b"x\r\n")
    assert caught.value.code == 502


def test_a_chunk_line_over_256_bytes_is_400_even_if_it_never_ends() -> None:
    assert decoded([b"1;" + b"a" * 252 + b"\r\nx\r\n0\r\n\r\n"]).payload == b"x"
    assert refused(b"1;" + b"a" * 253 + b"\r\nx\r\n0\r\n\r\n") == 400
    assert refused(b"1;" + b"a" * 300) == 400
    assert refused(b"1" * 300) == 400


def test_extensions_over_16_kib_in_all_are_400() -> None:
    chunk = b"1;" + b"a" * 127 + b"\r\nx\r\n"
    allowed = HEAD_LIMIT // 128

    assert decoded([chunk * allowed + b"0\r\n\r\n"]).done
    assert refused(chunk * (allowed + 1)) == 400


def test_trailers_over_16_kib_are_400() -> None:
    line = b"X: " + b"a" * (HEAD_LIMIT - 3)

    assert decoded([b"0\r\n" + line + b"\r\n\r\n"]).done
    assert refused(b"0\r\n" + line + b"a\r\n\r\n") == 400
    assert refused(b"0\r\n" + line + b"aaaa") == 400


def test_trailers_at_the_limit_are_accepted_wherever_they_are_cut() -> None:
    message = b"0\r\nX: " + b"a" * (HEAD_LIMIT - 3) + b"\r\n\r\n"

    for at in range(len(message) - 6, len(message)):
        assert decoded([message[:at], message[at:]]).done


def test_more_than_100_trailers_are_400() -> None:
    lines = b"".join([b"X-%d: a\r\n" % i for i in range(FIELD_COUNT_LIMIT)])

    assert len(decoded([b"0\r\n" + lines + b"\r\n"]).trailers) == FIELD_COUNT_LIMIT
    assert refused(b"0\r\n" + lines + b"Y: a\r\n\r\n") == 400


@pytest.mark.parametrize(
    "name",
    [
        b"Transfer-Encoding",
        b"Content-Length",
        b"Host",
        b"Connection",
        b"TE",
        b"Trailer",
        b"Upgrade",
        b"Expect",
        b"Authorization",
        b"Cookie",
        b"Set-Cookie",
        b"Content-Type",
        b"Content-Encoding",
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"Forwarded",
        b"X-Real-IP",
        b"X-User-Id",
        b"X-Request-Id",
        b"traceparent",
        b"X_Sum",
    ],
)
def test_trailers_that_frame_route_or_forge_are_dropped(name: bytes) -> None:
    outcome = decoded([b"0\r\n" + name + b": 1\r\nX-Sum: 7\r\n\r\n"])

    assert outcome.trailers == (b"X-Sum: 7",)


@given(st.integers(1, 1 << 20), st.integers(1, 4096))
@settings(deadline=None, max_examples=30)
def test_payload_is_handed_on_at_once(size: int, first: int) -> None:
    body = ChunkedBody(400)

    assert body.feed(b"%x\r\n" % size + b"a" * min(size, first)) == b"a" * min(size, first)
