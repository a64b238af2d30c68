"""Ways to cut a message into the pieces that a socket may give it in."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import strategies as st


def single_cuts(message: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every boundary."""
    yield [message]
    yield [message[i : i + 1] for i in range(len(message))]
    for at in range(1, len(message)):
        yield [message[:at], message[at:]]


def pieces(message: bytes, cuts: list[int]) -> list[bytes]:
    """`message` cut at each of `cuts`, which count modulo its length."""
    at = sorted({cut % (len(message) + 1) for cut in cuts} | {0, len(message)})
    return [message[a:b] for a, b in pairwise(at)]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=6)
