"""What can go wrong with an upstream before its response begins, and what the client is told."""

from __future__ import annotations

import enum

from uaitools.errors import ServiceError


class Failure(enum.Enum):
    """A kind of failure: (label in metrics, status, message)."""

    CONNECT = ("connect", 502, "no connection to the service could be made; try again")
    CONNECT_TIMEOUT = ("connect_timeout", 504, "the service did not accept a connection in time")
    QUEUE_TIMEOUT = ("queue_timeout", 503, "no connection to the service became free in time")
    OVERFLOW = ("overflow", 503, "too many requests wait for the service; try again")
    TIMEOUT = ("timeout", 504, "the service did not answer in time")
    RESET = ("reset", 502, "the service closed the connection before it answered")
    PROTOCOL = ("protocol", 502, "the service sent an invalid response")
    STATUS = ("status", 502, "the service answered with an error")
    TRUNCATED = ("truncated", 502, "the service closed the connection within its answer")

    def __init__(self, label: str, status: int, message: str) -> None:
        self.label = label
        self.status = status
        self.message = message

    @property
    def before_write(self) -> bool:
        """Whether the request surely never reached the upstream."""
        return self in _BEFORE_WRITE

    @property
    def connecting(self) -> bool:
        """Whether it is evidence about making connections."""
        return self is Failure.CONNECT or self is Failure.CONNECT_TIMEOUT

    def error(self, service: str) -> ServiceError:
        """The error for the client, in the name of the proxied service."""
        overloaded = self is Failure.OVERFLOW or self is Failure.QUEUE_TIMEOUT
        return ServiceError(
            self.status, self.message, service, retry_after=1 if overloaded else None
        )


_BEFORE_WRITE = frozenset(
    (Failure.CONNECT, Failure.CONNECT_TIMEOUT, Failure.QUEUE_TIMEOUT, Failure.OVERFLOW)
)
