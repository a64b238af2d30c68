import pytest
from pydantic import ValidationError

from uaitools.limits.config import LimitsConfig, LimitSettings
from uaitools.traffic.limits import Quota, Rate


def settings(value: object) -> LimitSettings:
    return LimitSettings.model_validate(value)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("100/s", Rate(100, 1, 100)),
        ("600/10m", Rate(600, 600, 600)),
        ("10000/day", Quota(10_000, "day")),
        ({"rate": "100/s", "burst": 10}, Rate(100, 1, 10)),
        ({"quota": "5/month"}, Quota(5, "month")),
    ],
)
def test_a_limit_is_a_text_or_a_table(written: object, rule: Rate | Quota) -> None:
    limit = settings(written).limit()

    assert (limit.rule, limit.key) == (rule, "principal")


def test_a_limit_is_named_by_its_rule_unless_it_has_a_name() -> None:
    assert settings("100/s").limit().name == "100/s"
    assert settings({"quota": "5/day", "name": "free"}).limit().name == "free"


@pytest.mark.parametrize("key", ["principal", "address", "route", "header:x-tenant"])
def test_a_limit_counts_by_its_key(key: str) -> None:
    assert settings({"rate": "1/s", "key": key}).limit().key == key


def test_a_header_s_name_has_no_case() -> None:
    assert settings({"rate": "1/s", "key": "header:X-Tenant"}).limit().key == "header:x-tenant"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("100", "100/s or 600/10m"),
        ("1/year", "100/s or 600/10m"),
        ("0/day", "an hour, a day or a month"),
        ({}, "either a rate, as 100/s, or a quota"),
        ({"rate": "1/s", "quota": "1/day"}, "either a rate, as 100/s, or a quota"),
        ({"quota": "1/day", "burst": 2}, "a burst belongs to a rate"),
        ({"rate": "1/s", "burst": 0}, "greater than or equal to 1"),
        ({"rate": "1/s", "key": "ip"}, "principal, address, route or header:NAME"),
        ({"rate": "1/s", "key": "header:"}, "principal, address, route or header:NAME"),
        ({"rate": "1/s", "key": "header:a b"}, "principal, address, route or header:NAME"),
        ({"rate": "1/s", "name": 'a"b'}, "printable ASCII"),
        ({"rate": "1/s", "name": "a\r\nb"}, "printable ASCII"),
        ({"rate": "1/s", "brust": 2}, "Extra inputs"),
    ],
)
def test_what_is_no_limit_is_refused_and_says_what_is(written: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        settings(written)


@pytest.mark.parametrize(
    "wrong", [{"on_error": "ignore"}, {"timeout": 0}, {"batch": -1}, {"slots": 1}]
)
def test_the_table_of_limits_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LimitsConfig.model_validate(wrong)
