"""What a call inherits from the request that it is made for: trace, request id, deadline, user.

    async def handler(request: web.Request) -> web.Response:
        with carried(request.headers, principal=request[PRINCIPAL]):
            async with llm.post("/v1/chat", json=...) as answer:
                ...

All calls within the block, and in tasks that are made there, carry it on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uaitools.auth.principal import Principal

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
REQUEST_ID: Final = "X-Request-Id"
TIMEOUT: Final = "X-Request-Timeout"  # milliseconds that are left; the gateway's header

# W3C Trace Context 3.2.2: a later version may append fields; an all-zero id is invalid.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{1,64})?",
    re.ASCII,
)
_TRACESTATE: Final = re.compile(r"[ -~\t]{1,512}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_MILLISECONDS: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Carried:
    """What calls inherit; "" for what is not known. deadline: monotonic."""

    traceparent: str = ""
    tracestate: str = ""
    request_id: str = ""
    deadline: float = math.inf
    principal: Principal | None = None


NOTHING: Final = Carried()
CARRIED: Final[ContextVar[Carried]] = ContextVar("carried", default=NOTHING)
"""What calls made in this context inherit."""


@contextmanager
def carried(headers: Mapping[str, str], *, principal: Principal | None = None) -> Iterator[Carried]:
    """Have calls within the block carry on what a request with these `headers` has brought.

    principal: whom the calls are made for. Of headers that are malformed nothing is carried on.
    """
    token = CARRIED.set(found := read(headers, monotonic(), principal))
    try:
        yield found
    finally:
        CARRIED.reset(token)


def read(headers: Mapping[str, str], now: float, principal: Principal | None = None) -> Carried:
    """What `headers` say that calls inherit."""
    traceparent = _valid(_TRACEPARENT, headers, TRACEPARENT)
    left = milliseconds(headers.get(TIMEOUT, ""))
    return Carried(
        traceparent,
        _valid(_TRACESTATE, headers, TRACESTATE) if traceparent else "",
        _valid(_REQUEST_ID, headers, REQUEST_ID),
        math.inf if left is None else now + left,
        principal,
    )


def milliseconds(text: str) -> float | None:
    """The seconds that an X-Request-Timeout grants; None when it is not 1 to 999999999."""
    return int(text) / 1000 if _MILLISECONDS.fullmatch(text) else None


def _valid(grammar: re.Pattern[str], headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    return value if grammar.fullmatch(value) else ""
