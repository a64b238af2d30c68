import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http1.heads import REQUESTS
from uaitools.errors import ServiceError, error_body
from uaitools.proxy.headers import Trust, announced, error_answer, framing, outgoing, switching
from uaitools.proxy.http1.body import CHUNKED, UNTIL_CLOSE, ChunkedBody
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.routing.router import RouteError

CLIENT = b"192.0.2.7"
REQUEST_ID = b"our-id"
TRACE, SPAN = b"1" * 32, b"2" * 16
THEIRS = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"traceparent: 00-" + THEIRS + b"-b7ad6b7169203331-00"
# What the gateway itself says to every upstream; nothing a client sends may change it.
OURS = {
    b"x-forwarded-for": CLIENT,
    b"x-forwarded-proto": b"http",
    b"x-forwarded-host": b"a.example",
    b"x-request-id": REQUEST_ID,
    b"via": b"1.1 uaitools",
    b"traceparent": b"00-" + TRACE + b"-" + SPAN + b"-01",
}
FORGEABLE = (
    b"Forwarded",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"x-forwarded-host",
    b"X-Forwarded-Anything",
    b"X-Real-IP",
    b"X-Request-Id",
    b"X-User-Id",
    b"x-user-roles",
)


def parsed(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> RequestHead:
    return RequestHead(b"\r\n".join((line, b"Host: a.example", *fields)))


def sent(head: RequestHead, path: bytes = b"/", *, trusted: bool = False) -> bytes:
    """The whole head as it goes out, with the parts that differ from request to request."""
    trust = Trust(head.controls.trust, trusted=trusted)
    prefix = outgoing(head, path, trust)
    request_id, trace = trust.request_id or REQUEST_ID, trust.trace or TRACE
    ours = b"%b\r\nX-Request-Id: %b\r\ntraceparent: 00-%b-%b" % (CLIENT, request_id, trace, SPAN)
    return prefix + ours + trust.trace_flags


def fields(*lines: bytes, line: bytes = b"GET / HTTP/1.1", trusted: bool = False) -> list[bytes]:
    """The field lines that the upstream gets, names in lower case."""
    head, end, rest = sent(parsed(*lines, line=line), trusted=trusted).partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    pairs = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [name.lower() + b": " + value.strip() for name, _, value in pairs]


def value_of(name: bytes, *lines: bytes, trusted: bool = False) -> list[bytes]:
    found = [line.partition(b": ") for line in fields(*lines, trusted=trusted)]
    return [value for key, _, value in found if key == name]


# -- what a request becomes ---------------------------------------------------------------------


def test_a_request_line_names_the_path_for_the_upstream_and_the_query_as_sent() -> None:
    head = parsed(line=b"GET /api//memory/../memory?q=%2e HTTP/1.0")

    assert sent(head, b"/memories").startswith(b"GET /memories?q=%2e HTTP/1.1\r\nHost: a.example")


def test_our_own_fields_stand_once_each() -> None:
    for name, value in OURS.items():
        assert value_of(name) == [value]


def test_the_via_of_proxies_before_us_is_kept() -> None:
    assert value_of(b"via", b"Via: 1.0 fred") == [b"1.0 fred", b"1.1 uaitools"]


@pytest.mark.parametrize(
    ("line", "framing", "expected"),
    [
        (b"GET", (), []),
        (b"GET", (b"Content-Length: 0",), []),
        (b"GET", (b"content-length: 05",), [b"content-length: 5"]),
        (b"POST", (), [b"content-length: 0"]),
        (b"POST", (b"Content-Length: 007",), [b"content-length: 7"]),
        (b"PUT", (b"transfer-encoding: CHUNKED",), [b"transfer-encoding: chunked"]),
        (b"DELETE", (b"Transfer-Encoding: chunked",), [b"transfer-encoding: chunked"]),
    ],
)
def test_framing_is_written_anew(
    line: bytes, framing: tuple[bytes, ...], expected: list[bytes]
) -> None:
    lines = fields(*framing, line=line + b" / HTTP/1.1")

    assert [x for x in lines if x.startswith((b"content-length", b"transfer-"))] == expected


def test_a_websocket_upgrade_is_asked_for_in_our_words() -> None:
    lines = fields(b"Connection: keep-alive, Upgrade, x-a", b"Upgrade: WEBSOCKET", b"X-A: 1")

    assert b"connection: Upgrade" in lines
    assert b"upgrade: websocket" in lines
    assert b"x-a: 1" not in lines


def test_te_is_trailers_or_nothing() -> None:
    assert value_of(b"te", b"TE: gzip, trailers") == [b"trailers"]
    assert value_of(b"connection", b"TE: gzip, trailers") == [b"TE"]
    assert value_of(b"te", b"TE: gzip") == []


def test_trailers_are_announced_for_a_chunked_body_only() -> None:
    trailer, post = b"Trailer: X-Sum", b"POST / HTTP/1.1"

    assert b"trailer: x-sum" in fields(trailer, b"Transfer-Encoding: chunked", line=post)
    assert b"trailer: x-sum" not in fields(trailer, b"Content-Length: 5", line=post)


def test_an_expectation_is_not_forwarded() -> None:
    assert value_of(b"expect", b"Expect: 100-continue", b"Content-Length: 5") == []


# -- trust --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORGEABLE)
def test_what_a_client_could_forge_is_dropped(name: bytes) -> None:
    assert fields(name + b": forged") == fields()


@pytest.mark.parametrize("name", [b"X_User_Id", b"X_Forwarded_For", b"X-User_Id"])
@pytest.mark.parametrize("trusted", [False, True])
def test_its_spellings_with_underscores_are_dropped_from_every_peer(
    name: bytes, trusted: bool
) -> None:
    assert fields(name + b": forged", trusted=trusted) == fields()


def test_a_trusted_proxy_is_believed() -> None:
    said = [b"Forwarded: for=a", b"X-Real-IP: 198.51.100.1", b"X-User-Id: 7"]
    said += [b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b.example", b"X-Request-Id: theirs"]

    lines = fields(*said, trusted=True)

    for line in said:
        name, _, value = line.partition(b": ")
        assert [x for x in lines if x.startswith(name.lower())] == [name.lower() + b": " + value]


def test_the_client_is_added_to_the_chain_of_a_trusted_proxy() -> None:
    chain = [b"X-Forwarded-For: 198.51.100.1, 198.51.100.2", b"x-forwarded-for: 198.51.100.3"]

    expected = b"198.51.100.1, 198.51.100.2, 198.51.100.3, " + CLIENT
    assert value_of(b"x-forwarded-for", *chain, trusted=True) == [expected]
    assert value_of(b"x-forwarded-for", b"X-Forwarded-For:", trusted=True) == [CLIENT]


@pytest.mark.parametrize("theirs", [b"", b"a b", b"a\xff", b"a" * 129, b'"a"'])
def test_a_request_id_that_is_not_fit_for_logs_is_replaced(theirs: bytes) -> None:
    assert value_of(b"x-request-id", b"X-Request-Id: " + theirs, trusted=True) == [REQUEST_ID]


@given(st.lists(st.sampled_from([name.title() for name in [*OURS, *FORGEABLE]])), st.booleans())
@settings(deadline=None)
def test_connection_cannot_remove_our_own_fields(named: list[bytes], trusted: bool) -> None:
    lines = [b"Connection: " + b", ".join(named), *[name + b": forged" for name in named]]

    for name, value in OURS.items():
        if name.title() in named or not trusted:
            # At most a Via of their own survives, and ours stands behind it.
            assert value_of(name, *lines, trusted=trusted)[-1:] == [value]


@given(REQUESTS)
@settings(deadline=None, max_examples=300)
def test_what_we_send_is_a_request_that_we_would_accept_and_read_in_the_same_way(
    raw: bytes,
) -> None:
    try:
        head = RequestHead(raw)
    except MessageError:
        return

    if not head.host:
        return  # an HTTP/1.0 client may name no host; an empty Host says so (RFC 9112 3.2)
    again = RequestHead(sent(head, head.path).removesuffix(b"\r\n\r\n"))

    assert (again.method, again.path, again.query) == (head.method, head.path, head.query)
    assert (again.host, again.body, again.websocket) == (head.host, head.body, head.websocket)
    assert again.keep_alive
    assert not again.controls.expects_continue
    trailers = head.controls.trailers if head.body == CHUNKED else frozenset()
    assert again.controls.trailers == trailers


# -- trace context ------------------------------------------------------------------------------


def test_a_trace_is_continued_with_a_span_of_ours() -> None:
    lines = [PARENT, b"tracestate: a=1", b"tracestate: b=2"]

    assert value_of(b"traceparent", *lines) == [b"00-" + THEIRS + b"-" + SPAN + b"-00"]
    assert value_of(b"tracestate", *lines) == [b"a=1", b"b=2"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [PARENT, PARENT],
        [b"traceparent: 00-" + b"0" * 32 + b"-b7ad6b7169203331-01"],
        [b"traceparent: 00-" + THEIRS + b"-" + b"0" * 16 + b"-01"],
        [PARENT.upper()],
        [PARENT + b"-more"],
        [PARENT.replace(b": 00-", b": ff-")],
        [PARENT[:-1]],
        [b"traceparent: "],
        [PARENT, b"Connection: traceparent"],
    ],
)
def test_without_one_valid_traceparent_a_trace_begins_and_state_is_dropped(
    lines: list[bytes],
) -> None:
    assert value_of(b"traceparent", *lines, b"tracestate: a=1") == [OURS[b"traceparent"]]
    assert value_of(b"tracestate", *lines, b"tracestate: a=1") == []


# -- our own answers ----------------------------------------------------------------------------


def start_of(error: ServiceError) -> bytes:
    return error_answer(error, "id", "now")[0].start


def test_an_error_is_a_json_answer_of_known_length() -> None:
    error = ServiceError(503, "busy", "a")
    head, content = error_answer(error, "id", "Thu, 01 Jan 1970 00:00:00 GMT")

    assert head.start == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    )
    assert content == error_body(error, "id")
    assert (head.body, head.length) == (len(content), b"Content-Length: %d\r\n" % len(content))


