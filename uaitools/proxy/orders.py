"""What an operator orders while the gateway runs, and which of it still holds.

An order names an endpoint by its service and address and is obeyed by every worker. Drains and
weights stand until they are taken back, through reloads and for workers that are replaced;
an ejection ends by itself. Pure: who keeps them and who obeys is told by its callers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import orjson

LIMIT: Final = 4096  # endpoints with standing orders

Action = Literal["drain", "eject", "restore", "weight", "reopen", "reload"]
_ACTIONS: Final = frozenset(("drain", "eject", "restore", "weight", "reopen", "reload"))


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    service, address: the endpoint; empty for what concerns the whole gateway. until: when an
    ejection ends, on the host's monotonic clock. weight: of the endpoint, None for the configured
    one.
    """

    action: Action
    service: str = ""
    address: str = ""
    until: float | None = None
    weight: int | None = None

    def to_json(self) -> bytes:
        """For another process, which reads it with `from_json`."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, text: bytes) -> Order:
        """The order that `to_json` wrote. Raises ValueError for anything else."""
        try:
            order = cls(**orjson.loads(text))
            known = order.action in _ACTIONS
        except (TypeError, ValueError) as error:
            raise ValueError(f"not an order: {error}") from error
        if not known:
            raise ValueError(f"not an order: {order.action!r}")
        return order


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for an endpoint until it is taken back."""

    drained: bool = False
    weight: int | None = None

    def after(self, order: Order) -> Standing:
        """What holds when `order` has been given, too."""
        match order.action:
            case "drain":
                return replace(self, drained=True)
            case "restore":
                return replace(self, drained=False)
            case "weight":
                return replace(self, weight=order.weight)
            case _:
                return self


NOTHING: Final = Standing()


class StandingOrders:
    """The standing orders of all endpoints."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Standing] = {}

    def __repr__(self) -> str:
        return f"<StandingOrders endpoints={len(self._kept)}>"

    def __iter__(self) -> Iterator[Order]:
        """Orders that, given anew, lead to the same."""
        for (service, address), standing in self._kept.items():
            if standing.drained:
                yield Order("drain", service, address)
            if standing.weight is not None:
                yield Order("weight", service, address, weight=standing.weight)

    def note(self, order: Order) -> None:
        """Keep an order; beyond the limit the oldest endpoint's are forgotten."""
        if not order.service:
            return
        key = order.service, order.address
        standing = self._kept.pop(key, NOTHING).after(order)
        if standing != NOTHING:
            self._kept[key] = standing
            if len(self._kept) > LIMIT:
                del self._kept[next(iter(self._kept))]

    def of(self, service: str, address: str) -> Standing:
        """What holds for an endpoint."""
        return self._kept.get((service, address), NOTHING)

    def keep(self, service: str, addresses: frozenset[str]) -> None:
        """Forget the endpoints of a service that it no longer has."""
        for key in [k for k in self._kept if k[0] == service and k[1] not in addresses]:
            del self._kept[key]
