"""Why there is no vector of a text now."""

from __future__ import annotations

from uaitools.errors import ServiceError
from uaitools.memory.errors import SERVICE


class EmbedderAway(ServiceError):
    """The embedder cannot be reached, or has too much to do (503)."""

    def __init__(self, reason: str, *, advice: str = "try again", retry_after: float = 1) -> None:
        message = f"no vectors can be made now: {reason}; {advice}"
        super().__init__(503, message, SERVICE, retry_after=retry_after)


class EmbedderRefused(EmbedderAway):
    """The embedder answers, but not with vectors: the same texts will be refused again (503).

    One text among several may be the reason; the others can be embedded without it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, advice="see memory.embed in the configuration", retry_after=60)
