"""What comes of a check: the call may pass or not, and what the client is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError

if TYPE_CHECKING:
    from uaitools.limits.limit import Limit


class Verdict:
    """Of one check; not to be changed, since it may be that of other checks, too.

    lines: header lines for the answer, each ended by CR LF. refused: the limit that refuses, the
    one that refuses longest if there are several; None when the call may pass. retry_after: seconds
    until the same call would pass. status: 429, or 503 when the limits could not be checked and
    nothing may pass unchecked.
    """

    __slots__ = ("lines", "refused", "retry_after", "status")

    def __init__(
        self,
        lines: bytes,
        refused: Limit | None = None,
        retry_after: float = 0.0,
        status: int = 429,
    ) -> None:
        self.lines = lines
        self.refused = refused
        self.retry_after = retry_after
        self.status = status

    def __repr__(self) -> str:
        if self.refused is None:
            return "<Verdict admitted>"
        return f"<Verdict {self.status} {self.refused.name} retry_after={self.retry_after:.3f}>"

    def error(self, service: str) -> ServiceError:
        """What the client of a refused call is told. Raises ValueError for one that may pass."""
        if self.refused is None:
            raise ValueError("an admitted call has no error")
        seconds = max(1, math.ceil(self.retry_after))
        if self.status == 429:
            limit = self.refused
            rule = str(limit.rule)
            name = rule if limit.name == rule else f"{limit.name} of {rule}"
            message = f"the limit {name} is used up; try again in {seconds} s"
        else:
            message = f"limits cannot be checked at present; try again in {seconds} s"
        return ServiceError(self.status, message, service, retry_after=seconds)
