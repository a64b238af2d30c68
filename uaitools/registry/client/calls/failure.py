"""What can go wrong with a try, what the caller is told, and whether another may help.

aiohttp's exceptions are translated here, once. Which of them means what depends on how far the
try had come, which `Progress` has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from uaitools.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure.

    status, message: for the caller. before_write: the request surely never reached the instance.
    connecting: evidence about making connections. ours: our own limits, which say nothing about
    the instance. stale: a connection that was reused had ended. retry_after: see ServiceError.
    """

    status: int
    message: str
    before_write: bool = False
    connecting: bool = False
    ours: bool = False
    stale: bool = False
    retry_after: float | None = None

    def error(self, service: str) -> ServiceError:
        """The error for the caller, in the name of the service."""
        return ServiceError(self.status, self.message, service, retry_after=self.retry_after)


CONNECT: Final = Failure(
    502,
    "no connection to the service could be made; try again",
    before_write=True,
    connecting=True,
)
CONNECT_TIMEOUT: Final = Failure(
    504,
    "the service did not accept a connection in time",
    before_write=True,
    connecting=True,
)
QUEUE_TIMEOUT: Final = Failure(
    503,
    "no connection to the service became free in time; allow more, or call less",
    before_write=True,
    ours=True,
    retry_after=1,
)
CLOSED: Final = Failure(
    502,
    "the service closed the connection before the request could reach it; try again",
    before_write=True,
    stale=True,
)
STALE: Final = Failure(
    502,
    "the service closed an idle connection as it was used; try again if that does no harm",
    stale=True,
)
RESET: Final = Failure(502, "the service closed the connection before it answered")
PROTOCOL: Final = Failure(502, "the service sent an invalid response")
TIMEOUT: Final = Failure(504, "the service did not answer in time")
DEADLINE: Final = Failure(504, "the call could not be answered within its time")
STATUS: Final = Failure(502, "the service answered with an error")
MOVED: Final = Failure(503, "the instance takes nothing new", before_write=True, ours=True)


class Broken(aiohttp.ClientError):
    """A connection ended before the answer began. Hides from aiohttp what it would send again."""


class Moved(aiohttp.ClientError):
    """The instance takes nothing new any more, which became known before anything was sent."""


class Progress(Protocol):
    """How far a try has come."""

    @property
    def welcome(self) -> bool:
        """Whether its instance still takes something new."""

    def found(self) -> None:
        """It has a connection, or one is made for it."""

    connecting: float  # when a connection began to be opened for it, monotonic; 0 for not
    reused: bool  # it has one that had been used before
    sent: float  # when its head was written, monotonic; 0 for not


def failure_of(error: aiohttp.ClientError, progress: Progress) -> Failure | None:
    """Which failure an exception of aiohttp is; None for a fault of the caller's."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return CONNECT_TIMEOUT if progress.connecting else QUEUE_TIMEOUT
        case aiohttp.ClientConnectorError():
            return CONNECT
        case Moved():
            return MOVED
        case Broken():
            used = STALE if progress.sent else CLOSED
            return used if progress.reused else RESET
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return PROTOCOL
        case _:
            return None
