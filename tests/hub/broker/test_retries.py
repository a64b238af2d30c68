from uaitools.hub.broker.retries import LEAST, MOST, Retries


def test_pauses_double_up_to_a_bound_and_no_two_nodes_come_together() -> None:
    longest, shortest = Retries(lambda: 0.0), Retries(lambda: 1.0)
    pauses = [(shortest.failed(), longest.failed()) for _ in range(50)]
    assert pauses[:3] == [(LEAST / 2, LEAST), (LEAST, LEAST * 2), (LEAST * 2, LEAST * 4)]
    assert pauses[-1] == (MOST / 2, MOST)
    longest.succeeded()
    assert longest.failed() == LEAST
