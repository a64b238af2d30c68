"""Follows in a registry what services it knows instances of, and tells it how those answered.

Views come from one `Watcher` a process. Each is in force when `changed` returns, in one turn of
the loop, and only then acknowledged: from there on no request of this process goes to an instance
that drains. What was known stays in force whatever becomes of the registry.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

from uaitools.log import get_logger
from uaitools.metrics import Family, Sample
from uaitools.registry.client import report_for_ever
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uaitools.proxy.pool import Pool
    from uaitools.registry.client import Member, Observation, Token, View, Watched, Watcher
    from uaitools.registry.client.config import RegistryClientConfig

FIRST: Final = 2.0  # seconds that a start waits for lists, so that no request meets an empty one
REPORT: Final = 5.0  # seconds between two reports of what was seen
_VIEWS: Final = Family("proxy_registry_views_total", "counter", "Lists of instances put in force.")
_INSTANCES: Final = Family(
    "proxy_registry_instances", "gauge", "Instances that the registry names.", "max"
)
_STALE: Final = Family(
    "proxy_registry_stale_seconds",
    "gauge",
    "Seconds since the registry last stood by a list, 0 while it does; of the worst worker.",
    "max",
)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Which registries to ask, and who does.

    zone: one's own. name: of the watcher, "" for one from host and process. cache: a file.
    """

    urls: tuple[str, ...]
    token: Token = None
    zone: str = ""
    name: str = ""
    cache: Path | None = None

    @classmethod
    def of(cls, client: RegistryClientConfig | None, folder: Path | None = None) -> Self | None:
        """As `[registry.client]` says. folder: where the last known lists are kept, or None."""
        if client is None:
            return None
        cache = client.cache or (None if folder is None else folder / "registry.json")
        name, zone = client.name or "", client.zone or ""
        return cls(client.url, client.credential, zone, name, cache)

    def __repr__(self) -> str:
        return f"<Source {' '.join(self.urls)} zone={self.zone!r}>"  # a token is nobody's business


