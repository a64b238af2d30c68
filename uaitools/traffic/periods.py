"""Calendar periods in UTC, by arithmetic on whole seconds of Unix time.

Days become dates by counting in eras of 400 years that begin on 1 March, so that the leap day is
the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
`civil_from_days` and `days_from_civil`). Unix time has no leap seconds, hence neither has this.
"""

from __future__ import annotations

from typing import Final

HOUR: Final = 3600
DAY: Final = 86_400
_ERA: Final = 146_097  # days in 400 years
_EPOCH: Final = 719_468  # days from 1 March of year 0 to 1 January 1970


def bounds(period: str, at: int) -> tuple[int, int]:
    """The beginning and the end, in Unix seconds, of the hour, day or month that holds `at`."""
    if period == "month":
        year, month = month_of(at // DAY)
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        return first_day(year, month) * DAY, first_day(*following) * DAY
    length = HOUR if period == "hour" else DAY
    begins = at - at % length
    return begins, begins + length


def month_of(days: int) -> tuple[int, int]:
    """Year and month (1 to 12) of a day, which is counted from 1 January 1970."""
    era, day = divmod(days + _EPOCH, _ERA)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # from March
    return era * 400 + year + (month >= 10), month + 3 if month < 10 else month - 9


def first_day(year: int, month: int) -> int:
    """The day on which a month begins, counted from 1 January 1970."""
    era, of_era = divmod(year - (month <= 2), 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH
