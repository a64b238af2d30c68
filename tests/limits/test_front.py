"""Checks in one process."""

import re
import time

import pytest

from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.traffic.limits import Quota, Rate

NOW = 1000.0
KEY = (b"p=ann",)


def front() -> Limits:
    return Limits(LimitsConfig(slots=64))


def fields(lines: bytes) -> dict[bytes, list[bytes]]:
    assert lines.endswith(b"\r\n")
    found: dict[bytes, list[bytes]] = {}
    for line in lines.removesuffix(b"\r\n").split(b"\r\n"):
        name, value = line.split(b": ", 1)
        found.setdefault(name, []).append(value)
    return found


def test_a_passing_call_says_what_is_allowed_and_what_is_left() -> None:
    verdict = front().check((Limit("api", Rate(100, 60, 100)),), KEY, NOW)

    assert verdict is not None
    assert verdict.refused is None
    assert verdict.lines == (b'RateLimit-Policy: "api";q=100;w=60\r\nRateLimit: "api";r=99;t=1\r\n')


def test_a_refused_call_says_when_there_is_more() -> None:
    limits, limit = front(), (Limit("api", Rate(2, 60, 2)),)
    for _ in range(2):
        limits.check(limit, KEY, NOW)

    verdict = limits.check(limit, KEY, NOW + 0.5)

    assert verdict is not None
    assert verdict.refused is limit[0]
    assert verdict.retry_after == pytest.approx(29.5)
    assert fields(verdict.lines)[b"RateLimit"] == [b'"api";r=0;t=30']
    error = verdict.error("proxy")
    assert (error.code, error.retry_after) == (429, 30)
    assert error.message == "the limit api of 2/m is used up; try again in 30 s"


def test_a_quota_says_the_end_of_its_period() -> None:
    limits, limit = front(), (Limit("free", Quota(10, "hour")),)
    left = 3600 - time.time() % 3600

    verdict = limits.check(limit, KEY, time.monotonic())

    assert verdict is not None
    found = fields(verdict.lines)
    assert found[b"RateLimit-Policy"] == [b'"free";q=10;w=3600']
    match = re.fullmatch(rb'"free";r=9;t=([0-9]+)', found[b"RateLimit"][0])
    assert match is not None
    assert int(match[1]) % 3600 == pytest.approx(left % 3600, abs=2)


def test_a_month_has_no_window_in_seconds() -> None:
    verdict = front().check((Limit("m", Quota(10, "month")),), KEY, time.monotonic())

    assert verdict is not None
    assert fields(verdict.lines)[b"RateLimit-Policy"] == [b'"m";q=10']


def test_several_limits_are_all_told() -> None:
    limits = (Limit("a", Rate(10, 1, 10)), Limit("b", Rate(100, 60, 100), "address"))

    verdict = front().check(limits, KEY * 2, NOW)

    assert verdict is not None
    assert fields(verdict.lines) == {
        b"RateLimit-Policy": [b'"a";q=10;w=1', b'"b";q=100;w=60'],
        b"RateLimit": [b'"a";r=9;t=1', b'"b";r=99;t=1'],
    }


def test_of_several_refusals_the_longest_answers() -> None:
    short, long = Limit("short", Rate(1, 1, 1)), Limit("long", Rate(1, 60, 1))
    limits = front()
    limits.check((short, long), KEY * 2, NOW)

    verdict = limits.check((short, long), KEY * 2, NOW + 0.5)

    assert verdict is not None
    assert verdict.refused is long
    assert verdict.retry_after == pytest.approx(59.5)


def test_what_one_limit_refuses_costs_the_others_nothing() -> None:
    wide, narrow = Limit("wide", Rate(10, 60, 10)), Limit("narrow", Rate(1, 60, 1))
    limits = front()
    for _ in range(50):
        limits.check((wide, narrow), KEY * 2, NOW)

    verdict = limits.check((wide,), KEY, NOW)

    assert verdict is not None
    assert fields(verdict.lines)[b"RateLimit"] == [b'"wide";r=8;t=6']


def test_limits_of_one_key_count_apart_and_the_same_limit_goes_on_after_a_reload() -> None:
    limits = front()
    assert limits.check((Limit("a", Rate(1, 60, 1)),), KEY, NOW)

    for changed in (
        Limit("b", Rate(1, 60, 1)),
        Limit("a", Rate(2, 60, 1)),
        Limit("a", Rate(1, 60, 2)),
        Limit("a", Rate(1, 60, 1), "address"),
    ):
        verdict = limits.check((changed,), KEY, NOW)
        assert verdict is not None
        assert verdict.refused is None

    again = limits.check((Limit("a", Rate(1, 60, 1)),), KEY, NOW)
    assert again is not None
    assert again.refused is not None


def test_no_limit_lets_everything_pass() -> None:
    verdict = front().check((), (), NOW)

    assert verdict is not None
    assert (verdict.refused, verdict.lines) == (None, b"")


def test_an_admitted_call_has_no_error() -> None:
    verdict = front().check((Limit("a", Rate(1, 60, 1)),), KEY, NOW)

    assert verdict is not None
    with pytest.raises(ValueError, match="admitted"):
        verdict.error("proxy")


@pytest.mark.parametrize("name", ["", "a\r\nX: y", "\u00e9"])
def test_a_limit_s_name_is_fit_for_a_header(name: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Limit(name, Rate(1, 1, 1))


def test_a_name_is_quoted() -> None:
    verdict = front().check((Limit('a"\\', Rate(1, 1, 1)),), KEY, NOW)

    assert verdict is not None
    assert b'RateLimit: "a\\"\\\\";r=0;t=1\r\n' in verdict.lines


def test_many_verdicts_are_not_all_remembered() -> None:
    limits, limit = front(), Limit("a", Rate(10_000, 60, 10_000))
    for _ in range(3000):
        limits.check((limit,), KEY, NOW)

    assert len(limit._verdicts) <= 1024  # noqa: SLF001 - the bound is the point
