from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.objects import Objects
from uaitools.insight.analysis.records import LONGEST, Records

CUTS = st.lists(st.integers(0, 200), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.tuples(*[st.binary(max_size=9).map(lambda b: b.replace(b"\0", b""))] * 3)), CUTS)
def test_records_are_whole_however_they_come(
    made: list[tuple[bytes, ...]], cuts: list[int]
) -> None:
    got: list[tuple[bytes, ...]] = []

    def take(fields: Sequence[bytes]) -> None:
        got.append(tuple(fields))

    records = Records(3, take)
    for piece in pieces(b"".join(field + b"\0" for one in made for field in one), cuts):
        records.feed(piece)
    records.close()

    assert got == made


@pytest.mark.parametrize("data", [b"a", b"a\0", b"a\0b"])
def test_an_end_within_a_record_is_told(data: bytes) -> None:
    records = Records(2, lambda _: None)
    records.feed(data)

    with pytest.raises(Unreadable):
        records.close()


def test_a_field_without_an_end_is_not_kept() -> None:
    records = Records(1, lambda _: None)

    with pytest.raises(Unreadable):
        records.feed(b"x" * (LONGEST + 1))


@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), max_size=6), CUTS)
def test_files_are_whole_however_they_come(made: list[bytes | None], cuts: list[int]) -> None:
    said = b"".join(
        b"%d missing\n" % name if data is None else b"%d blob %d\n%b\n" % (name, len(data), data)
        for name, data in enumerate(made)
    )
    objects = Objects()
    for piece in pieces(said, cuts):
        objects.feed(piece)
    objects.close()

    assert objects.found == {str(n): data for n, data in enumerate(made) if data is not None}


@pytest.mark.parametrize("said", [b"x tree 3\nabc\n", b"x blob -1\n", b"nonsense\n", b"x" * 70_000])
def test_what_announces_no_file_is_refused(said: bytes) -> None:
    with pytest.raises(Unreadable):
        Objects().feed(said)


@pytest.mark.parametrize("said", [b"x blob 3\nab", b"x blo"])
def test_an_end_within_a_file_is_told(said: bytes) -> None:
    objects = Objects()
    objects.feed(said)

    with pytest.raises(Unreadable):
        objects.close()
