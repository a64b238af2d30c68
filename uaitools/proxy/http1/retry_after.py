"""Retry-After of a response, read only when it matters."""

from __future__ import annotations

import re
from typing import Final

from uaitools.traffic.retry_after import seconds_asked

# Read from the lines that are forwarded: so few responses carry one that a head's parser need not
# look for it.
_FIELD: Final = re.compile(rb"\r\n[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]:([^\r]*)(?=\r\n)")


def retry_after(lines: bytes, wall: float) -> float | None:
    """Seconds that a response asks to wait, or None when it does not say.

    lines: ResponseHead.start. wall: now, in unix seconds, for a date; one that has passed is 0.
    What is no valid value counts as none; of several the longest.
    """
    waits = [seconds_asked(value, wall) for value in _FIELD.findall(lines)]
    return max((wait for wait in waits if wait is not None), default=None)
