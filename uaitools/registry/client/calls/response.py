"""The end of an answer: aiohttp has its body, and tells when it lets go of the connection."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import aiohttp

if TYPE_CHECKING:
    from uaitools.registry.client.calls.attempt import Attempt

# What an answer's body ends with that the instance has broken off.
_TRUNCATED: Final = (
    aiohttp.ClientPayloadError,
    aiohttp.ClientOSError,
    aiohttp.ServerDisconnectedError,
)


def follow(attempt: Attempt, response: aiohttp.ClientResponse) -> None:
    """End the try when its answer ends."""
    connection = response.connection
    if connection is None:  # all of it has come with its head
        attempt.completed(monotonic())
    else:
        connection.add_callback(partial(_ended, attempt, response.content))


def _ended(attempt: Attempt, content: aiohttp.StreamReader) -> None:
    error = content.exception()
    now = monotonic()
    if content.is_eof() and error is None:
        attempt.completed(now)
    elif isinstance(error, _TRUNCATED):
        attempt.failed(now)
    else:
        attempt.release(now)  # the caller did not want the rest
