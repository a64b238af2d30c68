"""Why the hub cannot do what is asked of it."""

from __future__ import annotations

from typing import Final

from uaitools.errors import ServiceError

SERVICE: Final = "hub"


class Unavailable(ServiceError):
    """The broker cannot be reached (503). What was asked for may have been done all the same."""

    def __init__(self, reason: str) -> None:
        message = f"messages cannot be shared with other nodes now: {reason}; try again"
        super().__init__(503, message, SERVICE, retry_after=1)


class Draining(ServiceError):
    """This node stops (503)."""

    def __init__(self) -> None:
        super().__init__(503, "this node stops; connect to another one", SERVICE, retry_after=1)


class Short(ServiceError):
    """There is no memory for another connection (503)."""

    def __init__(self) -> None:
        message = "this node is short of memory; connect to another one"
        super().__init__(503, message, SERVICE, retry_after=10)


class Crowded(ServiceError):
    """There are as many channels open as there may be (503)."""

    def __init__(self, most: int) -> None:
        message = f"{most} channels are open here, which is the limit (hub.open_channels)"
        super().__init__(503, message, SERVICE, retry_after=10)


class TooMany(ServiceError):
    """A user or an address has as many connections as it may (429)."""

    def __init__(self, whose: str, most: int) -> None:
        message = f"{whose} has {most} connections already, which is the limit; close one first"
        super().__init__(429, message, SERVICE, retry_after=10)


class BadData(ValueError):
    """It cannot be sent: it is nothing that JSON has."""
