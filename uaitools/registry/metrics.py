"""The registry's metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uaitools.metrics import Family, Sample

if TYPE_CHECKING:
    from uaitools.registry.api.resources import Api
    from uaitools.registry.registry import Registry

_INSTANCES: Final = Family("registry_instances", "gauge", "Instances by their state.")
_SERVICES: Final = Family("registry_services", "gauge", "Services, also those without instances.")
_HEARTBEATS: Final = Family("registry_heartbeats_total", "counter", "Heartbeats taken.")
_EVENTS: Final = Family("registry_events_total", "counter", "Events that were stored from here.")
_UNSTORED: Final = Family(
    "registry_unstored_total", "counter", "Events that could not be stored from here."
)
_WATCHERS: Final = Family("registry_watchers", "gauge", "Open streams and waiting polls.")
_LATE: Final = Family(
    "registry_checks_late_seconds",
    "gauge",
    "For how long the check that waits longest is due.",
)
_STORE_UP: Final = Family("registry_store_up", "gauge", "Whether changes can be stored.")


def samples(registry: Registry, api: Api) -> Iterator[Sample]:
    """Everything that a registry counts."""
    states = Counter(entry.state.value for entry in registry.table)
    for state, count in sorted(states.items()):
        yield Sample(_INSTANCES, (("state", state),), count)
    yield Sample(_SERVICES, (), len(registry.table.services))
    yield Sample(_HEARTBEATS, (), registry.counts.heartbeats)
    yield Sample(_EVENTS, (), registry.counts.events)
    yield Sample(_UNSTORED, (), registry.counts.unstored)
    yield Sample(_WATCHERS, (("kind", "stream"),), len(api.streams))
    yield Sample(_WATCHERS, (("kind", "poll"),), api.polls)
    yield Sample(_LATE, (), registry.following.checker.late)
    yield Sample(_STORE_UP, (), float(not registry.store.failing))
