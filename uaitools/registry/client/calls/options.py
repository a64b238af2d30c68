"""What a call may be told beside its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from uaitools.auth.principal import Principal
    from uaitools.registry.client.calls.outgoing import Headers

MESSAGE: Final = 4 * 1024 * 1024  # bytes of a WebSocket's message at most, as in aiohttp


class Options(TypedDict, total=False):
    """What a call may be told.

    params, data, json, headers: as in aiohttp. timeout: seconds for the whole call, None for any
    time; a deadline that the call inherits holds all the same. principal: whom it is made for.
    raise_for_status: raise aiohttp's ClientResponseError for an answer of 400 or above.
    """

    params: Mapping[str, str | int | float] | None
    data: Any
    json: Any
    headers: Headers | None
    timeout: float | None
    principal: Principal | None
    raise_for_status: bool


class SocketOptions(TypedDict, total=False):
    """What a WebSocket may be told, as in aiohttp; timeout: seconds to open it."""

    params: Mapping[str, str | int | float] | None
    headers: Headers | None
    timeout: float | None
    principal: Principal | None
    protocols: Iterable[str]
    origin: str | None
    heartbeat: float | None
    max_msg_size: int
    compress: int
