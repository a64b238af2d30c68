from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.analysis.dates import DAY, day, days_before, median_gap, rfc3339
from uaitools.insight.analysis.errors import NotAClone
from uaitools.insight.analysis.origin import Origin, origin
from uaitools.insight.analysis.settings import settings
from uaitools.insight.analysis.texts import readable


@given(st.binary(), st.integers(1, 50))
def test_any_bytes_become_text_that_can_be_seen(raw: bytes, most: int) -> None:
    text = readable(raw, most)

    assert text.isprintable()
    assert len(text) <= most


@given(st.text().filter(str.isprintable))
def test_text_that_can_be_seen_stays(text: str) -> None:
    assert readable(text.encode(), len(text) or 1) == text


def test_what_cannot_be_seen_is_written_out() -> None:
    assert readable(b"\x1b[31m\xff\n") == r"\x1b[31m\xff\n"
    assert readable("\u202eevil".encode()) == r"\u202eevil"


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are without one
def test_dates_are_those_of_the_calendar(at: datetime) -> None:
    at = at.replace(microsecond=0)
    assert rfc3339(int(at.timestamp())) == at.isoformat().replace("+00:00", "Z")


def test_a_date_that_no_datetime_can_be_is_written_all_the_same() -> None:
    assert day(10**15).startswith("316")
    assert days_before(-DAY, DAY) == 2


@pytest.mark.parametrize(
    ("days", "gap"), [([], None), ([3], None), ([3, 3], None), ([1, 3, 9], 4), ([9, 1], 8)]
)
def test_the_median_gap_is_between_different_days(days: list[int], gap: float | None) -> None:
    assert median_gap(days) == gap


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://github.com/owner/name/",
        "https://user:secret@GitHub.com:443/owner/name.git",
        "ssh://git@github.com:22/owner/name.git",
        "git@github.com:owner/name.git",
        "git://github.com/owner/name",
    ],
)
def test_an_origin_is_the_same_however_it_is_written(address: str) -> None:
    assert origin(address) == Origin("github.com", "owner/name")


def test_groups_of_an_origin_nest() -> None:
    assert origin("https://gitlab.com/a/b/c.git") == Origin("gitlab.com", "a/b/c")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/srv/git/name.git",
        "../name",
        "file:///srv/name",
        "ext::sh -c touch% /tmp/x",
        "https://github.com/",
        "https://github.com/name",
        "https://github.com/../../x",
        "https://github.com/owner/na me",
        "https://github.com/owner/name?token=x",
        "C:\\name",
        "https://h/" + "a/" * 2000,
    ],
)
def test_what_is_no_address_of_a_repository_has_no_origin(address: str) -> None:
    assert origin(address) is None


@given(st.text())
def test_any_text_may_be_asked_for_its_origin(text: str) -> None:
    assert origin(text) is None or "/" in text


def test_settings_are_those_that_a_clone_is_asked_for() -> None:
    listed = (
        b"core.bare\nfalse\0extensions.objectformat\nsha256\0remote.origin.promisor\ntrue\0"
        b"remote.x.tagopt\n--no-tags\0remote.origin.url\nhttps://h.org/a/b\0core.pager\nevil\0novalue\0"
    )
    told = settings(listed)

    assert (told.object_format, told.partial, told.tags) == ("sha256", True, False)
    assert told.origin == Origin("h.org", "a/b")
    assert settings(b"").tags is True


@pytest.mark.parametrize(
    "listed", [b"extensions.refstorage\nreftable\0", b"extensions.objectformat\nmd5\n[x]\0"]
)
def test_a_format_that_is_not_read_is_refused(listed: bytes) -> None:
    with pytest.raises(NotAClone):
        settings(listed)


@given(st.binary())
def test_any_configuration_is_read_or_refused(listed: bytes) -> None:
    assert settings(listed).object_format in {"sha1", "sha256"}
