"""The time over which a trend is looked at."""

from __future__ import annotations

from enum import StrEnum


class Window(StrEnum):
    """By the names that leaderboards use."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def days(self) -> int:
        """1, 7, 30 or 365."""
        return {"day": 1, "week": 7, "month": 30, "year": 365}[self.value]

    @property
    def slack(self) -> int:
        """How many days the beginning may lie before the window's own, where days are missing."""
        return self.days // 2

    @property
    def earlier(self) -> int:
        """Days before it that show the earlier rate: four windows, and at least four weeks.

        Never more than a year: a rate of years ago is no rate to be compared with.
        """
        return min(365, max(28, 4 * self.days))
