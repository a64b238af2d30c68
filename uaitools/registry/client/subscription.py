"""Who wants to know of a service, and when they are told of a new view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from uaitools import log
from uaitools.registry.client.view import Replica, View

# How often as long as it takes to apply a view the loop is left to others before the next one.
REST: Final = 4.0
_LONGEST: Final = 1.0  # seconds of such a rest
_log = log.get_logger(__name__)

Apply = Callable[[View], None]


class Watched:
    """Somebody's interest in a service, until it is closed."""

    __slots__ = ("_apply", "_close", "_replica", "applied", "service")

    def __init__(
        self, service: str, apply: Apply, replica: Replica, close: Callable[[Watched], None]
    ) -> None:
        self.service = service
        self.applied: View | None = None  # what `apply` has taken last
        self._apply = apply
        self._replica = replica
        self._close: Callable[[Watched], None] | None = close

    def __repr__(self) -> str:
        state = " closed" if self._close is None else ""
        return f"<Watched {self.service}{state} {self.view!r}>"

    @property
    def view(self) -> View | None:
        """What is known; None until anything is."""
        return self._replica.view

    def close(self) -> None:
        """Watch no more: `apply` is not called again."""
        if self._close is not None:
            close, self._close = self._close, None
            close(self)

    def offer(self) -> None:
        """Have the view applied if it is another one; if that fails, it counts as not applied."""
        view = self.view
        if self._close is None or view is None or view == self.applied:
            return
        try:
            self._apply(view)
        except Exception as error:
            _log.error(
                "a list was not applied", service=self.service, index=view.index, exc_info=error
            )
        else:
            self.applied = view


class Subscription:
    """A service that is watched, by one or several.

    Changes that come together are applied together, and a list that takes long to apply is not
    applied again at once: a large fleet that restarts must not stop the loop. offered: called
    after each time.
    """

    __slots__ = ("_applied", "_handle", "_offered", "_rested", "replica", "service", "watched")

    def __init__(
        self, service: str, replica: Replica, offered: Callable[[Subscription], None]
    ) -> None:
        self.service = service
        self.replica = replica
        self.watched: list[Watched] = []
        self._applied = (0, "")
        self._offered = offered
        self._handle: asyncio.Handle | None = None
        self._rested = 0.0  # from when on it may be offered again, of the monotonic clock

    def __repr__(self) -> str:
        return f"<Subscription {self.replica!r} watched={len(self.watched)}>"

    @property
    def applied(self) -> tuple[int, str] | None:
        """The revision, and its epoch, that all of them have applied: the registry's last word.

        Where they have not, the one before, or 0: drains wait for who shows that it lives. None
        when nobody is left: who says nothing of a service is not waited for.
        """
        view = self.replica.view
        if view is None or not self.replica.following or not self.watched:
            return None
        if all(one.applied == view for one in self.watched):
            self._applied = (view.index, view.epoch)
        index, epoch = self._applied
        return (index if epoch == view.epoch else 0), view.epoch

    def soon(self) -> None:
        """Offer the view when what has come with it is known, too."""
        if self._handle is not None:
            return
        loop, rest = asyncio.get_running_loop(), self._rested - monotonic()
        if rest <= 0:
            self._handle = loop.call_soon(self.offer)
        else:
            self._handle = loop.call_later(rest, self.offer)

    def end(self) -> None:
        """Offer nothing more by itself."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def offer(self) -> None:
        """Have the view applied by all who have not yet."""
        self.end()
        began = monotonic()  # the loop's own time stands still within a turn
        for one in tuple(self.watched):
            one.offer()
        ended = monotonic()
        self._rested = ended + min(_LONGEST, REST * (ended - began))
        self._offered(self)
