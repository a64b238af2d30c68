"""Why a clone cannot be analysed, or a part of it not be known."""

from __future__ import annotations

from typing import Final

from uaitools.errors import ServiceError

SERVICE: Final = "insight"


class NotAClone(ServiceError):
    """There is no clone where one was named, or none that may be read (422)."""

    def __init__(self, message: str) -> None:
        super().__init__(422, message, SERVICE)


class GitMissing(ServiceError):
    """The `git` program cannot be started (503)."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, f"install git, which reads clones: {reason}", SERVICE)


class Unreadable(ServiceError):
    """A part of a clone cannot be read (422): what it would tell is unknown.

    status: what git ended with, if it did by itself.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(422, message, SERVICE)
        self.status = status
