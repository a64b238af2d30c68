"""What can go wrong with an upstream, what the client is told, and whether a retry may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from uaitools.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure.

    label: in metrics. status, message: for the client. before_write: the request surely never
    reached the upstream. connecting: evidence about making connections. ours: our own limits or
    decisions, which say nothing about the endpoint. retry_after: seconds, or None when waiting
    does not help.
    """

    label: str
    status: int
    message: str
    before_write: bool = False
    connecting: bool = False
    ours: bool = False
    retry_after: float | None = None

    @property
    def end(self) -> bytes:
        """Why a request ended that met it, for the access log."""
        return (self.label if self.ours else f"upstream_{self.label}").encode()

    def error(self, service: str, message: str | None = None) -> ServiceError:
        """The error for the client, in the name of the proxied service."""
        return ServiceError(
            self.status, message or self.message, service, retry_after=self.retry_after
        )


def too_large(limit: int) -> ServiceError:
    """The error for a request whose body is over a route's `limit` bytes."""
    return ServiceError(413, f"the body is over this route's {limit} bytes", "proxy")


BROKEN: Final = ServiceError(500, "internal error; the log has it under the request_id", "proxy")
CONNECT: Final = Failure(
    "connect",
    502,
    "no connection to the service could be made; try again",
    before_write=True,
    connecting=True,
)
CONNECT_TIMEOUT: Final = Failure(
    "connect_timeout",
    504,
    "the service did not accept a connection in time",
    before_write=True,
    connecting=True,
)
QUEUE_TIMEOUT: Final = Failure(
    "queue_timeout",
    503,
    "no connection to the service became free in time",
    before_write=True,
    ours=True,
    retry_after=1,
)
OVERFLOW: Final = Failure(
    "overflow",
    503,
    "too many requests wait for the service; try again",
    before_write=True,
    ours=True,
    retry_after=1,
)
EJECTED: Final = Failure(
    "ejected",
    503,
    "the service's endpoint was taken out while the request waited for it; try again",
    before_write=True,
    ours=True,
    retry_after=1,
)
CLOSED: Final = Failure(
    "closed",
    502,
    "the service closed the connection before the request could reach it; try again",
    before_write=True,
)
UNASKED: Final = Failure(
    "unasked",
    502,
    "the service sends bytes before it is asked",
    before_write=True,
)
DEADLINE: Final = Failure("deadline", 504, "the request could not be answered within its time")
TIMEOUT: Final = Failure("timeout", 504, "the service did not answer in time")
RESET: Final = Failure("reset", 502, "the service closed the connection before it answered")
PROTOCOL: Final = Failure("protocol", 502, "the service sent an invalid response")
STATUS: Final = Failure("status", 502, "the service answered with an error")
TRUNCATED: Final = Failure("truncated", 502, "the service closed the connection within its answer")
