"""What a route says about paths: one path, a template of one, or everything below a prefix.

    exact      /status             that path alone
    template   /users/{id}         one segment for each parameter, none of them empty
               /files/{rest...}    and what is left, slashes included, perhaps nothing
    prefix     /api                /api, /api/ and /api/x, not /apis

Paths arrive normalised (http1.target): a parameter never is a dot segment, and `%2F` in one is
no separator, neither here nor in what is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# From the widest to the narrowest.
PREFIX: Final = 0
TEMPLATE: Final = 1
EXACT: Final = 2

_PARAMETER: Final = re.compile(rb"\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}")
PLACEHOLDER: Final = re.compile(rb"\{([A-Za-z_][A-Za-z0-9_]*)\}")
# What redirects may name beside the parameters of their path.
RESERVED: Final = frozenset((b"path", b"query", b"host"))


@dataclass(frozen=True, slots=True)
class Pattern:
    """Paths that a route takes.

    segments: in order, None for a parameter; of a prefix without its final slash. names: of the
    parameters, in order. tail: the name of `{rest...}`, empty when there is none.
    """

    kind: int
    segments: tuple[bytes | None, ...]
    names: tuple[bytes, ...] = ()
    tail: bytes = b""

    @property
    def rank(self) -> tuple[int, ...]:
        """Of two patterns that take a path the one with the higher rank is asked first.

        Exact, then templates with more literal segments, then prefixes and templates with a tail
        by their length. What is equal so far is decided by the first segment that differs: a
        literal one wins.
        """
        if self.kind == EXACT:
            return (EXACT,)
        literal = [int(segment is not None) for segment in self.segments]
        if self.kind == TEMPLATE and not self.tail:
            return (TEMPLATE, sum(literal), *literal)
        return (PREFIX, len(literal), sum(literal), *literal, self.kind)

    def parameters(self, path: bytes) -> dict[bytes, bytes]:
        """The parameters' values in a path that the pattern takes."""
        if not self.names and not self.tail:
            return {}
        parts = path.split(b"/", len(self.segments) + 1)[1:]
        taken = [part for s, part in zip(self.segments, parts, strict=False) if s is None]
        values = dict(zip(self.names, taken, strict=True))
        if self.tail:
            values[self.tail] = parts[-1]
        return values


def parse_pattern(path: bytes, *, exact: bool = False) -> Pattern:
    """The pattern that `path` spells; one with parameters is a template, else it is a prefix.

    Raises ValueError, which says what is expected.
    """
    if b"{" not in path and b"}" not in path:
        if exact:
            return Pattern(EXACT, tuple(path.split(b"/")[1:]))
        bare = path.rstrip(b"/")
        return Pattern(PREFIX, tuple(bare.split(b"/")[1:]))
    if exact:
        raise ValueError("a path with parameters is a template, and exact already")
    return _template(path.split(b"/")[1:])


def _template(parts: list[bytes]) -> Pattern:
    segments: list[bytes | None] = []
    names: list[bytes] = []
    tail = b""
    for index, part in enumerate(parts):
        parameter = _PARAMETER.fullmatch(part)
        if parameter is None:
            if b"{" in part or b"}" in part:
                raise ValueError("a parameter is a whole segment: /users/{id}, /files/{rest...}")
            segments.append(part)
            continue
        name = parameter[1]
        if name in names or name in RESERVED:
            raise ValueError(f"the parameter {name.decode()} is named twice, or path, query, host")
        if parameter[2]:
            if index + 1 < len(parts):
                raise ValueError("a parameter that takes the rest stands at the end: {rest...}")
            tail = name
        else:
            names.append(name)
            segments.append(None)
    return Pattern(TEMPLATE, tuple(segments), tuple(names), tail)


def fill(text: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """`text` with the value of each `{name}` in its place. Raises KeyError for an unknown one."""
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def placeholders(text: bytes) -> list[bytes]:
    """The names that `text` has a `{name}` for, in order."""
    return [match[1] for match in PLACEHOLDER.finditer(text)]
