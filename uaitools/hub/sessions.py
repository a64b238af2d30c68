"""All connections of a node: by id, by user, and how many each address has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from uaitools.hub.errors import TooMany
from uaitools.hub.session import Session

_NOBODY: Final[dict[Session, None]] = {}


class Sessions:
    """The sessions of a hub. per_user, per_address: how many, None for any number."""

    __slots__ = ("_addresses", "_by_id", "_by_user", "_per_address", "_per_user", "gone")

    def __init__(self, per_user: int | None, per_address: int | None) -> None:
        self._per_user = per_user
        self._per_address = per_address
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[str, dict[Session, None]] = {}
        self._addresses: dict[str, int] = {}
        self.gone = asyncio.Event()  # nobody is connected
        self.gone.set()

    def __repr__(self) -> str:
        return f"<Sessions {len(self)} users={len(self._by_user)}>"

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_id.values())

    def __contains__(self, session: Session) -> bool:
        return session.id in self._by_id

    def get(self, id: str) -> Session | None:  # noqa: A002 - the API's word
        """The one with an id."""
        return self._by_id.get(id)

    def of(self, user: str) -> list[Session]:
        """Those of a user."""
        return list(self._by_user.get(user, _NOBODY))

    def check_address(self, address: str) -> None:
        """Let pass an address that may have one more. Raises TooMany."""
        most = self._per_address
        if most is not None and self._addresses.get(address, 0) >= most:
            raise TooMany("your address", most)

    def check_user(self, user: str | None) -> None:
        """Let pass a user who may have one more. Raises TooMany."""
        most = self._per_user
        if most is not None and user is not None and len(self._by_user.get(user, ())) >= most:
            raise TooMany("this user", most)

    def add(self, session: Session) -> None:
        """It has come. Whether it may is asked before."""
        self._by_id[session.id] = session
        self.gone.clear()
        address = session.address
        self._addresses[address] = self._addresses.get(address, 0) + 1
        self.identify(session)

    def identify(self, session: Session) -> None:
        """It is known whose it is."""
        if session.user is not None:
            self._by_user.setdefault(session.user, {})[session] = None

    def remove(self, session: Session) -> None:
        """It has gone."""
        if self._by_id.pop(session.id, None) is None:
            return
        if not self._by_id:
            self.gone.set()
        left = self._addresses[session.address] - 1
        if left:
            self._addresses[session.address] = left
        else:
            del self._addresses[session.address]
        theirs = self._by_user.get(session.user) if session.user is not None else None
        if theirs is not None:
            theirs.pop(session, None)
            if not theirs:
                del self._by_user[session.user or ""]
