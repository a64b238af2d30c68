from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http1.heads import REQUESTS
from uaitools.proxy.http1.body import CHUNKED
from uaitools.proxy.http1.grammar import (
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    REQUEST_LINE_LIMIT,
    MessageError,
)
from uaitools.proxy.http1.request import RequestHead, check_partial_head
from uaitools.proxy.http1.usual import match_usual

GET = b"GET / HTTP/1.1"
GET_10 = b"GET / HTTP/1.0"
POST = b"POST / HTTP/1.1"
HOST = b"Host: a.example"
CHUNKED_LINE = b"Transfer-Encoding: chunked"


def raw(*fields: bytes, line: bytes = GET, host: bytes | None = HOST) -> bytes:
    return b"\r\n".join([line, *([] if host is None else [host]), *fields])


def parsed(*fields: bytes, line: bytes = GET, host: bytes | None = HOST) -> RequestHead:
    return RequestHead(raw(*fields, line=line, host=host))


def refused(*fields: bytes, line: bytes = GET, host: bytes | None = HOST) -> int:
    """The status of the refusal, which is the same however often the head comes."""
    codes = set()
    for _ in range(3):
        with pytest.raises(MessageError) as caught:
            parsed(*fields, line=line, host=host)
        codes.add(caught.value.code)
    assert len(codes) == 1
    return int(codes.pop())


def observed(head: RequestHead) -> dict[str, object]:
    """All that is public about a head."""
    # Compiled classes have no __slots__; both kinds list their attributes on the class.
    public = attributes(head)
    public["controls"] = controls = attributes(head.controls)
    controls["trust"] = [(field.name, field.value, field.kind) for field in head.controls.trust]
    return public


def attributes(value: object) -> dict[str, object]:
    return {
        name: getattr(value, name)
        for name in dir(type(value))
        if not name.startswith("_") and not callable(getattr(value, name))
    }


# -- request line -------------------------------------------------------------------------------


def test_a_request_line_consists_of_method_target_and_version() -> None:
    head = parsed(line=b"PUT /a/b?c=d HTTP/1.1")

    assert (head.method, head.path, head.query, head.minor) == (b"PUT", b"/a/b", b"?c=d", 1)


def test_http_1_0_is_spoken_too() -> None:
    assert parsed(line=GET_10).minor == 0


def test_a_method_is_case_sensitive_and_may_be_unknown() -> None:
    assert parsed(line=b"get / HTTP/1.1").method == b"get"
    assert parsed(line=b"PROPFIND / HTTP/1.1").method == b"PROPFIND"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET HTTP/1.1",
        b"GET  / HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / a HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET\x0b/\x0bHTTP/1.1",
        b"G@T / HTTP/1.1",
        b"GET: / HTTP/1.1",
        b"G\x00T / HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/+1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\nX: a",
        b"\nGET / HTTP/1.1",
        b"\r\nGET / HTTP/1.1",
        b" / HTTP/1.1",
    ],
)
def test_a_malformed_request_line_is_400(line: bytes) -> None:
    assert refused(line=line) == 400


@pytest.mark.parametrize(
    "version", [b" HTTP/0.9", b" HTTP/1.2", b" HTTP/2.0", b" HTTP/3.0", b" HTTP/9.9", b""]
)
def test_another_version_is_505(version: bytes) -> None:
    assert refused(line=b"GET /" + version) == 505


@pytest.mark.parametrize("line", [b"CONNECT a:443 HTTP/1.1", b"TRACE / HTTP/1.1"])
def test_connect_and_trace_are_405(line: bytes) -> None:
    assert refused(line=line) == 405


@pytest.mark.parametrize("byte", [*range(0x21), 0x23, *range(0x7F, 0x100)])
def test_a_target_with_a_ctl_space_hash_or_non_ascii_byte_is_400(byte: int) -> None:
    assert refused(line=b"GET /a%bb HTTP/1.1" % bytes((byte,))) == 400
    assert refused(line=b"GET /?a%bb HTTP/1.1" % bytes((byte,))) == 400


