"""What comes of asking Redis for one call. Times are nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may pass as of `at`: it was charged then."""

    at: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The call would pass after `wait`."""

    wait: int


@dataclass(frozen=True, slots=True)
class Away:
    """Redis did not answer."""


Outcome = Granted | Refused | Away
