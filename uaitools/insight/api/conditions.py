"""What a request says of copies: which one it has, and how old one may be. Pure."""

from __future__ import annotations

import re
from math import inf
from typing import Final

_TAGS: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_DIRECTIVE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]*)))?"
)
_SECONDS: Final = re.compile(rb"[0-9]{1,10}")
NONE_KEPT: Final = -1.0
"""No copy is as young as that."""


def has(if_none_match: bytes, tag: bytes) -> bool:
    """Whether a client has the representation with a tag: weak comparison (RFC 9110 13.1.2)."""
    return if_none_match == b"*" or tag in _TAGS.findall(if_none_match)


def oldest(cache_control: bytes) -> float:
    """How old a copy may be, in seconds: what a request's Cache-Control says (RFC 9111 5.2.1).

    no-cache and no-store have it made anew, max-age bounds its age; max-stale and the rest do not
    count. A max-age that is none has no copy used that took a second.
    """
    if not cache_control:
        return inf
    bound = inf
    for name, quoted, plain in _DIRECTIVE.findall(cache_control):
        match name.lower():
            case b"no-cache" | b"no-store":
                return NONE_KEPT
            case b"max-age":
                bound = min(bound, _seconds(quoted or plain))
    return bound


def _seconds(text: bytes) -> float:
    if _SECONDS.fullmatch(text) is None:
        return inf if text.isdigit() else 0.0
    return float(text)
