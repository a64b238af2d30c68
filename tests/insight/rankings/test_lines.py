from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tests.insight.rankings.files import blocks
from uaitools.insight.rankings.lines import Line, lines

TEXTS = st.lists(st.sampled_from([b"a", b"b\n", b"\r\n", b"\n", b"\r", b"cd"])).map(b"".join)


@given(TEXTS, st.integers(1, 5))
def test_lines_are_those_of_the_whole_however_it_is_cut(text: bytes, size: int) -> None:
    whole = text.split(b"\n")
    if not whole[-1]:
        del whole[-1]

    found = list(lines(blocks(text, size), 100))

    assert found == [Line(n, one.removesuffix(b"\r")) for n, one in enumerate(whole, start=1)]


@given(TEXTS, st.integers(1, 5), st.integers(1, 3))
def test_a_line_that_is_too_long_is_gone_and_the_others_are_not(
    text: bytes, size: int, longest: int
) -> None:
    short = {one.number: one.data for one in lines(blocks(text, size), longest)}

    for one in lines([text], 100):
        raw = text.split(b"\n")[one.number - 1]
        assert short[one.number] == (one.data if len(raw) <= longest else None)


def test_a_line_without_an_end_needs_no_memory() -> None:
    block = b"x" * 65_536
    tracemalloc.start()
    try:
        found = list(lines((block for _ in range(500)), 1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == [Line(1, None)]
    assert peak < 4 * len(block)
