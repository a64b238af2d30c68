"""The headers that a call's tries go out with: the caller's own, and what calls carry on.

What the caller has set stays, but for X-Request-Timeout: it says what is left of the call's time,
which a caller's value can only shorten. A trace is carried on as it came, its parent id included:
no span is recorded here that could stand between. Nothing begins a trace.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from uaitools.auth.credential import USER_TOKEN
from uaitools.registry.client.calls.context import (
    REQUEST_ID,
    TIMEOUT,
    TRACEPARENT,
    TRACESTATE,
    Carried,
    milliseconds,
)

if TYPE_CHECKING:
    from uaitools.auth.principal import Principal
    from uaitools.auth.service_token import ServiceTokens

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Voucher:
    """Who vouches, for whom, at which service."""

    tokens: ServiceTokens
    principal: Principal
    audience: str


class Outgoing:
    """The headers of one call. voucher: None when there is nobody to vouch for.

    headers: of every try. timeout: seconds that the caller's own X-Request-Timeout leaves, infinity
    without one. Raises ValueError when that is malformed.
    """

    __slots__ = ("_voucher", "headers", "timeout")

    def __init__(self, headers: Headers | None, carried: Carried, voucher: Voucher | None) -> None:
        found = self.headers = CIMultiDict(headers or ())
        self.timeout = _own_timeout(found)
        self._voucher = None if USER_TOKEN in found else voucher
        if REQUEST_ID not in found:
            found[REQUEST_ID] = carried.request_id or uuid.uuid4().hex
        if TRACEPARENT not in found and carried.traceparent:
            found[TRACEPARENT] = carried.traceparent
            found.popall(TRACESTATE, None)  # it would be another trace's
            if carried.tracestate:
                found[TRACESTATE] = carried.tracestate

    def __repr__(self) -> str:
        return f"<Outgoing {self.headers[REQUEST_ID]}>"

    def head(self, left: float) -> CIMultiDict[str]:
        """The headers of a try that has `left` seconds."""
        headers = self.headers.copy()
        if left != math.inf:
            headers[TIMEOUT] = str(max(1, int(left * 1000)))
        if self._voucher is not None:
            voucher = self._voucher
            headers[USER_TOKEN] = voucher.tokens.issue(voucher.principal, voucher.audience, time())
        return headers


def _own_timeout(headers: CIMultiDict[str]) -> float:
    text = headers.get(TIMEOUT)
    if text is None:
        return math.inf
    seconds = milliseconds(text)
    if seconds is None:
        raise ValueError(f"{TIMEOUT} is a whole number of milliseconds, at least 1")
    return seconds
