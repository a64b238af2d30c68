"""Whether Redis can be reached, by each of the ways to it; said in the log when that changes."""

from __future__ import annotations

from uaitools.log import get_logger
from uaitools.redis_link import Away

_log = get_logger(__name__)


class Health:
    """address: of the Redis, fit to be shown."""

    __slots__ = ("_address", "_failing")

    def __init__(self, address: str) -> None:
        self._address = address
        self._failing: dict[str, str] = {}  # by the way

    def __repr__(self) -> str:
        return f"<Health failing={self.failing!r}>"

    @property
    def failing(self) -> str:
        """Why it cannot be reached, '' while it can."""
        return next(iter(self._failing.values()), "")

    def missed(self, way: str, error: Away) -> None:
        """One of the ways has failed."""
        if not self._failing:
            _log.warning("redis is away", purpose="hub", address=self._address, reason=str(error))
        self._failing[way] = str(error)

    def met(self, way: str) -> None:
        """One of the ways is well."""
        if self._failing.pop(way, None) is not None and not self._failing:
            _log.info("redis is back", purpose="hub", address=self._address)
