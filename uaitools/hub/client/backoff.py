"""How long a client waits before it connects again.

A hub that restarts loses all its connections at once; each of them comes back at a time of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from uaitools.backoff import full_jitter

FIRST: Final = 0.5  # seconds: the bound before the first attempt
LARGEST: Final = 30.0


def pause(failures: int, uniform: Callable[[], float] = random.random) -> float:
    """Seconds to wait after so many failures, see full_jitter."""
    return full_jitter(failures, uniform(), first=FIRST, largest=LARGEST)
