"""Random ids: of requests, of traces and of their spans."""

from __future__ import annotations

from collections.abc import Iterator
from random import randbytes
from typing import Final

DIGITS: Final = 48  # hex digits at a time: 32 of a request id or a trace id, 16 of a span id
_BATCH: Final = 128


def _random_digits() -> Iterator[bytes]:
    while True:
        digits = randbytes(DIGITS // 2 * _BATCH).hex().encode()  # noqa: S311 - ids are no secrets
        for start in range(0, DIGITS * _BATCH, DIGITS):
            yield digits[start : start + DIGITS]


# `next` of it gives 48 random hex digits. Made by the hundred they cost 0.1 us each, not 0.3.
random_digits: Final = _random_digits()
