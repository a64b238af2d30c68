"""What a route may ask of a head beside its path: header fields and query parameters.

A name has one value. Lines of one field are joined with ", " (RFC 9110 5.3), repeated parameters
with "&": who sends two values has sent neither, and no two readers can disagree about which one
counts. Only fields that are forwarded as they are can be asked for; what Connection names is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

HEADER: Final = "header"
QUERY: Final = "query"
PARAMETERS_LIMIT: Final = 256  # of a query that are looked at


@dataclass(frozen=True, slots=True)
class Condition:
    """A field or parameter that has to be there. value: the one it must have; None for any."""

    where: str
    name: bytes
    value: bytes | None = None


class Facts:
    """The values of one head's fields and parameters, read when they are first asked for.

    lines: of the head, each after a CR LF. query: with its '?', or empty.
    """

    __slots__ = ("_headers", "_lines", "_lower", "_parameters", "_query")

    def __init__(self, lines: bytes, query: bytes) -> None:
        self._lines = lines
        self._lower: bytes | None = None
        self._headers: dict[bytes, bytes | None] = {}
        self._query = query
        self._parameters: dict[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Facts headers={len(self._headers)} query={len(self._query)}>"

    def value(self, where: str, name: bytes) -> bytes | None:
        """The value of a name, which is in lower case if it is a header's, or None."""
        if where == HEADER:
            if name not in self._headers:
                self._headers[name] = self._header(name)
            return self._headers[name]
        if self._parameters is None:
            self._parameters = parameters(self._query)
        return self._parameters.get(name)

    def _header(self, name: bytes) -> bytes | None:
        if self._lower is None:
            self._lower = self._lines.lower()
        values = _values(self._lines, self._lower, name)
        return b", ".join(values) if values else None


class Question:
    """One name that routes ask about, and the values that make a difference to them."""

    __slots__ = ("_codes", "name", "where")

    def __init__(self, where: str, name: bytes, values: Iterable[bytes]) -> None:
        self.where = where
        self.name = name
        self._codes = {value: b"%d" % index for index, value in enumerate(sorted(values))}

    def __repr__(self) -> str:
        return f"<Question {self.where} {self.name.decode()} values={len(self._codes)}>"

    def code(self, facts: Facts) -> bytes:
        """A short name for the answer: all values that no route knows have the same."""
        value = facts.value(self.where, self.name)
        return b"-" if value is None else self._codes.get(value, b"*")


def header_values(lines: bytes, name: bytes) -> list[bytes]:
    """The values of a field, a line each, without outer space. name: in lower case."""
    return _values(lines, lines.lower(), name)


def _values(lines: bytes, lower: bytes, name: bytes) -> list[bytes]:
    found: list[bytes] = []
    start = b"\r\n" + name + b":"
    at = lower.find(start)
    while at >= 0:
        at += len(start)
        end = lines.find(b"\r\n", at)
        found.append((lines[at:] if end < 0 else lines[at:end]).strip(b" \t"))
        at = lower.find(start, at)
    return found


def parameters(query: bytes) -> dict[bytes, bytes]:
    """The parameters of a query with its '?', decoded; several of one name joined with '&'."""
    found: dict[bytes, bytes] = {}
    # A query of thousands would cost more than the whole request; what follows is left out.
    for pair in query[1:].split(b"&", PARAMETERS_LIMIT)[:PARAMETERS_LIMIT]:
        if pair:
            key, _, value = pair.partition(b"=")
            name, content = _decoded(key), _decoded(value)
            found[name] = found[name] + b"&" + content if name in found else content
    return found


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def cookie(lines: bytes, name: bytes) -> bytes | None:
    """The value of the first cookie of that name, or None (RFC 6265 5.4)."""
    for value in header_values(lines, b"cookie"):
        for pair in value.split(b";"):
            key, _, content = pair.strip(b" \t").partition(b"=")
            if key == name and content:
                return content
    return None
