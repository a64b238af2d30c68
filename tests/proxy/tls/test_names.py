import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.tls.names import Names

TABLE = [
    ("first", ["one.test"]),
    ("wild", ["*.two.test"]),
    ("exact", ["a.two.test", "UPPER.test"]),
    ("late", ["one.test", "*.two.test"]),
]
LABELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("one.test", "first"),
        ("ONE.test", "first"),
        ("one.test.", "first"),
        ("x.two.test", "wild"),
        ("a.two.test", "exact"),
        ("upper.test", "exact"),
        ("two.test", "first"),
        ("x.y.two.test", "first"),
        (".two.test", "first"),
        ("*.two.test", "wild"),
        ("other.test", "first"),
        ("", "first"),
    ],
)
def test_exact_before_wildcard_before_the_first(asked: str, found: str) -> None:
    assert Names(TABLE).find(asked) == found


def test_without_certificates_nothing_is_found() -> None:
    with pytest.raises(LookupError):
        Names[str]([]).find("a.test")


@given(
    st.lists(st.lists(st.one_of(LABELS, LABELS.map("*.{}".format))), min_size=1, max_size=4),
    LABELS,
)
def test_it_is_what_a_search_through_all_finds(table: list[list[str]], asked: str) -> None:
    def searched() -> int:
        for index, names in enumerate(table):
            if asked in names:
                return index
        for index, names in enumerate(table):
            for name in names:
                same_depth = name.count(".") == asked.count(".")
                if name.startswith("*.") and same_depth and fnmatch.fnmatchcase(asked, name):
                    return index
        return 0

    assert Names(list(enumerate(table))).find(asked) == searched()
