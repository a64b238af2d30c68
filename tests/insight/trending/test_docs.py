"""What docs/insight.md says of trending, computed again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tests.insight.trending.snapshots import TODAY, computed, snapshots
from uaitools.insight.trending import formula
from uaitools.insight.trending.trend import Flag, trend
from uaitools.insight.trending.window import Window

DOCS = (Path(__file__).parents[3] / "docs" / "insight.md").read_text()
SECTION = DOCS.partition("\n## Trending\n")[2].partition("\n## ")[0]


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first column has this title."""
    _, _, text = SECTION.partition(f"\n| {first} |")
    rows = text.partition("\n\n")[0].split("\n")[2:]
    return [[cell.strip(" `") for cell in row.strip().strip("|").split("|")] for row in rows]


def test_the_worked_examples_come_out() -> None:
    rows = table("stars")

    assert len(rows) == 7
    for row in rows:
        stars, forks, earlier, gain, forks_gain = (
            int(cell.replace(",", "")) if cell else None for cell in row[:5]
        )
        assert None not in (stars, forks, gain, forks_gain)
        found = trend(
            snapshots(
                stars or 0, gain or 0, earlier=earlier, forks=forks or 0, forks_gain=forks_gain or 0
            ),
            as_of=TODAY,
            window=Window.WEEK,
        )
        terms = (found.expected, found.surprise, found.corroboration)
        assert [f"{term:.2f}" for term in terms] == row[5:8]
        assert str(found.shown) == row[8] == f"{computed(found):.1f}"


def test_the_constants_and_the_version_are_those_of_the_formula() -> None:
    rows = table("constant")

    for name, value, _ in rows:
        assert getattr(formula, name) == float(value)
    constants = {name for name, value in vars(formula).items() if isinstance(value, float)}
    assert {row[0] for row in rows} == constants
    assert f"Version {formula.VERSION}." in SECTION


def test_every_flag_is_told_in_the_order_of_flags() -> None:
    assert [row[0] for row in table("flag")] == list(get_args(Flag))


def test_the_formula_is_told_in_the_words_of_its_module() -> None:
    told, said = (
        re.findall(r"^    +\S.*$", text, re.MULTILINE) for text in (SECTION, formula.__doc__ or "")
    )

    assert told == said
    assert told[0].startswith("    prior ")
    assert told[-1].startswith("    score ")