# -- limits -------------------------------------------------------------------------------------


def line_of(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"


def head_of(size: int) -> bytes:
    start = raw() + b"\r\nX: "
    return start + b"a" * (size - len(start))


def test_a_request_line_of_8_kib_is_the_longest() -> None:
    assert len(parsed(line=line_of(REQUEST_LINE_LIMIT)).path) == REQUEST_LINE_LIMIT - 13
    assert refused(line=line_of(REQUEST_LINE_LIMIT + 1)) == 414
    assert refused(line=line_of(REQUEST_LINE_LIMIT + 1), host=None) == 414


def test_a_head_of_16_kib_is_the_largest() -> None:
    assert RequestHead(head_of(HEAD_LIMIT)).host == b"a.example"
    with pytest.raises(MessageError) as caught:
        RequestHead(head_of(HEAD_LIMIT + 1))
    assert caught.value.code == 431


def test_hundred_fields_are_the_most() -> None:
    fields = [b"X-%d: a" % i for i in range(FIELD_COUNT_LIMIT - 1)]

    assert parsed(*fields).lines.count(b"\r\n") == FIELD_COUNT_LIMIT - 1
    assert refused(*fields, b"X-One-More: a") == 431


def test_an_unfinished_request_line_over_8_kib_is_414() -> None:
    with pytest.raises(MessageError) as caught:
        check_partial_head(b"GET /" + b"a" * REQUEST_LINE_LIMIT)
    assert caught.value.code == 414


def test_an_unfinished_head_over_16_kib_is_431() -> None:
    with pytest.raises(MessageError) as caught:
        check_partial_head(head_of(HEAD_LIMIT + 4))
    assert caught.value.code == 431


def test_a_head_at_its_limits_is_accepted_wherever_it_is_cut() -> None:
    longest = raw(line=line_of(REQUEST_LINE_LIMIT)) + b"\r\nX: "
    longest += b"a" * (HEAD_LIMIT - len(longest))
    assert RequestHead(longest).minor == 1

    message = longest + b"\r\n\r\n"
    for end in range(len(message)):
        check_partial_head(message[:end])


def test_a_head_that_never_ends_is_refused_even_if_it_consists_of_line_ends() -> None:
    with pytest.raises(MessageError):
        check_partial_head(b"\r" * (HEAD_LIMIT + 4))


# -- field lines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"X: a\nY: b", id="bare LF"),
        pytest.param(b"X: a\n", id="bare LF at the end"),
        pytest.param(b"X: a\rY: b", id="bare CR"),
        pytest.param(b"X: a\r", id="bare CR at the end"),
        pytest.param(b"X: a\r\n b", id="obs-fold"),
        pytest.param(b"X: a\r\n\tb: c", id="obs-fold with a tab"),
        pytest.param(b"X : a", id="space before the colon"),
        pytest.param(b"X\t: a", id="tab before the colon"),
        pytest.param(b"Content-Length : 5", id="space before the colon of a framing field"),
        pytest.param(b"X", id="no colon"),
        pytest.param(b": a", id="no name"),
        pytest.param(b"", id="empty line"),
        pytest.param(b"X Y: a", id="space in the name"),
        pytest.param(b"X@: a", id="separator in the name"),
        pytest.param(b"X(a): b", id="comment in the name"),
        pytest.param(b"X\x00: a", id="NUL in the name"),
        pytest.param(b"X\xe4: a", id="non-ASCII name"),
        pytest.param(b"\xef\xbb\xbfX: a", id="byte order mark"),
    ],
)
def test_a_malformed_field_line_is_400(line: bytes) -> None:
    assert refused(line) == 400
    assert refused(line, host=None) == 400


@pytest.mark.parametrize("byte", [*range(9), *range(10, 32), 127])
def test_a_value_with_a_ctl_is_400(byte: int) -> None:
    assert refused(b"X: a%bb" % bytes((byte,))) == 400


