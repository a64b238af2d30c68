"""Answers that a route gives without asking a service: a fixed response, or a redirect."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.routing.hosts import host_name
from uaitools.proxy.routing.pattern import fill

if TYPE_CHECKING:
    from uaitools.proxy.http1.request import RequestHead
    from uaitools.proxy.routing.edits import Edits
    from uaitools.proxy.routing.router import Route

# RFC 9110 6.4.1: these end with their head.
BODILESS: Final = frozenset((204, 304))


class Reply:
    """One whole response but for its date. lines: its fields, each before a CR LF."""

    __slots__ = ("_lines", "content", "status")

    def __init__(self, status: int, lines: bytes, content: bytes = b"") -> None:
        self.status = status
        self._lines = lines
        self.content = content

    def __repr__(self) -> str:
        return f"<Reply {self.status} content={len(self.content)}>"

    def edited(self, edits: Edits | None) -> Reply:
        """This reply with a route's own header fields."""
        if edits is None:
            return self
        return Reply(self.status, edits.lines(self._lines), self.content)

    def head(self, date: str) -> ResponseHead:
        """The head of the response. date: an IMF-fixdate."""
        size = len(self.content)
        return ResponseHead(
            self.status,
            b"HTTP/1.1 %d %b\r\n%bDate: %b\r\n"
            % (
                self.status,
                HTTPStatus(self.status).phrase.encode(),
                self._lines,
                date.encode(),
            ),
            b"" if self.status in BODILESS else b"Content-Length: %d\r\n" % size,
            size,
        )


class Redirect:
    """A redirect to what is made of a request.

    to: a URL or a path, in which {path}, {query} (with its '?'), {host} (without port) and the
    parameters of the route's path stand for the request's.
    """

    __slots__ = ("_status", "_to")

    def __init__(self, to: bytes, status: int) -> None:
        self._to = to
        self._status = status

    def __repr__(self) -> str:
        return f"<Redirect {self._status} {self._to.decode()}>"

    def reply(self, head: RequestHead, route: Route) -> Reply | ServiceError:
        """The answer to a request; an error when it lacks the Host that the target needs."""
        host = host_name(head.host)
        if not host and b"{host}" in self._to:
            return ServiceError(400, "this redirect needs a Host header", "proxy")
        values = route.pattern.parameters(head.path)
        values[b"path"] = head.path
        values[b"query"] = head.query
        values[b"host"] = host
        target = fill(self._to, values)
        if target.startswith(b"//"):
            # An empty parameter must not turn the next one into the name of another host.
            target = b"/" + target.lstrip(b"/")
        return Reply(self._status, b"Location: %b\r\n" % target).edited(route.response_edits)
