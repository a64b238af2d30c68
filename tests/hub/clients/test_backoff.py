import pytest

from uaitools.hub.client.backoff import pause


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (10**9, 30.0)]
)
def test_the_bound_doubles_from_half_a_second_to_thirty(failures: int, bound: float) -> None:
    assert pause(failures, lambda: 1.0) == bound
    assert pause(failures, lambda: 0.25) == bound / 4
    assert pause(failures, lambda: 0.0) == 0.0
