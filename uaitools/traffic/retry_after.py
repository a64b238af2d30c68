"""What a Retry-After asks for: RFC 9110 10.2.3, seconds or a date."""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import parsedate
from typing import Final

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


def seconds_asked(value: bytes, wall: float) -> float | None:
    """Seconds that one value of the field asks to wait; None for what is no valid value.

    wall: now, in unix seconds, for a date; one that has passed is 0.
    """
    value = value.strip(b" \t")
    if _SECONDS.fullmatch(value) is not None:
        return float(value)
    if _DATE.fullmatch(value) is None:
        return None
    parsed = parsedate(value.decode())
    if parsed is None:
        return None
    return max(0.0, timegm(parsed) - wall)
