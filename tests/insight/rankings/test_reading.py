"""Ranking files as they are written, and as they should not be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.rankings.files import (
    FILE,
    HEADER,
    VUE,
    blocks,
    described,
    lines,
    reading,
    reasons,
    rows,
    written,
)
from uaitools.insight.rankings.reading import COLUMNS, Problem, Reading, Row, Unreadable

COUNTS = st.none() | st.integers(0, 500_000)
# What a cell cannot keep: NUL is in no text of PostgreSQL, CR is a line's end, and outer blanks go.
TEXTS = st.text(
    st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"]), max_size=30
).map(lambda text: text.strip() or None)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,9}/[A-Za-z0-9_.]{1,9}x", fullmatch=True)
MOMENTS = st.none() | st.datetimes(datetime(2008, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds have none
ROWS = st.builds(
    Row, NAMES, st.sampled_from([None, "top-100-stars", "C++"]), st.none() | st.integers(1, 100),
    COUNTS, COUNTS, COUNTS, st.sampled_from([None, "C++", "Jupyter Notebook"]), MOMENTS, TEXTS,
)  # fmt: skip


def cells(row: Row) -> dict[str, str]:
    owner, _, name = row.full_name.partition("/")
    known = {
        "rank": row.rank, "item": row.item, "repo_name": name, "stars": row.stars,
        "forks": row.forks, "language": row.language, "username": owner,
        "repo_url": f"https://github.com/{row.full_name}", "issues": row.issues,
        "last_commit": row.last_commit and row.last_commit.isoformat(),
        "description": row.description,
    }  # fmt: skip
    return {column: "" if value is None else str(value) for column, value in known.items()}


@given(
    st.lists(ROWS, max_size=5),
    st.permutations([*COLUMNS, "watchers", "topics"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 50),
)
def test_what_is_written_is_read(
    several: list[Row], columns: Sequence[str], end: str, marked: bool, size: int
) -> None:
    text = written([{**cells(row), "topics": 'a,"b"'} for row in several], columns, end)
    data = b"\xef\xbb\xbf" * marked + text.encode()

    found = Reading(blocks(data, size), FILE)

    assert list(found) == several
    assert (found.problems, found.rows, found.day) == ([], len(several), date(2024, 2, 11))


def test_a_row_of_the_public_data_set() -> None:
    line = described('"🖖 A progressive, ""incremental"" framework"')

    assert rows(lines(line)) == [
        Row(
            "vuejs/vue",
            item="top-100-stars",
            rank=3,
            stars=122_454,
            forks=17_507,
            issues=233,
            language="JavaScript",
            last_commit=datetime(2018, 12, 18, 7, 38, 59, tzinfo=UTC),
            description='🖖 A progressive, "incremental" framework',
        )
    ]


def test_columns_that_are_missing_are_not_known() -> None:
    text = "Stars , USERNAME,repo_name\n12,vuejs,vue\n,vuejs,core\n"

    assert rows(text) == [Row("vuejs/vue", stars=12), Row("vuejs/core")]


def test_line_ends_within_quotes_are_part_of_the_description() -> None:
    text = lines(described('"one\n\ntwo, ""three"""'), described("four"))

    assert [row.description for row in rows(text)] == ['one\n\ntwo, "three"', "four"]


@pytest.mark.parametrize(
    ("cell", "description"),
    [
        ('"the "best" one, ever"', 'the "best" one, ever'),
        ('"never closed', "never closed"),
        ('"closed" too early', 'closed" too early'),
        ('5" screens', '5" screens'),
        ("one\rtwo", "one two"),
        ('""', None),
    ],
)
def test_wrong_quotes_in_a_description_cost_nothing(cell: str, description: str | None) -> None:
    after = described('"A framework"')

    found = rows(lines(described(cell), after, after))

    assert [row.description for row in found] == [description, "A framework", "A framework"]


def test_wrong_quotes_elsewhere_cost_one_line() -> None:
    bad = described("x").replace("JavaScript", '"Java"Script')
    found = reading(lines(bad, described("y"), bad, described('"z"')))

    assert [row.description for row in found] == ["y", "z"]
    assert found.problems == [
        Problem(FILE, 2, "its quotes do not match"),
        Problem(FILE, 4, "its quotes do not match"),
    ]


def test_a_quote_within_a_cell_opens_none() -> None:
    found = reading(lines(described('5" wide,"and"high'), described("y")))

    assert [row.description for row in found] == ["y"]
    assert [problem.reason for problem in found.problems] == ["its quotes do not match"]


