"""Unix seconds as dates, without a clock and for any year. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import median
from typing import Final

DAY: Final = 86_400
WEEK: Final = 7 * DAY
WEEKS: Final = 52
YEAR: Final = WEEKS * WEEK  # what "the last year" means here

_ERA: Final = 146_097  # days in 400 years


def rfc3339(seconds: int) -> str:
    """`2026-01-31T12:00:00Z`."""
    rest = seconds % DAY
    return f"{day(seconds)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def day(seconds: int) -> str:
    """`2026-01-31`, in UTC. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"."""
    era, within = divmod(seconds // DAY + 719_468, _ERA)  # years begin in March, eras in 0000
    year = (within - within // 1460 + within // 36_524 - within // (_ERA - 1)) // 365
    of_year = within - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    date = of_year - (153 * shifted + 2) // 5 + 1
    return f"{400 * era + year + (month <= 2):04}-{month:02}-{date:02}"


def days_before(seconds: int, as_of: int) -> int:
    """Whole days from one to the other."""
    return (as_of - seconds) // DAY


def median_gap(days: Iterable[int]) -> float | None:
    """The median of the days between days on which something was; None for less than two."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(set(days)))]
    return float(median(gaps)) if gaps else None
