"""The heads of most requests, recognised and taken apart by one expression.

What it accepts is a subset of what `request` accepts, with the same result: no body, no field that
means anything to a proxy but Host, `Connection: keep-alive` and one credential, no path that is
not normal already. Its cost is that of its bytes, 1.5 us for eight lines; line by line it is 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from uaitools.proxy.http1.fields import CONTROL_NAMES, FORGEABLE_PREFIXES


def _any_case(text: bytes) -> bytes:
    """An expression for `text` in any case; the flag for that costs twice as much."""
    return b"".join(
        b"[%c%c]" % (c, c ^ 0x20) if chr(c).isalpha() else re.escape(b"%c" % c) for c in text
    )


def _any_of(names: Iterable[bytes]) -> bytes:
    """An expression for the names, decided by their first letters."""
    groups = groupby(sorted(names), key=lambda name: name[:1])
    return b"|".join(
        _any_case(first) + b"(?:" + b"|".join(_any_case(name[1:]) for name in group) + b")"
        for first, group in groups
    )


# RFC 9110 5.6.2 without the underscore: names with one are dropped.
_NAME: Final = rb"[!#$%&'*+\-.^`|~0-9A-Za-z]"
_CONTROL: Final = _any_of([*(name + b":" for name in CONTROL_NAMES), *FORGEABLE_PREFIXES])
_FIRST: Final = bytes(
    letter
    for letter in b"abcdefghijklmnopqrstuvwxyz"
    if all(name[0] != letter for name in (*CONTROL_NAMES, *FORGEABLE_PREFIXES))
)
# Nothing is ever tried twice: each repetition keeps what it has taken, here and below.
_LINES: Final = rb"(?:\r\n(?:[%b%b]%b*+|(?!%b)%b++):[\t\x20-\x7e\x80-\xff]*+)*+" % (
    _FIRST,
    _FIRST.upper(),
    _NAME,
    _CONTROL,
    _NAME,
)
# A path that is normal already: no segment is empty or begins with a dot.
_PATH: Final = rb"(?>(?:/[A-Za-z0-9\-_~!$&'()*+,=:@][A-Za-z0-9\-._~!$&'()*+,=:@]*+)++/?|/)"
_QUERY: Final = rb"(?:\?[\x21\x22\x24-\x7e]*+)?+"
_HOST: Final = rb"[A-Za-z0-9\-.]++(?::[0-9]{1,5}+)?+"
_CREDENTIAL: Final = rb"(\r\n(?:[Aa]uthorization|[Xx]-[Aa][Pp][Ii]-[Kk]ey):[\t\x20-\x7e]*+)?+"
_HEAD: Final = re.compile(
    rb"(GET|HEAD|DELETE|OPTIONS) (%b)(%b) HTTP/1\.1\r\nHost: (%b)(%b)"
    rb"(?:\r\n[Cc]onnection: [Kk]eep-[Aa]live)?+(%b)%b(%b)"
    % (_PATH, _QUERY, _HOST, _LINES, _LINES, _CREDENTIAL, _LINES)
)
# A match has the groups method, path, query, host, lines, more lines, the line of a credential
# after its CR LF, or None, and more lines.
match_usual: Final = _HEAD.fullmatch
