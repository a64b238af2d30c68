from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.traffic.periods import bounds


def by_datetime(period: str, at: int) -> tuple[int, int]:
    """The same by the standard library, which knows the calendar from elsewhere: the oracle."""
    begins = datetime.fromtimestamp(at, UTC).replace(minute=0, second=0)
    if period == "hour":
        ends = begins + timedelta(hours=1)
    elif period == "day":
        begins = begins.replace(hour=0)
        ends = begins + timedelta(days=1)
    else:
        begins = begins.replace(hour=0, day=1)
        ends = (begins + timedelta(days=32)).replace(day=1)
    return int(begins.timestamp()), int(ends.timestamp())


@given(
    st.sampled_from(("hour", "day", "month")),
    st.datetimes(datetime(1, 2, 1), datetime(9999, 11, 30), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_a_period_is_the_calendars_in_utc(period: str, moment: datetime) -> None:
    at = int(moment.timestamp())

    assert bounds(period, at) == by_datetime(period, at)


def test_every_month_of_400_years_has_the_calendars_length() -> None:
    at = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())
    for _ in range(400 * 12):
        assert bounds("month", at) == by_datetime("month", at)
        assert bounds("month", at - 1)[1] == at  # the last second is the month's before
        at = bounds("month", at)[1]


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-12-31T23:59:59", "2027-01-01"),
        ("2028-02-29T12:00:00", "2028-03-01"),  # a leap year
        ("2100-02-28T12:00:00", "2100-03-01"),  # none, a century
        ("2000-02-29T12:00:00", "2000-03-01"),  # one, 400 years
        ("2026-01-31T12:00:00", "2026-02-01"),
    ],
)
def test_a_month_ends_with_its_last_day(now: str, ends: str) -> None:
    at, end = (
        int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in (now, ends)
    )

    assert bounds("month", at)[1] == end