def test_a_value_may_have_tabs_and_bytes_beyond_ascii() -> None:
    assert parsed(b"X: a\tb\x80\xff").lines == b"\r\nX: a\tb\x80\xff"


def test_lines_are_forwarded_in_order_and_as_they_came() -> None:
    head = parsed(b"B:  2 ", b"a:1", b"B: 3")

    assert head.lines == b"\r\nB:  2 \r\na:1\r\nB: 3"


@pytest.mark.parametrize("name", [b"X_User_Id", b"x_a", b"Content_Length", b"_"])
def test_a_name_with_an_underscore_is_dropped(name: bytes) -> None:
    assert parsed(name + b": 5").lines == b""


def test_a_name_with_an_underscore_decides_nothing() -> None:
    assert parsed(b"Content_Length: 5", b"Transfer_Encoding: chunked").body == 0


@given(REQUESTS)
@settings(deadline=None, max_examples=200)
def test_what_is_remembered_of_a_line_changes_nothing(head: bytes) -> None:
    outcomes: list[object] = []
    for _ in range(3):
        try:
            outcomes.append(observed(RequestHead(head)))
        except MessageError as error:
            outcomes.append(str(error))

    assert outcomes[0] == outcomes[1] == outcomes[2]


# -- the short way ------------------------------------------------------------------------------

# A field that is dropped and means nothing, but that a usual head does not have.
NOTHING = b"X_Nothing: 1"
USUAL_LINES = st.lists(
    st.sampled_from(
        (
            b"Accept: */*",
            b"accept:",
            b"Cookie: a=1; b=\xe4",
            b"Cookie: a=1; b=\xe4",
            b"Hosts: other",
            b"X: \tv ",
            b"T: 1",
            b"Content-Lengths: 5",
            b"X-Users: 1",
            b"connection: Keep-Alive",
            b"Connection: keep-alive",
            b"Connection: keep-alive, x",
            b"Connection: close",
            b"Content-Length: 0",
            b"X-Forwarded-For: 1.1.1.1",
            b"X-User-Id: 7",
            b"UPGRADE: websocket",
            b"tE: trailers",
            b"X-Request-ID: 1",
            b"Host: b.example",
            b"X_Y: 1",
            b"No colon",
            b": no name",
            b"Space : 1",
            b" folded: 1",
            b"Bare\rreturn: 1",
            b"Bare: re\rturn",
            b"Nul: \x00",
        )
    ),
    max_size=6,
)
TARGETS = st.sampled_from(
    (b"/", b"/a/b/", b"/a?b=/../c", b"/a/../b", b"//a", b"/%41", b"/a%2fb", b"/a;b", b"*", b"/a?#")
)
METHODS = st.sampled_from((b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE", b"BREW", b"get"))
VERSIONS = st.sampled_from((b"1.1", b"1.0", b"2.0", b"1.1 "))
HOSTS = st.sampled_from((b"Host: a.example:80", b"host: a", b"Host: [::1]:80", b"Host: a b", None))


@given(METHODS, TARGETS, VERSIONS, HOSTS, USUAL_LINES)
@settings(deadline=None, max_examples=1500)
def test_the_short_way_of_usual_heads_is_the_same_as_the_long_one(
    method: bytes, target: bytes, version: bytes, host: bytes | None, fields: list[bytes]
) -> None:
    line = b"%b %b HTTP/%b" % (method, target, version)

    def outcome(*more: bytes) -> object:
        try:
            seen = observed(parsed(*fields, *more, line=line, host=host))
        except MessageError as error:
            return (error.code, error.message)
        controls = cast("dict[str, object]", seen["controls"])
        # Has been acted on: the short way knows that "keep-alive" changes nothing.
        del controls["options"]
        return seen

    assert outcome() == outcome(NOTHING)


def test_a_usual_head_takes_the_short_way() -> None:
    usual = raw(b"Accept: */*", b"Connection: keep-alive", b"X-Y: 1", line=b"GET /a?b HTTP/1.1")

    assert match_usual(usual) is not None
    assert match_usual(usual + b"\r\n" + NOTHING) is None
    assert RequestHead(usual).lines == b"\r\nAccept: */*\r\nX-Y: 1"


# -- framing ------------------------------------------------------------------------------------


def test_without_length_there_is_no_body() -> None:
    assert parsed(line=POST).body == 0


@pytest.mark.parametrize(
    ("value", "size"),
    [(b"0", 0), (b"5", 5), (b" \t5 ", 5), (b"007", 7), (b"9" * 18, 10**18 - 1)],
)
def test_content_length_is_a_decimal_number(value: bytes, size: int) -> None:
    assert parsed(b"Content-Length:" + value, line=POST).body == size


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"+5",
        b"-5",
        b"0_1",
        b"5_0",
        b"0x5",
        b"5.0",
        b"1e3",
        b"5 5",
        b"5,5",
        b"5, 5",
        b"5;",
        b"a",
        "\N{ARABIC-INDIC DIGIT FIVE}".encode(),  # int() takes it
        "\N{FULLWIDTH DIGIT FIVE}".encode(),
        b"\xb2",
        b"5\xa0",
        b"9" * 19,
    ],
)
def test_content_length_of_any_other_form_is_400(value: bytes) -> None:
    assert refused(b"Content-Length: " + value, line=POST) == 400


@pytest.mark.parametrize("second", [b"5", b"6"])
def test_repeated_content_length_is_400(second: bytes) -> None:
    assert refused(b"Content-Length: 5", b"content-length: " + second, line=POST) == 400


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED\t"])
def test_transfer_encoding_is_chunked_in_any_case(value: bytes) -> None:
    assert parsed(b"Transfer-Encoding: " + value, line=POST).body == CHUNKED


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"gzip",
        b"identity",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"chunked,",
        b",chunked",
        b"chunked;q=1",
        b"xchunked",
        b"chunke",
        b'"chunked"',
        b"chunked\xa0",
    ],
)
def test_transfer_encoding_other_than_chunked_is_400(value: bytes) -> None:
    assert refused(b"Transfer-Encoding: " + value, line=POST) == 400


def test_repeated_transfer_encoding_is_400() -> None:
    assert refused(CHUNKED_LINE, CHUNKED_LINE, line=POST) == 400
    assert refused(CHUNKED_LINE, b"Transfer-Encoding: identity", line=POST) == 400


def test_transfer_encoding_on_http_1_0_is_400() -> None:
    assert refused(CHUNKED_LINE, line=b"POST / HTTP/1.0") == 400


def test_content_length_with_transfer_encoding_is_400_in_either_order() -> None:
    assert refused(b"Content-Length: 5", CHUNKED_LINE, line=POST) == 400
    assert refused(CHUNKED_LINE, b"Content-Length: 5", line=POST) == 400


def test_framing_fields_are_never_forwarded_as_they_came() -> None:
    assert parsed(b"content-length: 05", line=POST).lines == b""
    assert parsed(CHUNKED_LINE, line=POST).lines == b""


# -- host ---------------------------------------------------------------------------------------


def test_a_missing_host_on_http_1_1_is_400() -> None:
    assert refused(host=None) == 400


def test_host_may_be_missing_on_http_1_0() -> None:
    assert parsed(line=GET_10, host=None).host is None


@pytest.mark.parametrize("second", [b"Host: a.example", b"HOST: b.example"])
def test_a_repeated_host_is_400(second: bytes) -> None:
    assert refused(second) == 400
    assert refused(second, line=GET_10) == 400


@pytest.mark.parametrize(
    "value", [b"a", b"a-b.example:8080", b"a:", b"127.0.0.1:80", b"[::1]", b"[::1]:80"]
)
def test_host_is_a_name_or_an_address_with_an_optional_port(value: bytes) -> None:
    assert parsed(host=b"Host: " + value).host == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"a b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"user@a",
        b"a:b",
        b"a:123456",
        b"a:+80",
        b"::1",
        b"[::1",
        b"[::1]x",
        b"[x]",
        b"caf\xc3\xa9",
    ],
)
def test_a_host_of_any_other_form_is_400(value: bytes) -> None:
    assert refused(host=b"Host: " + value) == 400


