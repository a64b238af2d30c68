"""Why the registry cannot do what a message asks for."""

from __future__ import annotations

from typing import ClassVar

from uaitools.errors import ServiceError

_SERVICE = "registry"


class Unknown(ServiceError):
    """There is no instance with that id: register it (404)."""

    status: ClassVar[int] = 404

    def __init__(self, name: str) -> None:
        super().__init__(
            self.status, f"no instance has the id {name!r}; register it again", _SERVICE
        )


class Stale(ServiceError):
    """The message is about an earlier registration of that id (409)."""

    status: ClassVar[int] = 409

    def __init__(self, name: str, generation: int) -> None:
        super().__init__(
            self.status,
            f"{name!r} has been registered anew; its generation is {generation}",
            _SERVICE,
        )
