"""What a watcher says over its WebSocket, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from uaitools.fields import Asked
from uaitools.registry.api.fields import Big, Name, Text
from uaitools.registry.api.requests import ObservationModel


class Hello(Asked):
    """The first message of a watcher that has a name."""

    type: Literal["hello"]
    watcher: Name


class Watch(Asked):
    """Tell of a service from now on; of changes only, where index and epoch are still known."""

    type: Literal["watch"]
    service: Name
    index: Big | None = None
    epoch: Text | None = None


class Unwatch(Asked):
    """Tell no more of a service."""

    type: Literal["unwatch"]
    service: Name


class AppliedMessage(Asked):
    """A revision has been applied; said again every 15 s to show that the watcher lives.

    epoch: of the revision; left out, that of the last message about the service.
    """

    type: Literal["applied"]
    service: Name
    index: Big
    epoch: Text | None = None


class Observed(Asked):
    """What the watcher saw."""

    type: Literal["observed"]
    observations: Annotated[tuple[ObservationModel, ...], Field(max_length=1000)]


Message = Annotated[
    Hello | Watch | Unwatch | AppliedMessage | Observed, Field(discriminator="type")
]
