"""Why memories cannot be had or kept as asked."""

from __future__ import annotations

from typing import Final

from uaitools.errors import ServiceError

SERVICE: Final = "memory"


class Unknown(ServiceError):
    """Nothing such is in the caller's scope (404). What is another's is told alike.

    which: there is not. listed: where REST lists what there is, if anywhere.
    """

    def __init__(self, which: str = "memory with that id", listed: str = "/memories") -> None:
        self.which = which
        hint = f"; GET {listed} lists what is yours" if listed else ""
        super().__init__(404, f"there is no {which}{hint}", SERVICE)


class Changed(ServiceError):
    """A memory is not what the caller thinks it is (409)."""

    def __init__(self, message: str) -> None:
        super().__init__(409, message, SERVICE)


class Outdated(ServiceError):
    """A memory has not the version that the caller names (412, RFC 9110 13.1.1)."""

    def __init__(self, message: str) -> None:
        super().__init__(412, message, SERVICE)


class BadRequest(ServiceError):
    """What was asked cannot be done whatever there is (422). field: of the body or the query."""

    def __init__(self, field: str, message: str) -> None:
        details = [{"field": field, "message": message}]
        super().__init__(422, "the request has invalid fields", SERVICE, details=details)


class Crowded(ServiceError):
    """Others change the same memories at the same time, again and again (503)."""

    def __init__(self) -> None:
        super().__init__(
            503, "others change the same memory now; try again", SERVICE, retry_after=1
        )


class Busy(ServiceError):
    """Too much is under way of one user (429): others have their share all the same."""

    def __init__(self) -> None:
        message = "too much is under way for this user; send less at once, and this again"
        super().__init__(429, message, SERVICE, retry_after=1)


class McpMissing(ServiceError):
    """The library that speaks MCP is not here (501)."""

    def __init__(self) -> None:
        super().__init__(501, "MCP needs a package that is not here: uaitools[mcp]", SERVICE)
