"""The other processes of a database: told whose memories have changed, and heard.

Only what is kept in the process has to hear: vectors in a local index are read anew when another
process has changed them, and copies are forgotten. Whatever else there is, is read where all write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from uaitools.memory.copies import Copies
from uaitools.memory.index.local import LocalIndex
from uaitools.memory.index.port import VectorIndex
from uaitools.postgres.notices import Notices
from uaitools.tasks import spawn

CHANNEL: Final = "vectors"


class Others:
    """Speaks to them through `notices`. copies: those of this process, if they are its own."""

    __slots__ = ("_copies", "_local", "_notices")

    def __init__(self, notices: Notices, index: VectorIndex, copies: Copies | None) -> None:
        self._notices = notices
        self._local = index if isinstance(index, LocalIndex) else None
        self._copies = copies
        if self._local is not None:
            self._local.listen(hears=False)
        if self._listens:
            notices.subscribe(CHANNEL, self)

    def __repr__(self) -> str:
        return f"<Others {self._notices!r}>"

    async def tell(self, users: Iterable[str]) -> None:
        """Memories of these users have changed or gone. Raises ServiceError."""
        if self._listens:
            await self._notices.publish(CHANNEL, sorted(set(users)))

    def hear(self, texts: Sequence[str]) -> None:
        """See notices.Subscriber."""
        for user in texts:
            if self._local is not None:
                self._local.forget(user)
            if self._copies is not None:
                spawn(self._copies.forget_all(user), name="forget copies")

    def listen(self, *, hears: bool) -> None:
        """See notices.Subscriber."""
        if self._local is not None:
            self._local.listen(hears=hears)

    @property
    def _listens(self) -> bool:
        return self._local is not None or self._copies is not None
