from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from uaitools.proxy.memo import Memo

KEYS = st.sampled_from((b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"too long"))


def kept(memo: Memo[int], key: bytes, value: int) -> None:
    """Put twice: what comes once is not kept."""
    memo.put(key, value)
    memo.put(key, value)


def test_what_comes_by_once_is_not_kept() -> None:
    memo: Memo[int] = Memo(capacity=4, key_limit=8)

    memo.put(b"a", 1)

    assert memo.get(b"a") is None
    assert len(memo) == 0


def test_what_comes_by_twice_is_kept() -> None:
    memo: Memo[int] = Memo(capacity=4, key_limit=8)

    kept(memo, b"a", 1)

    assert memo.get(b"a") == 1
    assert memo.young.get(b"a") == 1


def test_keys_over_the_limit_are_not_kept() -> None:
    memo: Memo[int] = Memo(capacity=4, key_limit=8)

    kept(memo, b"a" * 8, 1)
    kept(memo, b"a" * 9, 1)

    assert memo.get(b"a" * 8) == 1
    assert memo.get(b"a" * 9) is None


def test_what_is_asked_for_survives_what_is_not() -> None:
    memo: Memo[int] = Memo(capacity=4, key_limit=8)
    kept(memo, b"asked", 1)
    kept(memo, b"idle", 2)

    for i in range(100):
        kept(memo, b"%d" % i, i)
        if memo.get(b"asked") is None:
            memo.put(b"asked", 1)  # once: it is not forgotten yet
        assert memo.get(b"asked") == 1

    assert memo.get(b"idle") is None


class Memory(RuleBasedStateMachine):
    """A memo of three entries a generation, with more keys than it can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.memo: Memo[bytes] = Memo(capacity=3, key_limit=1)

    @rule(key=KEYS, times=st.integers(1, 2))
    def put(self, key: bytes, times: int) -> None:
        for _ in range(times):
            self.memo.put(key, b"value of " + key)

    @rule(key=KEYS)
    def get_gives_the_value_of_this_key_or_none(self, key: bytes) -> None:
        assert self.memo.get(key) in (None, b"value of " + key)
        if len(key) > 1:
            assert self.memo.get(key) is None

    @invariant()
    def at_most_twice_the_capacity_lives(self) -> None:
        assert len(self.memo) <= 6
        assert len(self.memo.young) <= 3


TestMemory = Memory.TestCase
TestMemory.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


@given(st.lists(KEYS, max_size=200))
@settings(deadline=None)
def test_a_key_just_kept_is_found(keys: list[bytes]) -> None:
    memo: Memo[bytes] = Memo(capacity=2, key_limit=8)

    for key in keys:
        memo.put(key, key)
        memo.put(key, key)
        assert memo.get(key) == key