@pytest.mark.parametrize("other", [b"b.example", b"a.example:80", b"a.example.", b"a"])
def test_a_host_that_differs_from_the_target_s_authority_is_400(other: bytes) -> None:
    assert refused(line=b"GET http://%b/ HTTP/1.1" % other) == 400


def test_a_host_that_equals_the_target_s_authority_but_for_case_stands() -> None:
    assert parsed(line=b"GET http://A.Example/b HTTP/1.1").host == b"a.example"


def test_the_host_comes_from_the_target_when_an_http_1_0_client_sends_none() -> None:
    assert parsed(line=b"GET http://b:81/ HTTP/1.0", host=None).host == b"b:81"


def test_a_host_in_the_target_does_not_replace_the_field_on_http_1_1() -> None:
    assert refused(line=b"GET http://a.example/ HTTP/1.1", host=None) == 400


# -- expectation --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
def test_an_expectation_to_continue_is_known_and_not_forwarded(value: bytes) -> None:
    head = parsed(b"Expect: " + value, b"Content-Length: 5", line=POST)

    assert head.controls.expects_continue
    assert head.lines == b""


def test_an_expectation_to_continue_means_nothing_without_a_body_or_on_http_1_0() -> None:
    assert not parsed(b"Expect: 100-continue", line=POST).controls.expects_continue
    head = parsed(b"Expect: 100-continue", b"Content-Length: 5", line=b"POST / HTTP/1.0")
    assert not head.controls.expects_continue


@pytest.mark.parametrize("value", [b"", b"200-ok", b"100-continue, x", b"100"])
def test_an_unknown_expectation_is_417(value: bytes) -> None:
    assert refused(b"Expect: " + value) == 417


# -- connection ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields", "kept"),
    [
        (GET, [], True),
        (GET, [b"Connection: close"], False),
        (GET, [b"Connection: x, Close"], False),
        (GET, [b"Connection: x", b"connection: close"], False),
        (GET, [b"Connection: keep-alive, close"], False),
        (GET, [b"Connection: closed"], True),
        (GET_10, [], False),
        (GET_10, [b"Connection: Keep-Alive"], True),
        (GET_10, [b"Connection: keep-alive, close"], False),
    ],
)
def test_the_connection_stays_open_as_version_and_options_say(
    line: bytes, fields: list[bytes], kept: bool
) -> None:
    assert parsed(*fields, line=line).keep_alive is kept


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close",
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"Proxy-Authorization: Basic YQ==",
        b"TE: trailers",
        b"Trailer: x-sum",
        b"Upgrade: h2c",
    ],
)
def test_hop_by_hop_fields_are_not_forwarded(line: bytes) -> None:
    head = parsed(line, b"X: a")

    assert head.lines == b"\r\nX: a"


@pytest.mark.parametrize("order", [1, -1])
def test_connection_strips_what_it_names_wherever_it_stands(order: int) -> None:
    fields = [b"Connection: X-A, ,x-forwarded-for", b"x-a: 1", b"X-B: 2", b"X-A: 3"]
    fields += [b"CONNECTION: x-c", b"X-C: 4", b"X-Forwarded-For: 192.0.2.1"]

    head = parsed(*fields[::order])

    assert head.lines == b"\r\nX-B: 2"
    assert head.controls.trust == []


def test_connection_cannot_strip_host_or_framing() -> None:
    naming = b"Connection: host, content-length, transfer-encoding"

    assert parsed(naming, b"Content-Length: 5", line=POST).body == 5
    assert parsed(naming, CHUNKED_LINE, line=POST).body == CHUNKED
    assert parsed(naming).host == b"a.example"


def test_connection_strips_the_trailers_it_names() -> None:
    head = parsed(b"Trailer: x-sum, x-hop", b"Connection: X-Hop", CHUNKED_LINE, line=POST)

    assert head.controls.trailers == {b"x-sum"}