def test_an_error_names_the_allowed_methods() -> None:
    error = RouteError(405, "no", [b"POST", b"GET"])

    assert b"\r\nAllow: GET, POST\r\n" in start_of(error)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 4.2, 299.0])
def test_an_error_says_in_whole_seconds_when_to_come_back_never_too_early(seconds: float) -> None:
    error = ServiceError(503, "busy", "a", retry_after=seconds)

    line = start_of(error).partition(b"Retry-After: ")[2]
    assert max(1.0, seconds) <= int(line) <= seconds + 2


def test_a_status_of_our_own_invention_has_no_reason() -> None:
    assert start_of(ServiceError(599, "x", "a")).startswith(b"HTTP/1.1 599 \r\n")


# -- how an answer ends -------------------------------------------------------------------------

LENGTH, CHUNKS, TO_THE_END = 5, CHUNKED, UNTIL_CLOSE
CLOSES = b"Connection: close\r\n"
STAYS = b"Connection: keep-alive\r\n"
IN_CHUNKS = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("body", "version", "keep", "expected"),
    [
        (LENGTH, b"1.1", True, (b"", False, True)),
        (LENGTH, b"1.1", False, (CLOSES, False, False)),
        (LENGTH, b"1.0", True, (STAYS, False, True)),
        (LENGTH, b"1.0", False, (CLOSES, False, False)),
        (CHUNKS, b"1.1", True, (IN_CHUNKS, True, True)),
        (TO_THE_END, b"1.1", True, (IN_CHUNKS, True, True)),
        (TO_THE_END, b"1.1", False, (IN_CHUNKS + CLOSES, True, False)),
        (CHUNKS, b"1.0", True, (CLOSES, False, False)),
        (TO_THE_END, b"1.0", True, (CLOSES, False, False)),
    ],
)
def test_an_answer_ends_as_its_client_can_understand(
    body: int, version: bytes, keep: bool, expected: tuple[bytes, bool, bool]
) -> None:
    head = ResponseHead(200, b"", b"", body)
    request = parsed(line=b"GET / HTTP/" + version)

    assert framing(head, request, bodiless=False, keep=keep) == expected


