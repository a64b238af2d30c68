"""What waits to be sent where sending has to be waited for: in order, with two marks."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from uaitools.hub.sockets.port import HIGH_WATER

LOW_WATER: Final = 8 * 1024  # bytes that wait; then it is not any more


class Outbox:
    """Pieces that one task sends. full: more than it should waits."""

    __slots__ = ("_news", "_pieces", "closed", "full", "size")

    def __init__(self) -> None:
        self.size = 0  # bytes
        self.full = False
        self.closed = False
        self._pieces: deque[bytes] = deque()
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Outbox pieces={len(self._pieces)} size={self.size} closed={self.closed}>"

    def put(self, piece: bytes) -> None:
        """Have a piece sent; nothing is sent that comes after `close`."""
        if self.closed:
            return
        self._pieces.append(piece)
        self.size += len(piece)
        self.full = self.full or self.size > HIGH_WATER
        self._news.set()

    def close(self) -> None:
        """Take nothing more; what waits is still sent."""
        self.closed = True
        self._news.set()

    async def take(self) -> bytes | None:
        """The next piece, None when there will be none. It counts until `sent`."""
        while not self._pieces:
            if self.closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._pieces.popleft()

    def sent(self, piece: bytes) -> bool:
        """A piece has been sent; whether it was full until now."""
        self.size -= len(piece)
        emptied = self.full and self.size <= LOW_WATER
        if emptied:
            self.full = False
        return emptied
