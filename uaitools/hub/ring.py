"""The last messages of a channel, framed once for all who get them. Pure.

Every message has an offset, one above that of the message before it, and an offset means something
only within the ring's epoch. Nobody has a queue of his own: whoever is behind holds the offset that
he has got, and is caught up from here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from itertools import islice
from typing import Final

from uaitools.hub.deflate import deflated

SIZE: Final = 256  # messages
BYTES: Final = 4 * 1024 * 1024  # kept for one channel
PIECE: Final = 64 * 1024  # bytes written at once, or one message


class Ring:
    """Messages after `base`, at most `size` of them, none older than `age` seconds.

    epoch: another one means that history was lost. base: the offset before the first message.
    largest: bytes that are kept at most, beside the newest message. A message is compressed when
    somebody first gets it so, and both its forms are kept; where that takes too much room it is
    forgotten, and done again for whoever comes later.
    """

    __slots__ = (
        "_age",
        "_at",
        "_deflated",
        "_frames",
        "_largest",
        "_size",
        "bytes",
        "epoch",
        "head",
    )

    def __init__(
        self,
        epoch: str,
        *,
        size: int = SIZE,
        age: float = float("inf"),
        largest: int = BYTES,
        base: int = 0,
    ) -> None:
        self.epoch = epoch
        self.head = base  # the offset of the newest message
        self.bytes = 0
        self._size = size
        self._age = age
        self._largest = largest
        self._frames: deque[bytes] = deque()
        self._at: deque[float] = deque()  # when each came
        self._deflated: dict[int, bytes] = {}  # by offset; a frame itself that does not shrink

    def __repr__(self) -> str:
        return f"<Ring {self.epoch}:{self.head} messages={len(self)} bytes={self.bytes}>"

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def base(self) -> int:
        """The offset of the newest message that is not kept any more."""
        return self.head - len(self._frames)

    def append(self, frame: bytes, now: float) -> int:
        """Keep a message; its offset."""
        self.head += 1
        self.bytes += len(frame)
        self._frames.append(frame)
        self._at.append(now)
        while self._deflated and self.bytes > self._largest:
            self._forget(next(iter(self._deflated)))
        while len(self._frames) > self._size or (
            self.bytes > self._largest and len(self._frames) > 1
        ):
            self._drop()
        self.expire(now)
        return self.head

    def skip(self, head: int) -> None:
        """Go on after an offset, without what is up to it."""
        self._frames.clear()
        self._at.clear()
        self._deflated.clear()
        self.head, self.bytes = head, 0

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        while self._at and now - self._at[0] > self._age:
            self._drop()

    def lost(self, offset: int) -> int:
        """How many messages after an offset are not kept any more."""
        return max(0, self.base - offset)

    def after(self, offset: int, limit: int | None = None) -> list[bytes]:
        """The messages after an offset that are kept, the oldest first, `limit` of them."""
        begin = max(0, offset - self.base)
        end = None if limit is None else begin + limit
        return list(islice(self._frames, begin, end))

    def piece(
        self, offset: int, without: Container[int] = (), *, deflate: bool = False
    ) -> tuple[bytes, int]:
        """What follows an offset, as one piece of PIECE bytes or so, and the offset it goes up to.

        without: offsets of messages that are left out. deflate: those that shrink by it are
        compressed; PIECE is then what they had before, for that is what it takes time to compress.
        """
        if offset == self.head - 1 and self._frames:
            if self.head in without:
                return b"", self.head
            newest = self._frames[-1]
            return (self._small(self.head, newest) if deflate else newest), self.head
        taken: list[bytes] = []
        size, upto = 0, max(offset, self.base)
        for frame in islice(self._frames, upto - self.base, None):
            if upto + 1 not in without:
                size += len(frame)
                if size > PIECE and taken:
                    break
                taken.append(self._small(upto + 1, frame) if deflate else frame)
            upto += 1
        return b"".join(taken), upto

    def came(self, offset: int) -> float | None:
        """When the message with an offset came; None when it is not kept."""
        at = offset - self.base - 1
        return self._at[at] if 0 <= at < len(self._at) else None

    def _small(self, offset: int, frame: bytes) -> bytes:
        """A message compressed, once for all who get it."""
        small = self._deflated.get(offset)
        if small is None:
            small = self._deflated[offset] = deflated(frame)
            if small is not frame:
                self.bytes += len(small)
            while self.bytes > self._largest and len(self._deflated) > 1:
                self._forget(next(iter(self._deflated)))
        return small

    def _forget(self, offset: int) -> None:
        """Forget the compressed form of a message that is still kept."""
        small = self._deflated.pop(offset, None)
        if small is not None and small is not self._frames[offset - self.base - 1]:
            self.bytes -= len(small)

    def _drop(self) -> None:
        if self._deflated:
            self._forget(self.base + 1)
        self.bytes -= len(self._frames.popleft())
        self._at.popleft()
