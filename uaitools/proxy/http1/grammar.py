"""The grammar of HTTP/1.1 messages and the error for what breaks it.

Every expression is used with `fullmatch`, so nothing may precede or follow it. They work on
bytes and never hand a wire value to `int()` unless it consists of ASCII digits (`+5`, `0_1`
and digits of other scripts are numbers to Python, not to HTTP).
"""

from __future__ import annotations

import re
from typing import Final

from uaitools.errors import ServiceError

REQUEST_LINE_LIMIT: Final = 8 * 1024
HEAD_LIMIT: Final = 16 * 1024
FIELD_COUNT_LIMIT: Final = 100

# RFC 9110 9.3 and RFC 5789, without CONNECT and TRACE, which a gateway does not take.
COMMON_METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
)
# RFC 9110 5.6.2.
TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 5.5: no CTL but HTAB, obs-text allowed.
FIELD_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# RFC 9112 3.2, before its forms are told apart: no CTL, no space, no '#', nothing from 0x80 on.
TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")
BARE_LF: Final = re.compile(rb"(?<!\r)\n")
VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
# RFC 9112 4. Servers exist that leave out the reason and its space; nothing hides in that.
STATUS_LINE: Final = re.compile(
    rb"HTTP/([0-9])\.([0-9]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?"
)
CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# RFC 3986 3.2.2: a registered name, an IPv4 or a bracketed IPv6 address, then a port.
AUTHORITY: Final = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
)
# RFC 9112 7.1. 13 digits stay below 2**53; extensions are checked, bounded and dropped.
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
# X-Request-Timeout: at most 11 days. Zero would be a request that nobody waits for.
MILLISECONDS: Final = re.compile(rb"[1-9][0-9]{0,8}")
# W3C Trace Context 3.2: version 00, not all zeros (checked by the caller).
TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class MessageError(ServiceError):
    """A message that breaks the grammar; the connection it came on cannot go on.

    allow: the methods to name in Allow, for a 405.
    """

    def __init__(self, code: int, message: str, allow: bytes = b"") -> None:
        super().__init__(code, message, "proxy")
        self.allow = allow


def list_members(value: bytes) -> list[bytes]:
    """The members of a comma-separated value, lower-case, without empty ones (RFC 9110 5.6.1)."""
    return [member for part in value.split(b",") if (member := part.strip(b" \t").lower())]
