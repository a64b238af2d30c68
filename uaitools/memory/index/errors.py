"""Why an index does not answer."""

from __future__ import annotations

from uaitools.errors import ServiceError
from uaitools.memory.errors import SERVICE


class IndexAway(ServiceError):
    """The index did not answer, or not as it should; what was sent may have happened (503).

    The reason is fit to be shown: no address, and nothing of what was sent.
    """

    def __init__(self, reason: str) -> None:
        message = f"the vector index is away: {reason}; try again"
        super().__init__(503, message, SERVICE, retry_after=1)
        self.reason = reason


class IndexUnavailable(ServiceError):
    """There can be no such index here until somebody changes something (503)."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, f"the vector index cannot be used: {reason}", SERVICE)
        self.reason = reason
