from hypothesis import given
from hypothesis import strategies as st

from uaitools.cache.owed import Due, Owed

STEPS = st.lists(st.sampled_from(("a", "b", "c", "d", "send", "done", "lost")), max_size=60)


@given(STEPS, st.integers(0, 4))
def test_whatever_was_added_is_done_after_that(steps: list[str], limit: int) -> None:
    owed, waiting, sent = Owed(limit), set[bytes](), list[tuple[Due, set[bytes]]]()
    for step in steps:
        match step:
            case "send":
                due = owed.due()
                assert due.everything or set(due.keys) == waiting
                assert bool(due) is bool(waiting) is bool(len(owed))
                sent.append((due, set(waiting)))
            case "done":
                for due, covered in sent:
                    owed.done(due)
                    waiting -= covered
                sent.clear()
            case "lost":
                sent.clear()
            case _:
                owed.add(step.encode())
                waiting.add(step.encode())
                for _, covered in sent:
                    covered.discard(step.encode())
        assert len(owed) <= limit + 1
    due = owed.due()
    assert due.everything or waiting <= set(due.keys)
    owed.done(due)
    assert not owed.due()


def test_too_many_are_everything_until_that_is_done() -> None:
    owed = Owed(2)
    for key in (b"1", b"2", b"3"):
        owed.add(key)
    due = owed.due()
    assert (due.keys, due.everything) == ((), True)
    owed.add(b"4")
    owed.done(due)
    assert owed.due().keys == (b"4",)


def test_too_many_while_everything_is_under_way_are_everything_again() -> None:
    owed = Owed(0)
    owed.add(b"1")
    due = owed.due()
    owed.add(b"2")
    owed.done(due)
    assert owed.due().everything
