"""Which day a ranking file is of."""

from __future__ import annotations

import re
from datetime import date
from pathlib import PurePath
from typing import Final

_DATE: Final = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def day_of(file: str) -> date:
    """The one day that a file's name has, as YYYY-MM-DD: `github-ranking-2024-02-11.csv`.

    Directories do not count. Raises ValueError where there is none, no such day, or more than one.
    """
    found = set(_DATE.findall(PurePath(file).name))
    if len(found) != 1:
        raise ValueError("its name has not one date, as github-ranking-2024-02-11.csv has")
    try:
        return date.fromisoformat(found.pop())
    except ValueError as error:
        raise ValueError(f"its name has no date of the calendar: {error}") from error
