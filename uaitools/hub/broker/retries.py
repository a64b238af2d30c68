"""When to try again to reach Redis. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

LEAST: Final = 0.1  # seconds
MOST: Final = 2.0


class Retries:
    """Pauses between attempts: LEAST, doubled up to MOST, each less by a random part up to half.

    Nodes lose their Redis all at once, and come back each at a time of its own.
    """

    __slots__ = ("_uniform", "failures")

    def __init__(self, uniform: Callable[[], float] = random.random) -> None:
        self.failures = 0
        self._uniform = uniform

    def __repr__(self) -> str:
        return f"<Retries failures={self.failures}>"

    def failed(self) -> float:
        """Another attempt has failed; the pause before the next one."""
        pause = min(MOST, LEAST * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return pause * (1.0 - 0.5 * self._uniform())

    def succeeded(self) -> None:
        """All is well again."""
        self.failures = 0