def test_connection_that_names_the_idempotency_key_leaves_nothing_to_replay_by() -> None:
    fields = [b"Idempotency-Key: 1", b"Connection: idempotency-key"]

    assert not parsed(*fields, line=POST).replayable
    assert parsed(*fields, line=GET).replayable


# -- upgrade ------------------------------------------------------------------------------------


UPGRADE = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")


def test_an_upgrade_to_websocket_is_one() -> None:
    assert parsed(*UPGRADE).websocket


@pytest.mark.parametrize("value", [b"h2c", b"websocket, h2c", b"h2c, websocket", b"tls/1.2"])
def test_an_upgrade_to_anything_else_is_dropped(value: bytes) -> None:
    head = parsed(b"Connection: upgrade", b"Upgrade: " + value)

    assert not head.websocket
    assert head.lines == b""


def test_an_upgrade_needs_the_connection_option() -> None:
    assert not parsed(b"Upgrade: websocket").websocket


def test_an_upgrade_needs_get_http_1_1_and_no_body() -> None:
    assert not parsed(*UPGRADE, line=POST).websocket
    assert not parsed(*UPGRADE, line=GET_10).websocket
    assert not parsed(*UPGRADE, b"Content-Length: 1").websocket
    assert not parsed(*UPGRADE, CHUNKED_LINE).websocket


# -- replay -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_replay_is_allowed_for_safe_methods(method: bytes) -> None:
    assert parsed(line=method + b" / HTTP/1.1").replayable


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"get"])
def test_replay_is_not_allowed_for_others(method: bytes) -> None:
    assert not parsed(line=method + b" / HTTP/1.1").replayable


def test_replay_is_allowed_with_an_idempotency_key_which_is_forwarded() -> None:
    head = parsed(b"Idempotency-Key: 7", line=POST)

    assert head.replayable
    assert head.lines == b"\r\nIdempotency-Key: 7"


# -- trailers -----------------------------------------------------------------------------------


def test_trailers_are_announced_by_name() -> None:
    head = parsed(b"Trailer: X-Sum, x-time", b"trailer: X-More", CHUNKED_LINE, line=POST)

    assert head.controls.trailers == {b"x-sum", b"x-time", b"x-more"}


@pytest.mark.parametrize(
    ("value", "accepted"),
    [(b"trailers", True), (b"gzip, Trailers", True), (b"gzip", False), (b"trailers;q=0", False)],
)
def test_trailers_are_accepted_when_te_says_so(value: bytes, accepted: bool) -> None:
    assert parsed(b"TE: " + value).controls.accepts_trailers is accepted


@given(REQUESTS)
@settings(deadline=None, max_examples=200)
def test_an_unfinished_head_is_never_refused_for_what_is_still_to_come(head: bytes) -> None:
    try:
        RequestHead(head)
    except MessageError:
        return  # its beginning may be refused as well
    for end in range(len(head)):
        check_partial_head(head[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"\n",
        b"\x16\x03\x01\x02",
        b" GET",
    ],
)
def test_an_unfinished_head_that_can_become_none_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        check_partial_head(data)
    assert caught.value.code == 400


@pytest.mark.parametrize("data", [b"\r", b"\r\n", b"\r\nG", b"GET", b"GET ", b"GET / HTTP/1.1\r"])
def test_the_beginning_of_a_head_is_waited_for(data: bytes) -> None:
    check_partial_head(data)


def test_a_head_with_other_lines_differs_in_nothing_else() -> None:
    head = RequestHead(
        b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nConnection: close\r\n"
        b"Authorization: Bearer x\r\nX-Old: 1\r\nIdempotency-Key: k"
    )
    other = head.with_lines(b"\r\nX-New: 2")

    names = [name for name in dir(head) if name[0] != "_" and not callable(getattr(head, name))]
    names.remove("lines")
    assert [getattr(other, name) for name in names] == [getattr(head, name) for name in names]
    assert other.lines == b"\r\nX-New: 2"
    assert head.lines != other.lines
