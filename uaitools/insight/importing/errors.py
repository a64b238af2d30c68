"""Why something is not imported."""

from __future__ import annotations

from collections.abc import Iterable


class Refused(Exception):
    """Nothing was imported. problems: why, a line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
