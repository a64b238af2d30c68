"""The request target: one path, normalised so that a guard and the upstream see the same.

RFC 3986 6.2.2: percent-encoded unreserved characters are decoded, other escapes upper-cased,
dot segments and duplicate slashes removed. `%2F` stays apart from `/`. What an upstream could
still read as another path (`..%2f`, `..;x`, a backslash, an encoded NUL) is refused.
"""

from __future__ import annotations

import re
from typing import Final

from uaitools.proxy.http1.grammar import AUTHORITY, TARGET, MessageError

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
# A dot segment that only some servers would see: next to an encoded slash, or with parameters.
_HIDDEN_DOTS: Final = re.compile(rb"(?:^|/|%2F|%5C)\.\.?(?:;[^/]*|%2F[^/]*|%5C[^/]*)(?:/|$)")
_HIDDEN_TAIL: Final = re.compile(rb"(?:%2F|%5C)\.\.?(?:/|$)")
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]+)([/?].*)?")


def parse_target(target: bytes, method: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Split a target into (normalised path, query with its '?' or empty, authority or None).

    Origin form, absolute form, and `*` for OPTIONS. Raises MessageError 400 for anything else.
    """
    if TARGET.fullmatch(target) is None:
        raise MessageError(400, "the request target has a character that must be percent-encoded")
    authority: bytes | None = None
    if not target.startswith(b"/"):
        if target == b"*" and method == b"OPTIONS":
            return b"*", b"", None
        match = _ABSOLUTE.fullmatch(target)
        if match is None or AUTHORITY.fullmatch(match[1]) is None:
            raise MessageError(400, "the request target must be a path or an http URL")
        authority = match[1]
        target = match[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    path, mark, query = target.partition(b"?")
    return normalise(path), mark + query, authority


def normalise(path: bytes) -> bytes:
    """The one spelling of `path`; MessageError 400 when servers would disagree about it."""
    if b"\\" in path:
        raise MessageError(400, "a backslash in a path must be sent as %5C")
    path = _ESCAPE.sub(_decode_unreserved, path)
    if _HIDDEN_DOTS.search(path) is not None or _HIDDEN_TAIL.search(path) is not None:
        raise MessageError(400, "a dot segment beside an encoded slash or a parameter is ambiguous")
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    # A path that ends in a slash or a dot segment names a directory and keeps its slash.
    directory = kept and path.endswith((b"/", b"/.", b"/.."))
    return b"/" + b"/".join(kept) + (b"/" if directory else b"")


def _decode_unreserved(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise MessageError(400, "a percent sign in a path must begin an escape such as %20")
    byte = int(digits, 16)
    if byte == 0:
        raise MessageError(400, "a path must not contain %00")
    return bytes((byte,)) if byte in _UNRESERVED else match[0].upper()
