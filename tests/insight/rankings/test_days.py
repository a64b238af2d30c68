from __future__ import annotations

from datetime import date

import pytest

from uaitools.insight.rankings.days import day_of


@pytest.mark.parametrize(
    "file",
    [
        "github-ranking-2024-02-29.csv",
        "/data/2023-01-01/github-ranking-2024-02-29.csv",
        "2024-02-29.csv.part",
        "from-2024-02-29-to-2024-02-29.csv",
    ],
)
def test_the_day_is_the_one_in_the_name(file: str) -> None:
    assert day_of(file) == date(2024, 2, 29)


@pytest.mark.parametrize(
    "file",
    [
        "ranking.csv",
        "2024-02-11/ranking.csv",
        "github-ranking-2023-02-29.csv",
        "github-ranking-2024-13-01.csv",
        "github-ranking-12024-02-11.csv",
        "github-ranking-2024-02-111.csv",
        "2024-02-11-2024-02-12.csv",
        "",
    ],
)
def test_a_name_without_one_day_of_the_calendar_is_refused(file: str) -> None:
    with pytest.raises(ValueError, match="its name"):
        day_of(file)
