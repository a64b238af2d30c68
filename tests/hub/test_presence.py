from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.presence import Presence, Present

steps = st.lists(st.tuples(st.sampled_from("jlt"), st.sampled_from("abcd")), max_size=60)


@given(steps, st.integers(1, 3))
def test_it_is_who_has_joined_more_often_than_left(steps: list[tuple[str, str]], size: int) -> None:
    presence, there, told = Presence(), Counter[str](), set[str]()
    for step, user in steps:
        if step == "j":
            presence.join(user)
            there[user] += 1
        elif step == "t":
            changes = presence.take()
            assert not told & set(changes.joined)
            assert set(changes.left) <= told
            told = (told | set(changes.joined)) - set(changes.left)
            assert told == set(+there)
            assert not presence.take()
        elif there[user]:
            presence.leave(user)
            there[user] -= 1
        else:
            with pytest.raises(KeyError):
                presence.leave(user)
        assert (len(presence), presence.connections) == (len(+there), there.total())
        assert (user in presence) is (there[user] > 0)

    found, after = list[Present](), None
    while page := presence.page(after, size):
        assert len(page) <= size
        found, after = found + page, page[-1].user
    assert found == [Present(user, there[user]) for user in sorted(+there)]
