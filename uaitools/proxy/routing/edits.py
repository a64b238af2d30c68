"""Header fields that a route sets, adds and removes, of requests or of responses.

Fields that decide framing, connections or trust are refused in the configuration (may_edit): what
the proxy says there stays true. First what is removed or set goes, then what is set or added
comes, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from uaitools.proxy.http1.fields import settable_in_request
from uaitools.proxy.http1.grammar import TOKEN
from uaitools.proxy.http1.response import ResponseHead

_KEPT: Final = 512  # edited heads of responses, of all routes together
_KEPT_LENGTH: Final = 2048  # bytes of a head that is kept

# Heads of responses are shared by equal ones (upstream.py), so most are edited once.
_edited: Final[dict[tuple[Edits, ResponseHead], ResponseHead]] = {}


def may_edit(name: str) -> bool:
    """Whether a field's name is a token and not one that only the proxy may speak of."""
    token = name.encode("ascii", "replace")
    lower = token.lower()
    return (
        TOKEN.fullmatch(token) is not None
        and b"_" not in token  # dropped everywhere: some servers cannot tell it from '-'
        and settable_in_request(lower)
        and lower != b"via"
    )


class Edits:
    """What to change in a head; names in any case, values as they go out.

    dropped: the names, in lower case, that are not passed on.
    """

    __slots__ = ("_lines", "dropped")

    def __init__(
        self,
        replaced: Mapping[bytes, bytes],
        added: Mapping[bytes, bytes],
        removed: Iterable[bytes],
    ) -> None:
        self.dropped = frozenset(name.lower() for name in (*removed, *replaced))
        self._lines = [
            b"%b: %b" % field for fields in (replaced, added) for field in fields.items()
        ]

    def __repr__(self) -> str:
        return f"<Edits drop={len(self.dropped)} lines={len(self._lines)}>"

    def request(self, lines: bytes) -> bytes:
        """The lines of a request, each after a CR LF, as they are to go on."""
        return b"".join([b"\r\n" + line for line in (*self._kept(lines[2:]), *self._lines)])

    def lines(self, lines: bytes) -> bytes:
        """The lines of an answer, each before a CR LF, as they are to go on."""
        return b"".join([line + b"\r\n" for line in (*self._kept(lines[:-2]), *self._lines)])

    def response(self, head: ResponseHead) -> ResponseHead:
        """The head of a response as it is to go on."""
        known = _edited.get((self, head))
        if known is not None:
            return known
        edited = self._with(head, self._lines)
        if len(head.start) <= _KEPT_LENGTH:
            if len(_edited) >= _KEPT:
                _edited.clear()
            _edited[self, head] = edited
        return edited

    def interim(self, head: ResponseHead) -> ResponseHead:
        """The head of a 1xx response: what is to go is gone, what is added waits for the last."""
        return self._with(head, [])

    def _with(self, head: ResponseHead, lines: list[bytes]) -> ResponseHead:
        status, _, rest = head.start.partition(b"\r\n")
        return ResponseHead(
            head.status,
            b"\r\n".join([status, *self._kept(rest[:-2]), *lines, b""]),
            head.length,
            head.body,
            keep_alive=head.keep_alive,
            idle=head.idle,
            websocket=head.websocket,
            trailers=head.trailers - self.dropped,
        )

    def _kept(self, block: bytes) -> list[bytes]:
        if not block:
            return []
        lines = block.split(b"\r\n")
        if not self.dropped:
            return lines
        return [line for line in lines if line.partition(b":")[0].lower() not in self.dropped]