class Discovery:
    """What registries know of services.

    changed: told under which name the instances are others now; when it returns, that is in force.
    pools: asked for all endpoints of this process, to report on those that came from a registry,
    every `interval` seconds.
    """

    def __init__(self, changed: Callable[[str], None], pools: Callable[[], Iterable[Pool]]) -> None:
        self._changed = changed
        self._pools = pools
        self._source: Source | None = None
        self._watcher: Watcher | None = None
        self._watched: dict[str, Watched] = {}
        self._fresh: set[str] = set()  # names that this watcher's registry has stood by
        self._former: _Following | None = None  # stays until all of them are
        self._ending: asyncio.Task[None] | None = None
        self._known: dict[str, _Known] = {}
        self._awaited: set[str] = set()
        self._heard = asyncio.Event()
        self.interval = REPORT
        self._reporting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Discovery {self._watcher!r} services={len(self._known)}>"

    @property
    def zone(self) -> str:
        """One's own, "" for none."""
        return "" if self._source is None else self._source.zone

    @property
    def dependencies(self) -> dict[str, bool]:
        """Whether what it needs works, by name: the registry, where services are followed in it."""
        watcher = self._watcher
        return {} if watcher is None or not self._watched else {"registry": watcher.connected}

    def view(self, name: str) -> View | None:
        """What is known under a name; None before anything is."""
        known = self._known.get(name)
        return None if known is None else known.view

    def knows(self, name: str) -> bool:
        """Whether a registry has said who is there under a name, or a list of it was on disk."""
        return name in self._known

    def instances(self, name: str) -> Sequence[Member]:
        """The instances under a name, whatever their health."""
        view = self.view(name)
        return () if view is None else view.members

    async def follow(self, source: Source | None, names: Collection[str]) -> None:
        """Follow `names` as well, and wait a little for what nothing is known of yet.

        Another source takes the place of the last one; what was known stays until it says more, and
        so does the connection: drains there wait for us as long as we go by its lists.
        """
        if source != self._source:
            self._source = source
            if source is not None and names and self._former is None:
                self._former = self._step_back()
            else:
                await self._leave()
        if source is None or not names:
            return
        if self._watcher is None:
            await self._connect(source)
        assert self._watcher is not None
        self._awaited = {name for name in names if name not in self._known}
        self._heard.clear()
        for name in names:
            if name not in self._watched:
                apply = partial(self._apply, name, self._watcher)
                self._watched[name] = self._watcher.watch(name, apply)
        if self._awaited:
            try:
                async with asyncio.timeout(FIRST):
                    await self._heard.wait()
            except TimeoutError:
                _log.warning("the registry has not said who is there", names=sorted(self._awaited))

    async def keep(self, names: Collection[str]) -> None:
        """Follow `names` alone; without any there is no connection."""
        for watched in (self._watched, self._former.watched if self._former is not None else {}):
            for name in watched.keys() - names:
                watched.pop(name).close()
        for name in self._known.keys() - names:
            del self._known[name]
        if not self._watched:
            await self.stop()

    async def stop(self) -> None:
        """End the connections."""
        former, self._former = self._former, None
        if former is not None:
            await former.end()
        if self._ending is not None:
            await asyncio.gather(self._ending, return_exceptions=True)
        await self._leave()

    def samples(self) -> Iterator[Sample]:
        """For metrics."""
        now = monotonic()
        for name, known in self._known.items():
            label = (("service", name),)
            yield Sample(_VIEWS, label, known.applied)
            yield Sample(_INSTANCES, label, len(known.view.members))
            yield Sample(_STALE, label, round(known.stale(now), 3))

    # -- the watcher ------------------------------------------------------------------------

    async def _connect(self, source: Source) -> None:
        from uaitools.registry.client import Watcher  # noqa: PLC0415 - it needs aiohttp's client

        name = source.name or f"proxy:{socket.gethostname()}"
        name = f"{name}:{os.getpid()}:{token_hex(2)}"  # a worker each, a gateway each
        self._watcher = Watcher(source.urls, name=name, token=source.token, cache=source.cache)
        await self._watcher.start()
        reports = report_for_ever(self._seen, self._watcher.observe, lambda: self.interval)
        self._reporting = spawn(reports, name="report to the registry")

    def _step_back(self) -> _Following | None:
        """Let go of the connection, which goes on by itself."""
        if self._watcher is None:
            return None
        found = _Following(self._watcher, self._watched, self._reporting)
        self._watcher, self._watched, self._reporting = None, {}, None
        self._fresh = set()
        return found

    async def _leave(self) -> None:
        following = self._step_back()
        if following is not None:
            await following.end()

    def _apply(self, name: str, watcher: Watcher, view: View) -> None:
        """Put a view into force, unless a later registry stands by another."""
        if watcher is not self._watcher and name in self._fresh:
            return
        if watcher is self._watcher and view.stale and self._former is not None:
            return  # it is from disk, and the last registry still tells how things are
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(view, monotonic())
        known.become(view, monotonic())
        self._changed(name)
        known.applied += 1
        self._awaited.discard(name)
        if not self._awaited:
            self._heard.set()
        if watcher is self._watcher and not view.stale:
            self._fresh.add(name)
            if self._former is not None and self._watched.keys() <= self._fresh:
                former, self._former = self._former, None
                self._ending = spawn(former.end(), name="leave the last registry")

    def _seen(self) -> list[Observation]:
        """What happened at endpoints that came from the registry since this was last asked."""
        seen = (pool.sighting.report(pool) for pool in self._pools() if pool.sighting is not None)
        return [one for one in seen if one is not None]


@dataclass(slots=True)
class _Following:
    """A connection to registries, what is watched by it, and who reports to them."""

    watcher: Watcher
    watched: dict[str, Watched]
    reporting: asyncio.Task[None] | None

    async def end(self) -> None:
        """Say that nothing is watched any more, and end the connection."""
        for watched in self.watched.values():
            watched.close()
        if self.reporting is not None:
            self.reporting.cancel()
            await asyncio.gather(self.reporting, return_exceptions=True)
        await self.watcher.stop()


class _Known:
    """What is known under a name. applied: how often it was put into force."""

    __slots__ = ("_stood", "applied", "view")

    def __init__(self, view: View, now: float) -> None:
        self.view = view
        self.applied = 0
        self._stood = now  # when it was last the registry's word

    def __repr__(self) -> str:
        return f"<_Known {self.view!r} applied={self.applied}>"

    def become(self, view: View, now: float) -> None:
        if not self.view.stale:
            self._stood = now
        self.view = view

    def stale(self, now: float) -> float:
        """Seconds since the registry stood by it."""
        return now - self._stood if self.view.stale else 0.0
