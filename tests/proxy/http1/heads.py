"""Request and response heads for property tests: mostly valid ones, and mutations of them."""

from hypothesis import strategies as st

CRLF = b"\r\n"
# Names that decide something beside some that do not, in the spellings that real clients use.
NAMES = (
    b"Accept",
    b"content-type",
    b"X-Custom",
    b"x_custom",
    b"Cookie",
    b"Via",
    b"X-Forwarded-For",
    b"x-user-id",
    b"traceparent",
    b"Idempotency-Key",
    b"TE",
    b"Keep-Alive",
    b"Expect",
    b"Upgrade",
    b"Trailer",
    b"Server",
)
VALUES = (
    b"",
    b"a",
    b"a\tb c",
    b"text/html; q=0.5, */*",
    b"100-continue",
    b"websocket",
    b"trailers",
    b"x-sum",
    b"timeout=5",
    b"caf\xe9",
    b'"quoted, value"',
    b"198.51.100.7",
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
FRAMING = (
    (),
    (b"Content-Length: 0",),
    (b"Content-Length: 5",),
    (b"content-length:\t3 ",),
    (b"Transfer-Encoding: chunked",),
    (b"transfer-encoding: Chunked",),
    (b"Content-Length: 5", b"Content-Length: 5"),
    (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: gzip, chunked",),
)
CONNECTION = ((), (b"Connection: close",), (b"connection: keep-alive, X-Custom",))
HOSTS = ((b"Host: a.example",), (b"host:\t[::1]:8080 ",), (), (b"Host: a", b"Host: b"))
# What request smuggling is made of.
SPLICES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b" ",
    b"\t",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b":",
    b",",
    b";",
    b"#",
    b"+",
    b"_",
    b"0x",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding : chunked",
    b"\r\nContent-Length: 5",
    b"\r\nContent-Length: +5",
    b"\r\nHost: b",
)


@st.composite
def _fields(draw: st.DrawFn, hosts: tuple[tuple[bytes, ...], ...]) -> list[bytes]:
    outer = st.sampled_from((b"", b" ", b"\t "))
    value = st.one_of(
        st.sampled_from(VALUES),
        st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=8).map(
            lambda text: text.encode("latin-1").strip()
        ),
    )
    line = st.builds(
        lambda name, before, value, after: name + b":" + before + value + after,
        st.sampled_from(NAMES),
        outer,
        value,
        outer,
    )
    framing = draw(st.sampled_from(FRAMING))
    lines = [*draw(st.sampled_from(hosts)), *framing, *draw(st.sampled_from(CONNECTION))]
    return draw(st.permutations([*lines, *draw(st.lists(line, max_size=4))]))


@st.composite
def _mutated(draw: st.DrawFn, heads: st.SearchStrategy[bytes]) -> bytes:
    """A head with one place changed; it ends where its first empty line is."""
    head = draw(heads)
    at = draw(st.integers(0, len(head)))
    cut = draw(st.integers(0, 3))
    head = head[:at] + draw(st.sampled_from(SPLICES)) + head[at + cut :]
    return head.partition(CRLF + CRLF)[0]


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from((b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"PURGE")))
    path = b"".join(
        draw(st.lists(st.sampled_from((b"/", b"a", b".", b"..", b"%2e", b"%2F", b";")), max_size=6))
    )
    query = draw(st.sampled_from((b"", b"?", b"?a=b&c", b"?/../#", b"?%zz")))
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")))
    return CRLF.join((b"%b /%b%b %b" % (method, path, query, version), *draw(_fields(HOSTS))))


@st.composite
def _responses(draw: st.DrawFn) -> bytes:
    status = draw(st.sampled_from((b"200", b"204", b"304", b"404", b"502", b"100", b"103")))
    reason = draw(st.sampled_from((b"", b" ", b" OK", b" Not Found", b" caf\xe9\ttab")))
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")))
    return CRLF.join((version + b" " + status + reason, *draw(_fields(((),)))))


VALID_REQUESTS = _requests()
REQUESTS = st.one_of(VALID_REQUESTS, _mutated(VALID_REQUESTS))
VALID_RESPONSES = _responses()
RESPONSES = st.one_of(VALID_RESPONSES, _mutated(VALID_RESPONSES))
