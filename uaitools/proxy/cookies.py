"""Cookies of a request, read strictly: one value by its name, or none (RFC 6265 4.2.1).

A request head has at most 16 KiB; one pass over it at the speed of C finds a cookie.
"""

from __future__ import annotations

import re
from typing import Final

# cookie-octet (RFC 6265 4.1.1), in quotes or not.
_VALUE: Final = re.compile(
    rb'[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*|"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"'
)
_LINE: Final = re.compile(rb"\r\n[Cc][Oo][Oo][Kk][Ii][Ee]:([^\r]*)")


def cookie(lines: bytes, name: bytes) -> bytes | None:
    """The value of the cookie `name` in the header lines of a request, each after a CR LF.

    None when there is none, when there are several, since nobody can say which one is meant, and
    when its value is not one that a server could have set.
    """
    found: list[bytes] = []
    for line in _LINE.findall(lines):
        for pair in line.split(b";"):
            key, equals, value = pair.partition(b"=")
            if equals and key.strip(b" \t") == name:
                found.append(value.strip(b" \t"))
    if len(found) != 1 or _VALUE.fullmatch(found[0]) is None:
        return None
    return found[0].removeprefix(b'"').removesuffix(b'"')


def set_cookie(name: bytes, value: bytes, max_age: int, *, secure: bool) -> bytes:
    """A Set-Cookie line, ended by CR LF, that scripts cannot read and other sites not send along.

    secure: only over https.
    """
    return b"Set-Cookie: %b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%b\r\n" % (
        name,
        value,
        max_age,
        b"; Secure" if secure else b"",
    )


def without_cookie(lines: bytes, name: bytes) -> bytes:
    """Header lines, each ended by CR LF, without those that set the cookie `name`."""
    start = b"Set-Cookie: " + name + b"="
    return b"".join(
        [line for line in lines.splitlines(keepends=True) if not line.startswith(start)]
    )
