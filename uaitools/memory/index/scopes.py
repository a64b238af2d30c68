"""The scopes that are kept: those asked for last, as many as their bytes allow."""

from __future__ import annotations

from collections import OrderedDict

from uaitools.memory.index.scope import Scope


class Scopes:
    """Scopes by user, at most `most` bytes of them; who was not asked for longest goes first."""

    __slots__ = ("_kept", "_sizes", "most", "size")

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0  # bytes of all
        self._kept: OrderedDict[str, Scope] = OrderedDict()
        self._sizes: dict[str, int] = {}  # as they were counted

    def __repr__(self) -> str:
        return f"<Scopes users={len(self)} bytes={self.size}/{self.most}>"

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, user: str) -> bool:
        return user in self._kept

    def get(self, user: str) -> Scope | None:
        """The scope of a user, if it is kept: it is now the one that was asked for last."""
        scope = self._kept.get(user)
        if scope is not None:
            self._kept.move_to_end(user)
        return scope

    def peek(self, user: str) -> Scope | None:
        """The scope of a user, if it is kept, for a change and not for a search."""
        return self._kept.get(user)

    def put(self, user: str, scope: Scope) -> bool:
        """Keep a scope, or count anew one that is kept. False: it is larger than all the room."""
        self.size += scope.size - self._sizes.get(user, 0)
        self._sizes[user] = scope.size
        self._kept[user] = scope
        if scope.size > self.most:
            self.forget(user)
            return False
        while self.size > self.most:
            self.forget(next(one for one in self._kept if one != user))
        return True

    def forget(self, user: str) -> Scope | None:
        """Keep a user's scope no more."""
        self.size -= self._sizes.pop(user, 0)
        return self._kept.pop(user, None)

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._sizes.clear()
        self.size = 0
