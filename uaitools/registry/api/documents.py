"""Instances, lists and explanations as JSON documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from time import time
from typing import Any

from uaitools.registry.entry import Entry
from uaitools.registry.evidence import State, Word
from uaitools.registry.leases import Lease
from uaitools.registry.protection import PROTECTION
from uaitools.registry.registry import Registry
from uaitools.registry.service import Cause, Delta, Departed, Listing

Document = dict[str, Any]


class Documents:
    """Writes what a registry knows."""

    __slots__ = ("_registry",)

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __repr__(self) -> str:
        return f"<Documents {self._registry!r}>"

    def instance(self, entry: Entry) -> Document:
        """One instance."""
        stamp = self._stamps()
        instance = entry.instance
        lease = self._lease(entry)
        load = lease.load if lease is not None and lease.load is not None else entry.load
        return {
            "id": instance.id,
            "name": instance.name,
            "address": instance.address,
            "port": instance.port,
            "scheme": instance.scheme,
            "version": instance.version,
            "tags": sorted(instance.tags),
            "meta": dict(instance.meta),
            "zone": instance.zone,
            "weight": instance.weight,
            "ttl": instance.ttl,
            "generation": instance.generation,
            "health": entry.state.value,
            "cause": entry.cause,
            "since": stamp(entry.since),
            "last_seen": self._last_seen(entry, lease, stamp),
            "index": entry.revision,
            "checks": [
                {**asdict(check), "says": said.word.value, "reason": said.reason}
                for check, said in zip(instance.checks, entry.said, strict=True)
            ],
            "load": asdict(load),
        }

    def listing(self, name: str, listing: Listing, entries: Sequence[Entry]) -> Document:
        """A service. entries: those of the listing that are to be shown."""
        cause = listing.cause
        if listing.entries and not entries:
            cause = Cause.FILTERED
        return {
            "name": name,
            "index": listing.revision,
            "epoch": self._registry.table.epoch,
            "authoritative": self._registry.authoritative(name),
            "cause": None if cause is None else cause.value,
            "instances": [self.instance(entry) for entry in entries],
        }

    def message(self, service: str, delta: Delta) -> Document:
        """A change, for watchers."""
        document: Document = {"service": service, "index": delta.revision}
        document["epoch"] = self._registry.table.epoch
        if delta.entry is not None:
            return {"type": "put", **document, "instance": self.instance(delta.entry)}
        cause = delta.cause.value if delta.cause is not None else None
        return {"type": "remove", **document, "id": delta.id, "cause": cause}

    def list_message(self, name: str) -> Document:
        """A whole service, for watchers."""
        listing = self._registry.table.listing(name)
        document = self.listing(name, listing, listing.entries)
        document["service"] = document.pop("name")
        return {"type": "list", **document}

    def services(self) -> Document:
        """All services that have instances, or have had."""
        table = self._registry.table
        return {
            "epoch": table.epoch,
            **self._belief(),
            "services": [
                {
                    "name": service.name,
                    "index": service.revision,
                    "instances": len(service),
                    "health": _states(service),
                }
                for service in sorted(table.services.values(), key=lambda one: one.name)
            ],
        }

    def _belief(self) -> Document:
        """Whether a list of everything is to be believed, and why nobody is there if so."""
        services = self._registry.table.services.values()
        sure, cause = self._registry.sure, None
        if not self._registry.table.entries:
            expired = any(not service.authoritative(fresh=False) for service in services)
            known = Cause.DEREGISTERED if services else Cause.UNKNOWN
            cause = Cause.RESET if not sure else Cause.EXPIRED if expired else known
            sure = sure and not expired
        return {"authoritative": sure, "cause": None if cause is None else cause.value}

    def nodes(self) -> Document:
        """All addresses, with what runs there."""
        nodes: dict[str, list[Entry]] = {}
        for entry in self._registry.table:
            nodes.setdefault(entry.instance.address, []).append(entry)
        return {
            **self._belief(),
            "nodes": [
                {
                    "address": address,
                    "zone": entries[0].instance.zone,
                    "instances": sorted(entry.instance.id for entry in entries),
                    "health": _states(entries),
                }
                for address, entries in sorted(nodes.items())
            ],
        }

    def explanation(self, entry: Entry) -> Document:
        """Why an instance is in its state, how it came there, and what comes next."""
        stamp = self._stamps()
        now = self._registry.store.now()
        lease = self._lease(entry)
        return {
            "id": entry.instance.id,
            "generation": entry.instance.generation,
            "health": entry.state.value,
            "cause": entry.cause,
            "since": stamp(entry.since),
            "last_seen": self._last_seen(entry, lease, stamp),
            "witnesses": [
                {"says": one.word.value, "reason": one.reason}
                for one in entry.testimonies(now)
                if one.word is not Word.NOTHING or entry.state is State.STARTING
            ],
            "timeline": [
                {"at": stamp(one.at), "health": one.state.value, "cause": one.cause}
                for one in entry.history
            ],
            "next": [
                {"at": stamp(at), "what": what}
                for at, what in sorted(self._next(entry, lease, now))
                if at >= now
            ],
        }

    def stamp(self, at: float) -> str:
        """A moment of the table's time in RFC 3339."""
        return self._stamps()(at)

    def departure(self, gone: Departed) -> Document:
        """How an instance came to be taken out, while that is remembered."""
        stamp = self._stamps()
        return {
            "id": gone.id,
            "generation": gone.generation,
            "at": stamp(gone.at),
            "cause": gone.cause.value,
            "timeline": [
                {"at": stamp(one.at), "health": one.state.value, "cause": one.cause}
                for one in gone.history
            ],
        }

    def _next(self, entry: Entry, lease: Lease | None, now: float) -> Iterable[tuple[float, str]]:
        if lease is not None and lease.ttl and entry.heard is not False:
            yield lease.until, "silence counts against it, unless a heartbeat comes"
        for seconds, what in self._registry.following.checker.upcoming(entry.instance.id):
            yield now + seconds, what
        if entry.protected and entry.bad_since is not None:
            yield entry.bad_since + PROTECTION, "that too many are gone protects it no more"
        removed = entry.removed_at(self._registry.table.policy.removal)
        if removed is not None:
            yield removed, "it is removed, unless it is heard of"
        if entry.sight.until > now:
            yield entry.sight.until, "what proxies saw is forgotten"
        if entry.damper.until > now:
            yield entry.damper.until, "it is believed again to be well"
        if entry.drained_by is not None:
            yield entry.drained_by, "its drain is overdue"

    def _lease(self, entry: Entry) -> Lease | None:
        lease = self._registry.store.lease(entry.instance.id)
        known = lease is not None and lease.generation == entry.instance.generation
        return lease if known else None

    def _last_seen(self, entry: Entry, lease: Lease | None, stamp: Callable[[float], str]) -> str:
        return stamp(entry.heard_at if lease is None else lease.seen)

    def _stamps(self) -> Callable[[float], str]:
        table, now = self._registry.table, time() - self._registry.store.now()

        def stamp(at: float) -> str:
            wall = table.wall(at)
            moment = datetime.fromtimestamp(at + now if wall is None else wall, UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

        return stamp


def _states(entries: Iterable[Entry]) -> dict[str, int]:
    return dict(Counter(entry.state.value for entry in entries))