def test_an_answer_without_a_body_needs_no_framing() -> None:
    head = ResponseHead(200, b"", b"", CHUNKED)

    assert framing(head, parsed(), bodiless=True, keep=True) == (b"", False, True)


@pytest.mark.parametrize(("te", "announces"), [(b"TE: trailers", True), (b"X: 1", False)])
def test_trailers_are_announced_to_clients_that_want_them(te: bytes, announces: bool) -> None:
    head = ResponseHead(200, b"", b"", CHUNKED, trailers=frozenset((b"x-b", b"x-a")))

    lines, _, _ = framing(head, parsed(te), bodiless=False, keep=True)
    assert (b"Trailer: x-a, x-b\r\n" in lines) is announces


def test_a_switch_of_protocols_is_one_whole_head() -> None:
    head = ResponseHead(101, b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n", b"", 0)

    assert switching(head, b"id") == (
        b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nX-Request-Id: id\r\n\r\n"
    )


def test_only_announced_trailers_are_relayed() -> None:
    body = ChunkedBody(400)
    body.feed(b"0\r\nX-Sum: 7\r\nX-More: 8\r\n\r\n")

    relayed = announced(body.trailers, frozenset({b"x-sum", b"x-missing"}))

    assert [field.line for field in relayed] == [b"X-Sum: 7"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, b"1"), (0.2, b"1"), (1, b"1"), (2, b"2"), (2.1, b"3"), (3, b"3")],
)
def test_retry_after_is_rounded_up(seconds: float, said: bytes) -> None:
    error = ServiceError(503, "busy", "a", retry_after=seconds)
    assert start_of(error).endswith(b"Retry-After: %b\r\n" % said)


def test_only_trailers_that_may_be_relayed_are_announced() -> None:
    lines = fields(
        b"Trailer: content-length, a b, x_y, x-sum",
        b"Transfer-Encoding: chunked",
        line=b"POST / HTTP/1.1",
    )
    assert [line for line in lines if line.startswith(b"trailer")] == [b"trailer: x-sum"]


def test_refused_method_is_told_what_is_allowed() -> None:
    with pytest.raises(MessageError) as caught:
        RequestHead(b"TRACE / HTTP/1.1\r\nHost: a")
    assert b"Allow: DELETE, GET" in start_of(caught.value)
