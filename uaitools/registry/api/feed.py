"""Changes of several services, for one watcher: what it has been told, and what it has not.

A watcher that reads slowly costs no memory: nothing is queued for it but the names of services
that have changed, and when it reads again it gets what is new then, or a list where changes that
it has missed are no longer known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Final

import orjson

from uaitools.registry.api.documents import Documents
from uaitools.registry.registry import Registry
from uaitools.registry.service import Delta

SERVICES: Final = 10_000  # one watcher may watch
REMEMBERED: Final = 2048  # messages, written once for all watchers


class Message:
    """What a watcher is told. index: of `service`, after it."""

    __slots__ = ("index", "kind", "service", "text")

    def __init__(self, kind: str, service: str, index: int, text: bytes) -> None:
        self.kind = kind
        self.service = service
        self.index = index
        self.text = text

    def __repr__(self) -> str:
        return f"<Message {self.kind} {self.service} index={self.index}>"


class Telling:
    """Messages, each written once however many watchers get it."""

    __slots__ = ("_documents", "_known", "_lists")

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lists: dict[tuple[str, str, int, bool], bytes] = {}  # of this moment
        self._known: dict[tuple[str, str, int], Message] = {}

    def __repr__(self) -> str:
        return f"<Telling remembered={len(self._known)}>"

    def change(self, epoch: str, service: str, delta: Delta) -> Message:
        """A change."""
        key = (epoch, service, delta.revision)
        message = self._known.get(key)
        if message is None:
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            document = self._documents.message(service, delta)
            kind = str(document["type"])
            message = Message(kind, service, delta.revision, orjson.dumps(document))
            self._known[key] = message
        return message

    def list(self, epoch: str, service: str, revision: int, *, sure: bool) -> bytes:
        """The whole service, written once for all who are told of it at the same moment."""
        key = (epoch, service, revision, sure)
        text = self._lists.get(key)
        if text is None:
            if not self._lists:
                asyncio.get_running_loop().call_soon(self._lists.clear)
            text = self._lists[key] = orjson.dumps(self._documents.list_message(service))
        return text


class Feed:
    """One watcher's: once `changed` is set, `news` has what is to be told.

    epoch: of what was told. looked: when it was last seen whether the stream may go on, monotonic.
    """

    __slots__ = (
        "_bells",
        "_doubted",
        "_due",
        "_registry",
        "_told",
        "changed",
        "epoch",
        "looked",
        "telling",
    )

    def __init__(self, registry: Registry, telling: Telling) -> None:
        self._registry = registry
        self.telling = telling
        self.changed = asyncio.Event()
        self.epoch = registry.table.epoch
        self.looked = monotonic()
        self._told: dict[str, int | None] = {}  # the index that it knows; None for nothing
        self._doubted: set[str] = set()  # whose list was not to be believed
        self._due: dict[str, None] = {}
        self._bells: dict[str, partial[None]] = {}  # rung when it changes

    def __repr__(self) -> str:
        return f"<Feed services={len(self._told)} due={len(self._due)}>"

    def __contains__(self, service: str) -> bool:
        return service in self._told

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._told))

    def told(self, service: str) -> int:
        """The index of a service up to which the watcher was told; 0 for nothing."""
        return self._told.get(service) or 0

    def watch(self, service: str, index: int | None = None, epoch: str | None = None) -> None:
        """Tell of a service from now on; only of changes after `index`, if that can be had."""
        self._told[service] = index if epoch == self._registry.table.epoch else None
        if service not in self._bells:
            bell = self._bells[service] = partial(self.due, service)
            self._registry.bells.hang(service, bell)
        self.due(service)

    def unwatch(self, service: str) -> None:
        """Tell no more of it."""
        bell = self._bells.pop(service, None)
        if bell is not None:
            self._registry.bells.take_down(service, bell)
        self._told.pop(service, None)
        self._due.pop(service, None)
        self._doubted.discard(service)

    def close(self) -> None:
        """Tell no more of anything."""
        for service in tuple(self._told):
            self.unwatch(service)

    def due(self, service: str) -> None:
        """There is something to say of a service."""
        self._due[service] = None
        self.changed.set()

    def news(self) -> Iterator[Message]:
        """What is to be told now; what changes while it is read comes as well."""
        self.changed.clear()
        while self._due:
            service = next(iter(self._due))
            del self._due[service]
            yield from self._news_of(service)

    def _news_of(self, service: str) -> Iterator[Message]:
        table = self._registry.table
        if table.epoch != self.epoch:  # history was lost: whatever is known is void
            self.epoch = table.epoch
            self._told = dict.fromkeys(self._told)
        index = self._told.get(service)
        known = table.services.get(service)
        if index is not None and known is not None:
            deltas = known.since(index)
            if deltas is not None:
                for delta in deltas:
                    self._told[service] = delta.revision
                    yield self.telling.change(self.epoch, service, delta)
                if service not in self._doubted or not self._registry.authoritative(service):
                    return
        revision = known.revision if known is not None else 0
        sure = self._registry.authoritative(service)
        self._told[service] = revision
        if sure:
            self._doubted.discard(service)
        else:
            self._doubted.add(service)
        text = self.telling.list(self.epoch, service, revision, sure=sure)
        yield Message("list", service, revision, text)
