from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.ring import PIECE, Ring

steps = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from((0.0, 0.5, 3.0, 20.0)))
)


@given(steps, st.integers(1, 6), st.integers(10, 80), st.integers(0, 60))
def test_what_is_kept_are_the_newest_within_all_bounds(
    came: list[tuple[bytes, float]], size: int, largest: int, offset: int
) -> None:
    ring = Ring("e", size=size, age=10.0, largest=largest)
    times = list(accumulate(wait for _, wait in came))
    for number, ((frame, _), now) in enumerate(zip(came, times, strict=True), start=1):
        assert ring.append(frame, now) == number
        assert len(ring) <= size
        assert ring.bytes <= max(largest, len(frame))

    frames = [frame for frame, _ in came]
    kept = frames[len(frames) - len(ring) :]
    assert ring.head == len(came)
    assert ring.bytes == sum(map(len, kept))
    assert all(times[-1] - at <= 10.0 for at in times[ring.base :])
    if offset <= ring.head:
        assert ring.lost(offset) + len(ring.after(offset)) == ring.head - offset
        assert ring.after(offset) == frames[max(offset, ring.base) :]
        assert ring.piece(offset) == (b"".join(ring.after(offset)), ring.head)
        assert ring.after(offset, 2) == ring.after(offset)[:2]


def test_one_more_message_is_told_to_who_has_got_the_last() -> None:
    ring = Ring("e", base=41)
    frame = b"a"
    assert ring.append(frame, 0.0) == 42
    assert ring.piece(41)[0] is frame  # not a copy for each who gets it
    ring.append(b"b", 0.0)
    assert (ring.piece(41), ring.piece(42), ring.piece(43)) == ((b"ab", 43), (b"b", 43), (b"", 43))


@given(st.lists(st.integers(1, PIECE), min_size=1, max_size=8), st.sets(st.integers(1, 8)))
def test_much_comes_in_pieces_and_without_what_is_not_wanted(
    sizes: list[int], without: set[int]
) -> None:
    ring = Ring("e", size=8)
    frames = [bytes([number]) * size for number, size in enumerate(sizes, start=1)]
    for frame in frames:
        ring.append(frame, 0.0)

    got, offset = b"", 0
    while offset < ring.head:
        piece, upto = ring.piece(offset, without)
        assert len(piece) <= PIECE
        assert upto > offset
        got, offset = got + piece, upto

    assert got == b"".join(frame for frame in frames if frame[0] not in without)


def test_it_is_known_when_a_message_came_that_is_kept() -> None:
    ring = Ring("e", size=2)
    for at in (1.0, 2.0, 3.0):
        ring.append(b"a", at)
    assert [ring.came(offset) for offset in range(5)] == [None, None, 2.0, 3.0, None]


def test_what_has_grown_old_is_lost_and_said_to_be() -> None:
    ring = Ring("e", age=10.0)
    ring.append(b"a", 0.0)
    ring.append(b"b", 9.0)
    ring.expire(11.0)
    assert (ring.lost(0), ring.after(0), ring.head) == (1, [b"b"], 2)
