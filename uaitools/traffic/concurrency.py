"""How many calls may be under way at once: of each key, and of several limits together."""

from __future__ import annotations


class Concurrency:
    """Counts the calls under way of many keys, at most `limit` of each.

    A key is forgotten when its last call ends, so that there are never more keys than calls.
    """

    __slots__ = ("_running", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._running: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Concurrency limit={self.limit} keys={len(self._running)}>"

    def __len__(self) -> int:
        return len(self._running)

    def enter(self, key: bytes) -> bool:
        """Count a call in; False when it is one too many."""
        running = self._running.get(key, 0)
        if running >= self.limit:
            return False
        self._running[key] = running + 1
        return True

    def leave(self, key: bytes) -> None:
        """A call that was counted in has ended."""
        running = self._running[key] - 1
        if running:
            self._running[key] = running
        else:
            del self._running[key]


class Slot:
    """What one call holds of one or two limits until it ends."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[tuple[Concurrency, bytes]] = []

    def __repr__(self) -> str:
        return f"<Slot held={len(self._held)}>"

    def take(self, limit: Concurrency, key: bytes) -> bool:
        """Count the call in, too; False when it is one too many, and then nothing is held."""
        if limit.enter(key):
            self._held.append((limit, key))
            return True
        self.release()
        return False

    def release(self) -> None:
        """Give back all that is held; safe to call again."""
        held, self._held = self._held, []
        for limit, key in held:
            limit.leave(key)
