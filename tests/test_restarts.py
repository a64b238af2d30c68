from uaitools.restarts import Restarts


def test_pauses_double_up_to_the_longest_and_end() -> None:
    restarts = Restarts(first=0.1, longest=1.0, deaths=7)

    pauses = [restarts.pause(deaths) for deaths in range(1, 8)]

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, None]
