"""Retry-After of a response: RFC 9110 10.2.3, seconds or a date, read only when it matters."""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import parsedate
from typing import Final

# Read from the lines that are forwarded: so few responses carry one that a head's parser need not
# look for it.
_FIELD: Final = re.compile(rb"\r\n[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]:([^\r]*)(?=\r\n)")
_SECONDS: Final = re.compile(rb"[0-9]{1,9}")
_MONTH: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_YEAR: Final = rb"[1-9][0-9]{3}"
_TIME: Final = rb"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_DAY: Final = rb"(?:0[1-9]|[12][0-9]|3[01])"
# RFC 9110 5.6.7: IMF-fixdate, and the two obsolete forms that a recipient has to understand.
_DATE: Final = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), %b %b %b %b GMT"
    rb"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, %b-%b-[0-9]{2} %b GMT"
    rb"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) %b (?:%b| [1-9]) %b %b"
    % (_DAY, _MONTH, _YEAR, _TIME, _DAY, _MONTH, _TIME, _MONTH, _DAY, _TIME, _YEAR)
)


def retry_after(lines: bytes, wall: float) -> float | None:
    """Seconds that a response asks to wait, or None when it does not say.

    lines: ResponseHead.start. wall: now, in unix seconds, for a date; one that has passed is 0.
    What is no valid value counts as none; of several the longest.
    """
    waits = [_seconds(value.strip(b" \t"), wall) for value in _FIELD.findall(lines)]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(value: bytes, wall: float) -> float | None:
    if _SECONDS.fullmatch(value) is not None:
        return float(value)
    if _DATE.fullmatch(value) is None:
        return None
    parsed = parsedate(value.decode())
    if parsed is None:
        return None
    return max(0.0, timegm(parsed) - wall)
