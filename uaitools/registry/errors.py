"""Why the registry cannot do what a message asks for."""

from __future__ import annotations

from uaitools.errors import ServiceError

SERVICE = "registry"


class Unknown(ServiceError):
    """There is no instance with that id (404)."""

    def __init__(self, name: str, advice: str = "/v1/services lists what there is") -> None:
        super().__init__(404, f"no instance has the id {name!r}; {advice}", SERVICE)


class Stale(ServiceError):
    """The message is about an earlier registration of that id (409)."""

    def __init__(self, name: str, generation: int) -> None:
        message = f"{name!r} has been registered anew; its generation is {generation}"
        super().__init__(409, message, SERVICE)


class Full(ServiceError):
    """There are as many instances as there may be (507)."""

    def __init__(self, most: int) -> None:
        message = f"there are {most} instances, which is the limit; raise registry.instances"
        super().__init__(507, message, SERVICE)


class Crowded(ServiceError):
    """More services are watched than anybody can wait for (503)."""

    def __init__(self, most: int) -> None:
        message = f"{most} services are watched here already; watch fewer, or another registry"
        super().__init__(503, message, SERVICE, retry_after=60)


class Unavailable(ServiceError):
    """What is shared with other registries cannot be changed now (503)."""

    def __init__(self, reason: str) -> None:
        message = f"the change could not be stored: {reason}; try again"
        super().__init__(503, message, SERVICE, retry_after=1)
