"""Events between the connection that brings them and who reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

E = TypeVar("E")


class Inbox(Generic[E]):
    """At most `limit` events, and those which came with the last of them.

    Who puts events in looks at `full` and waits for `room`: nothing is ever dropped.
    """

    __slots__ = ("_arrived", "_ended", "_error", "_events", "_limit", "_room")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[E] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def __repr__(self) -> str:
        state = " ended" if self._ended else ""
        return f"<Inbox{state} {len(self._events)}/{self._limit}>"

    def __len__(self) -> int:
        return len(self._events)

    @property
    def full(self) -> bool:
        """Whether to wait before more is put in."""
        return len(self._events) >= self._limit and not self._ended

    def put(self, event: E) -> None:
        """Have it read."""
        if not self._ended:
            self._events.append(event)
            self._arrived.set()

    async def room(self) -> None:
        """Wait until half of it is empty, so that not every event wakes somebody up."""
        while len(self._events) * 2 > self._limit and not self._ended:
            self._room.clear()
            await self._room.wait()

    def end(self, error: Exception | None = None) -> None:
        """Take nothing more. What is there is read before `error`, and thrown away without one."""
        if self._ended:
            return
        self._ended, self._error = True, error
        if error is None:
            self._events.clear()
        self._arrived.set()
        self._room.set()

    async def get(self) -> E:
        """Wait for the next one. Raises what it was ended with, or StopAsyncIteration."""
        while not self._events:
            if self._ended:
                raise self._error or StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if len(self._events) * 2 <= self._limit:
            self._room.set()
        return event
