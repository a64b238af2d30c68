"""The memory service's metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uaitools.metrics import Family, Sample

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

_SEARCHES: Final = Family("memory_searches_total", "counter", "Searches.")
_DEGRADED: Final = Family(
    "memory_searches_degraded_total", "counter", "Searches that went on without vectors."
)
_FOLLOWED: Final = Family("memory_followed_total", "counter", "Memories that the index followed.")
_FAILING: Final = Family(
    "memory_index_failing",
    "gauge",
    "Whether the index could not follow at the last attempt.",
    "max",
)
_ANALYSED: Final = Family(
    "memory_analysed_total", "counter", "Memories that an older version had analysed."
)
_BEHIND: Final = Family(
    "memory_index_behind", "gauge", "Memories that the index has yet to follow.", "max"
)
_BEHIND_FOR: Final = Family(
    "memory_index_behind_seconds", "gauge", "For how long the oldest of them has waited.", "max"
)
_EXPIRED: Final = Family("memory_expired_total", "counter", "Expired memories that were removed.")
_FORGOTTEN: Final = Family("memory_forgotten_total", "counter", "Memories that went by a policy.")
_DELETED: Final = Family("memory_users_deleted_total", "counter", "Users who were deleted.")
_DROPPED: Final = Family("memory_reads_dropped_total", "counter", "Reads that were not counted.")
_CONTEXTS: Final = Family("memory_contexts_total", "counter", "Contexts of sessions made.")
_BUSY: Final = Family(
    "memory_busy_total", "counter", "Requests refused: too much was under way of their user."
)


def samples(service: MemoryService) -> Iterator[Sample]:
    """Everything that the service counts."""
    yield Sample(_SEARCHES, (), service.searching.searches)
    yield Sample(_CONTEXTS, (), service.contexts.made)
    yield Sample(_DEGRADED, (), service.searching.degraded)
    yield Sample(_FOLLOWED, (), service.following.followed)
    yield Sample(_FAILING, (), float(service.following.failing))
    yield Sample(_ANALYSED, (), service.analysing.analysed)
    yield Sample(_BEHIND, (), service.index_watch.backlog.size)
    yield Sample(_BEHIND_FOR, (), service.index_watch.backlog.age)
    yield Sample(_EXPIRED, (), service.upkeep.expired)
    yield Sample(_FORGOTTEN, (), service.forgetting.forgotten)
    yield Sample(_DELETED, (), service.deleting.completed)
    yield Sample(_DROPPED, (), service.touches.dropped)
    for what, shares in service.shares.items():
        yield Sample(_BUSY, (("of", what),), shares.refused)
    yield from service.pool.samples()
    yield from service.probe.samples()
    yield from service.cache.samples()
    yield from service.notices.samples()
