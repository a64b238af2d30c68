"""When to try again to reach a registry. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable

from uaitools.backoff import full_jitter


class Backoff:
    """Pauses between attempts: `immediate` of them none, then up to `base`, doubled up to `cap`.

    Seconds. A registry that restarts loses all its connections at once; each of them comes back
    at a time of its own.
    """

    __slots__ = ("_base", "_cap", "_immediate", "failures", "uniform")

    def __init__(
        self,
        cap: float,
        *,
        base: float = 0.25,
        immediate: int = 1,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.failures = 0
        self._base = base
        self._cap = cap
        self._immediate = immediate
        self.uniform = uniform

    def __repr__(self) -> str:
        return f"<Backoff failures={self.failures} cap={self._cap:g}>"

    def failed(self) -> float:
        """Another attempt has failed; the pause before the next one."""
        self.failures += 1
        late = self.failures - self._immediate
        if late <= 0:
            return 0.0
        return full_jitter(late - 1, self.uniform(), first=self._base, largest=self._cap)

    def succeeded(self) -> None:
        """All is well again."""
        self.failures = 0
