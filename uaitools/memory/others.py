"""The other processes of a database: told whose vectors have changed, and heard.

Only what is kept in the process has to hear: vectors in a local index are read anew when another
process has changed them. Of memories themselves the database tells, see uaitools.memory.paying.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from uaitools.memory.index.local import LocalIndex
from uaitools.memory.index.port import VectorIndex
from uaitools.postgres.notices import Notices

CHANNEL: Final = "vectors"


class Others:
    """Speaks to them through `notices`."""

    __slots__ = ("_local", "_notices")

    def __init__(self, notices: Notices, index: VectorIndex) -> None:
        self._notices = notices
        self._local = index if isinstance(index, LocalIndex) else None
        if self._local is not None:
            self._local.listen(hears=False)
            notices.subscribe(CHANNEL, self)

    def __repr__(self) -> str:
        return f"<Others {self._notices!r}>"

    async def tell(self, users: Iterable[str]) -> None:
        """Vectors of these users have changed or gone. Raises ServiceError."""
        if self._local is not None:
            await self._notices.publish(CHANNEL, sorted(set(users)))

    def hear(self, texts: Sequence[str]) -> None:
        """See notices.Subscriber."""
        if self._local is not None:
            for user in texts:
                self._local.forget(user)

    def listen(self, *, hears: bool) -> None:
        """See notices.Subscriber."""
        if self._local is not None:
            self._local.listen(hears=hears)
