import pytest

from uaitools.errors import ServiceError
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.routing.edits import Edits
from uaitools.proxy.routing.reply import Redirect, Reply
from uaitools.proxy.routing.router import Route

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


def location(to: bytes, target: bytes, path: bytes = b"/", host: bytes = b"a.org:81") -> bytes:
    head = RequestHead(b"GET %b HTTP/1.1\r\nHost: %b" % (target, host))
    reply = Redirect(to, 308).reply(head, Route(path, None))
    assert isinstance(reply, Reply)
    assert reply.status == 308
    line, *_ = (line for line in reply.head(DATE).start.split(b"\r\n") if line[:8] == b"Location")
    return line.removeprefix(b"Location: ")


@pytest.mark.parametrize(
    ("to", "target", "path", "expected"),
    [
        (b"https://b.org{path}{query}", b"/x?q=1", b"/", b"https://b.org/x?q=1"),
        (b"https://b.org{path}{query}", b"/x", b"/", b"https://b.org/x"),
        (b"https://{host}{path}", b"/x?q", b"/", b"https://a.org/x"),
        (b"/new/{id}", b"/old/7?q", b"/old/{id}", b"/new/7"),
        (b"{path}/", b"/docs", b"/docs", b"/docs/"),
        (b"/f/{rest}", b"/old/a/b", b"/old/{rest...}", b"/f/a/b"),
        (b"/", b"/x/../y", b"/", b"/"),
    ],
)
def test_a_redirect_is_made_of_the_request(
    to: bytes, target: bytes, path: bytes, expected: bytes
) -> None:
    assert location(to, target, path) == expected


@pytest.mark.parametrize(
    ("to", "target", "path"),
    [
        (b"{path}", b"//evil.org", b"/"),
        (b"{path}", b"/%2F/evil.org/..//evil.org", b"/"),
        (b"/{rest}/{id}", b"/evil.org/", b"/{id}/{rest...}"),
        (b"/{rest}", b"/x//evil.org", b"/x/{rest...}"),
    ],
)
def test_a_redirect_to_a_path_never_leads_to_another_host(
    to: bytes, target: bytes, path: bytes
) -> None:
    assert not location(to, target, path).startswith(b"//")


def test_a_redirect_that_needs_a_host_refuses_a_request_without_one() -> None:
    head = RequestHead(b"GET /x HTTP/1.0")

    answer = Redirect(b"https://{host}/", 301).reply(head, Route(b"/", None))

    assert isinstance(answer, ServiceError)
    assert answer.code == 400


def test_a_reply_is_a_whole_response() -> None:
    head = Reply(503, b"Retry-After: 9\r\n", b"later").head(DATE)

    assert head.start == (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\nDate: %b\r\n" % DATE.encode()
    )
    assert (head.status, head.body, head.length) == (503, 5, b"Content-Length: 5\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_reply_that_has_no_body_has_no_length(status: int) -> None:
    assert Reply(status, b"").head(DATE).length == b""


def test_a_reply_takes_its_route_s_header_fields() -> None:
    edits = Edits({b"Content-Type": b"text/html"}, {b"X-A": b"1"}, [])

    edited = Reply(200, b"Content-Type: text/plain\r\n", b"x").edited(edits)

    assert edited.head(DATE).start.split(b"\r\n")[1:3] == [b"Content-Type: text/html", b"X-A: 1"]
    assert Reply(200, b"").edited(None).status == 200
