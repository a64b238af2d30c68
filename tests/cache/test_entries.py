import tracemalloc
from dataclasses import dataclass
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from uaitools.cache.entries import OVERHEAD, Entries
from uaitools.cache.port import Lease

KEYS = "abcd"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("get", "ask", "store", "set", "delete", "wait")),
        st.sampled_from(KEYS),
        st.integers(0, 60),
    ),
    max_size=60,
)


@dataclass
class Held:
    key: str
    value: bytes
    ends: float

    @property
    def size(self) -> int:
        return OVERHEAD + 4 + len(self.value)


class Oracle:
    """The same, as a list of what is held, in the order of use."""

    def __init__(self, size: int, entries: int) -> None:
        self.size, self.entries = size, entries
        self.held: list[Held] = []
        self.leases: dict[str, Lease] = {}

    def find(self, key: str, now: float) -> bytes | None:
        for one in self.held:
            if one.key == key:
                self.held.remove(one)
                if now < one.ends:
                    self.held.append(one)
                    return one.value
                return None
        return None

    def keep(self, key: str, value: bytes, ends: float) -> bool:
        self.delete(key)
        new = Held(key, value, ends)
        if new.size > self.size or not self.entries:
            return False
        self.held.append(new)
        while len(self.held) > self.entries or sum(one.size for one in self.held) > self.size:
            del self.held[0]
        return True

    def delete(self, key: str) -> None:
        self.leases.pop(key, None)
        self.held = [one for one in self.held if one.key != key]


@given(STEPS, st.integers(0, 3 * OVERHEAD), st.integers(0, 4))
def test_it_is_a_list_in_the_order_of_use(
    steps: list[tuple[str, str, int]], size: int, entries: int
) -> None:
    cache, oracle, now = Entries(size, entries), Oracle(size, entries), 0.0
    leases: dict[str, list[Lease]] = {key: [] for key in KEYS}
    for step, key, number in steps:
        value = b"v" * number
        match step:
            case "wait":
                now += number / 4
            case "get":
                assert cache.get(key, now) == oracle.find(key, now)
            case "ask":
                expected = oracle.find(key, now)
                answer = cache.ask(key, now)
                if isinstance(answer, bytes):
                    assert answer == expected
                else:
                    assert expected is None
                    assert oracle.leases.setdefault(key, answer) is answer
                    leases[key].append(answer)
            case "store" if leases[key]:
                lease = leases[key][number % len(leases[key])]
                held = oracle.leases.get(key) is lease
                kept = held and oracle.keep(key, value, now + 5)
                assert cache.store(key, lease, value, now + 5, now) is kept
            case "set":
                assert cache.set(key, value, now + 5, now) is oracle.keep(key, value, now + 5)
            case "delete":
                cache.delete(key)
                oracle.delete(key)
        assert len(cache) == len(oracle.held) <= entries
        assert cache.used == sum(one.size for one in oracle.held) <= size
    given_out = set(chain.from_iterable(leases.values()))
    assert len({lease.token for lease in given_out}) == len(given_out)


def test_a_scope_goes_with_its_values_and_leases() -> None:
    cache = Entries(1 << 20, 10)
    for key in ("a\nk", "a\nl", "b\nk", "b\nl"):
        cache.set(key, b"1", 10, 0)
    lease = cache.ask("a\nm", 0)
    assert isinstance(lease, Lease)
    used = cache.used
    cache.delete("a\n")
    assert (len(cache), cache.used) == (2, used // 2)
    assert cache.get("b\nk", 0) == b"1"
    assert not cache.store("a\nm", lease, b"1", 10, 0)


def test_it_takes_no_more_memory_than_it_says() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = Entries(1 << 30, 20_000)
        for number in range(20_000):
            cache.set(f"memory:{number}", bytes(number % 64), 1e9 + number, 0)
        assert tracemalloc.get_traced_memory()[0] - before <= cache.used
    finally:
        tracemalloc.stop()


def test_only_values_that_were_good_count_as_evicted() -> None:
    cache = Entries(1 << 20, 1)
    cache.set("a", b"1", 10, 0)
    cache.set("b", b"1", 10, 11)
    cache.set("d", b"1", 30, 11)
    assert cache.evicted == 0
    cache.set("e", b"1", 30, 11)
    assert cache.evicted == 1


def test_a_lease_that_nobody_holds_takes_no_room() -> None:
    cache = Entries(1 << 20, 1)
    leases = [cache.ask(f"{number}", 0) for number in range(1000)]
    assert len(cache._leases) == len(leases) == 1000  # noqa: SLF001
    leases.clear()
    assert len(cache._leases) == 0  # noqa: SLF001
