"""Pages of several processes' connections are those of one long list."""

from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.admin.connections import slices

TOTALS = st.dictionaries(st.integers(1, 9), st.integers(0, 20))


@given(TOTALS, st.integers(0, 50), st.integers(1, 50))
def test_a_page_is_a_slice_of_all_connections_in_order(
    totals: dict[int, int], offset: int, limit: int
) -> None:
    everything = [(pid, number) for pid in sorted(totals) for number in range(totals[pid])]

    wanted = slices(totals, offset, limit)

    page = [(pid, n) for pid, (first, count) in wanted.items() for n in range(first, first + count)]
    assert page == everything[offset : offset + limit]
