from itertools import accumulate
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.deflate import deflated
from uaitools.hub.frames import TEXT, encode
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


def whole(text: bytes) -> bytes:
    return encode(TEXT, text)


def test_a_message_is_compressed_once_for_all_who_get_it_so() -> None:
    ring = Ring("e")
    frames = [whole(b"message " * 20), whole(b"short"), whole(b"another " * 20)]
    for frame in frames:
        ring.append(frame, 0.0)
    plain = ring.bytes
    first, upto = ring.piece(0, deflate=True)
    newest, _ = ring.piece(2, deflate=True)

    assert (first, upto) == (b"".join(map(deflated, frames)), 3)
    assert ring.piece(2, deflate=True)[0] is newest
    assert ring.bytes == plain + len(newest) + len(deflated(frames[0]))
    assert ring.piece(2)[0] is frames[2]
    assert ring.piece(0, {1, 3}, deflate=True) == (frames[1], 3)


def test_what_does_not_shrink_is_kept_once() -> None:
    ring = Ring("e")
    ring.append(whole(b"short"), 0.0)
    before = ring.bytes

    assert ring.piece(0, deflate=True)[0] is ring.piece(0)[0]
    assert ring.bytes == before


def test_a_piece_is_no_longer_before_it_is_compressed() -> None:
    ring = Ring("e")
    for _ in range(3):
        ring.append(whole(b"x" * (PIECE - 100)), 0.0)
    piece, upto = ring.piece(0, deflate=True)

    assert upto == 1
    assert len(piece) < PIECE // 10


came = st.tuples(st.integers(0, 150), st.sampled_from((0.0, 3.0, 20.0)))
behind = st.integers(0, 6)


@given(st.lists(came | behind, max_size=40), st.integers(1, 6), st.integers(100, 1500))
def test_both_forms_are_kept_within_the_bounds(
    steps: list[tuple[int, float] | int], size: int, largest: int
) -> None:
    ring, plain = (Ring("e", size=size, age=10.0, largest=largest) for _ in range(2))
    frames: list[bytes] = []
    now, room = 0.0, 0
    for step in steps:
        if isinstance(step, tuple):
            now += step[1]
            frames.append(whole(Random(len(frames)).randbytes(step[0]).hex().encode()))
            ring.append(frames[-1], now)
            plain.append(frames[-1], now)
            room = 0
        else:
            offset = max(0, ring.head - step)
            piece, upto = ring.piece(offset, deflate=True)
            assert piece == b"".join(map(deflated, frames[max(offset, ring.base) : upto]))
            if piece:
                room = len(deflated(frames[upto - 1]))  # of the last that was compressed
        newest = len(frames[-1]) if frames else 0
        assert ring.after(0) == plain.after(0)  # no message is lost to the other form of another
        assert plain.bytes <= ring.bytes <= max(largest, newest) + room
    ring.expire(now + 11.0)

    assert (len(ring), ring.bytes) == (0, 0)
