"""Files read off the event loop, in a thread of our own.

The default executor belongs to whoever embeds us: a hook that fills it must not keep a revoked key
good, or a certificate old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads files; one at a time. Raises what it raises."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_thread(), partial(function, *args, **kwargs))


@lru_cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "files")  # made when first needed: behind a fork
