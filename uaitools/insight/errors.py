"""Why repositories cannot be had as asked."""

from __future__ import annotations

from typing import Final

from uaitools.errors import ServiceError

SERVICE: Final = "insight"


class UnknownRepository(ServiceError):
    """The source has no such repository (404)."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "there is no such repository; name it by its id or as owner%2Fname,"
            " or look for it with /api/v1/fast/search",
            SERVICE,
        )


class BadQuery(ServiceError):
    """A parameter of the query does not fit (400). field: its name."""

    def __init__(self, field: str, message: str) -> None:
        details = [{"field": field, "message": message}]
        super().__init__(400, f"{field}: {message}", SERVICE, details=details)
