"""Why what a client wants of the hub does not happen. Pure.

HubError            all of them
    Refused         the hub has answered with an error; `error` is its code
    Unreachable     no answer in time, or no connection
    Interrupted     the connection was lost before the answer: it may have been done
    Ended           there will be no connection any more; `close_code` says why
    Unsubscribed    the hub has ended this subscription
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uaitools.errors import ServiceError

_SERVICE: Final = "hub"
_STATUS: Final[Mapping[str, int]] = {
    "unauthorized": 401,
    "forbidden": 403,
    "too_long": 413,
    "too_many": 429,
    "limit": 429,
    "unavailable": 503,
    "internal": 500,
}
_MEND: Final = frozenset({"too_many", "unavailable", "internal"})


class HubError(ServiceError):
    """What a client wants of the hub does not happen."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message, _SERVICE)


class Refused(HubError):
    """The hub will not do it. error: its code for it, see docs/hub-protocol.md."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(_STATUS.get(error, 400), f"{error}: {message}")
        self.error = error

    @property
    def may_mend(self) -> bool:
        """Whether the same may be done a little later."""
        return self.error in _MEND


class Unreachable(HubError):
    """The hub has not answered in time (503). reason: of the last attempt to connect, if any."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, f"the hub has not answered in time: {reason}; try again later")
        self.reason = reason


class Interrupted(HubError):
    """The connection was lost before the answer (503); what was asked for may have been done."""

    def __init__(self) -> None:
        message = "the connection was lost before the answer: it may have been done"
        super().__init__(503, message)


class Ended(HubError):
    """The hub, or this client's owner, wants no further connection. close_code: 0 without one."""

    def __init__(self, message: str, close_code: int = 0, *, status: int = 503) -> None:
        super().__init__(status, message)
        self.close_code = close_code

    def again(self) -> Ended:
        """The same for somebody else, with a traceback of its own."""
        return Ended(self.message, self.close_code, status=self.code)


class Unsubscribed(HubError):
    """An operator or an expired token has ended a subscription. error: the hub's code for it."""

    def __init__(self, channel: str, error: str, reason: str) -> None:
        super().__init__(403, f"{channel} is not subscribed any more: {error}: {reason}")
        self.channel = channel
        self.error = error


class Garbled(HubError):
    """What came is not what a hub says (502). The text never repeats it."""

    def __init__(self, what: str) -> None:
        super().__init__(502, f"the hub cannot be understood: {what}")
