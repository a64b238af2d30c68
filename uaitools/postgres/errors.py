"""Why PostgreSQL cannot be used: now, for a client to hear, or at all, for who starts a program."""

from __future__ import annotations

from uaitools.errors import ServiceError


class DatabaseAway(ServiceError):
    """The database cannot be reached (503). What was under way may have been done all the same."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(503, f"the database {reason}; try again", service, retry_after=1)


class PoolExhausted(ServiceError):
    """All connections are in use, and none came free in time (503)."""

    def __init__(self, service: str) -> None:
        message = "the database is busy: no connection came free in time; try again"
        super().__init__(503, message, service, retry_after=1)


class TooSlow(ServiceError):
    """What was asked took longer than it may, and was broken off (504). It may have been done."""

    def __init__(self, service: str, seconds: float) -> None:
        message = (
            f"the database took over {seconds:g} s, and what it did was broken off; ask for less,"
            " or try again"
        )
        super().__init__(504, message, service, retry_after=1)


class SetupError(Exception):
    """A program cannot start on this database. The text says what to do, and holds no password."""


class ClusterError(SetupError):
    """The embedded cluster cannot be made, started or reached."""


class MigrationError(SetupError):
    """The tables of the database are not, and cannot be made, what the program expects."""


class RoleError(SetupError):
    """The service has no role that row-level security binds."""