def test_a_description_of_very_many_lines_is_a_quote_that_was_not_closed() -> None:
    for more, taken, refused in ((63, "a\n" * 63 + "b", 0), (64, "a", 64)):
        found = reading(lines(described('"' + "a\n" * more + 'b"')))
        assert [row.description for row in found] == [taken]
        assert found.refused == refused


def test_a_quote_that_is_never_closed_takes_no_other_line_with_it() -> None:
    found = reading(lines(described('"open'), *[described("y")] * 3_000), size=4_096)

    assert len(list(found)) == 3_001
    assert found.refused == 0


def test_a_description_may_have_bytes_that_are_no_utf8() -> None:
    data = lines(described("caf\u00e9 \0!")).encode("latin-1")

    assert rows(data)[0].description == "caf\ufffd !"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("-5", "stars: '-5' is no count"),
        ("12O", "stars: '12O' is no count"),
        ("1.5", "stars: '1.5' is no count"),
        ("4000000000", "stars: 4000000000 is more than there can be"),
    ],
)
def test_a_count_that_cannot_be_is_a_problem_and_no_zero(cell: str, reason: str) -> None:
    assert reasons(lines(described("x").replace("122454", cell))) == [reason]


def test_a_count_with_commas_and_without_quotes_is_no_other_count() -> None:
    assert reasons(lines(described("x").replace("122454", "122,454"))) == [
        "it has 12 cells, and the header has 11"
    ]
    assert rows(lines(described("x").replace("122454", '"122,454"')))[0].stars == 122_454


def test_a_line_that_was_cut_off_is_a_problem() -> None:
    found = reading(lines(described("x")) + "4,top-100-stars,react,1178")

    assert [row.full_name for row in found] == ["vuejs/vue"]
    assert [str(problem) for problem in found.problems] == [
        f"{FILE}:3: it has 4 cells, and the header has 11"
    ]


def test_a_row_without_a_name_is_a_problem() -> None:
    nameless = described("x").replace("https://github.com/vuejs/vue,vuejs", ",")

    assert reasons(lines(nameless)) == ["'/vue' is no name of a repository"]


def test_problems_have_the_lines_where_their_records_begin() -> None:
    text = lines(described('"a\nb\nc"'), "", "1,2", described('"d\ne"'), "3")
    found = reading(text)
    list(found)

    assert [problem.line for problem in found.problems] == [6, 9]
    assert repr(found) == f"<Reading {FILE} 2024-02-11 rows=2 refused=2>"


def test_all_problems_are_counted_and_the_first_ones_kept() -> None:
    found = Reading([lines(*["1,2"] * 500).encode()], FILE, kept=3)

    assert list(found) == []
    assert [problem.line for problem in found.problems] == [2, 3, 4]
    assert found.refused == 500


def test_a_line_that_is_too_long_is_a_problem() -> None:
    text = lines(described("x" * 500), described("y"))
    found = Reading([text.encode()], FILE, longest=400)

    assert [row.description for row in found] == ["y"]
    assert [str(problem) for problem in found.problems] == [f"{FILE}:2: the line is too long"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", f"{FILE}: it is empty"),
        ("\n \r\n", f"{FILE}: it is empty"),
        ("<html>\n", f"{FILE}:1: the header has no column for names"),
        ("\n\nstars,repo_name\n", f"{FILE}:3: the header has no column for names"),
        ("repo_url,rank\n", f"{FILE}:1: the header has neither stars nor forks"),
        (f"{HEADER},Stars\n", f"{FILE}:1: columns stand twice: ['stars']"),
        (described("x"), f"{FILE}:1: the header has no column for names"),
    ],
)
def test_a_file_that_is_no_ranking_is_refused_whole(text: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        list(reading(text))

    assert str(caught.value) == reason


def test_a_file_without_a_day_is_refused_unless_one_is_given() -> None:
    with pytest.raises(Unreadable, match=r"^ranking.csv: its name has not one date"):
        Reading([], "ranking.csv")

    assert Reading([], "ranking.csv", date(2024, 1, 1)).day == date(2024, 1, 1)
    assert Reading([], FILE, date(2024, 1, 1)).day == date(2024, 1, 1)


def test_other_tables_of_the_same_line_are_read_alike_in_blocks_of_any_size() -> None:
    data = lines(described('"a\n""b"""'), f"{VUE},", "1,2", described('"open')).encode()
    whole = list(Reading([data], FILE))

    for size in range(1, 40):
        assert list(Reading(blocks(data, size), FILE)) == whole
    assert len(whole) == 3
