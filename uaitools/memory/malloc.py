"""How the C library's allocator gives memory back."""

from __future__ import annotations

import ctypes
from typing import Any, Final

_M_MMAP_THRESHOLD: Final = -3  # <malloc.h> of glibc
_LARGE: Final = 64 * 1024  # bytes


def return_large_blocks() -> None:
    """Have large blocks given back to the system as soon as they are free, where that can be said.

    glibc raises its threshold with each such block that is freed, up to 32 MiB. Scopes of the
    index and pages of rows then leave holes between them: 7 MB after a while.
    """
    say: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if say is not None:
        say(_M_MMAP_THRESHOLD, _LARGE)
