import pytest

from uaitools.traffic.limits import NANO, Quota, Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 1, 100)),
        ("600/10m", Rate(600, 600, 600)),
        ("5/h", Rate(5, 3600, 5)),
        ("1/d", Rate(1, 86_400, 1)),
    ],
)
def test_a_rate_is_written_as_a_count_and_a_period(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert Rate.parse(text, burst=7).burst == 7


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1/0s", "1/ms", "1.5/s", "1/s ", "x/s"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="100/s"):
        Rate.parse(text)


def test_a_burst_that_would_refuse_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="burst"):
        Rate.parse("1/s", burst=0)


@pytest.mark.parametrize(("text", "burst"), [("1/400d", 1), ("1/d", 400), ("1/s", 10**9)])
def test_what_64_bits_of_nanoseconds_cannot_hold_is_refused(text: str, burst: int) -> None:
    with pytest.raises(ValueError, match="366 days"):
        Rate.parse(text, burst)


def test_a_call_costs_whole_nanoseconds_to_the_limits_side() -> None:
    assert Rate.parse("3/s").interval == 333_333_334
    assert Rate.parse("100/s", burst=5).capacity == 5 * NANO // 100


def test_a_quota_is_written_as_a_count_and_a_calendar_period() -> None:
    assert Quota.parse("10000/day") == Quota(10_000, "day")
    assert str(Quota.parse("5/month")) == "5/month"


@pytest.mark.parametrize("text", ["", "10", "10/s", "0/day", "10/days", "1e3/day", "10/year"])
def test_what_is_no_quota_is_refused_with_the_periods(text: str) -> None:
    with pytest.raises(ValueError, match="hour, a day or a month"):
        Quota.parse(text)
