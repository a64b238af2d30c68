"""What stands in a cell. What is missing is None and never 0; what cannot be is a ValueError."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

MOST: Final = 100_000_000
"""No count is above it: a repository cannot have more stars than the forge has users, by and by."""

_MISSING: Final = frozenset({"", "-", "n/a", "na", "nan", "none", "null"})
_WHOLE: Final = re.compile(r"\d{1,12}(\.0*)?")
_SEPARATED: Final = re.compile(r"\d{1,3}([, _'\u00a0\u2009\u202f])\d{3}(\1\d{3})*(\.0*)?")
_OWNER: Final = r"[A-Za-z0-9_-]{1,64}"
_NAME: Final = r"[A-Za-z0-9._-]{1,100}"
_FULL: Final = re.compile(rf"({_OWNER})/({_NAME})")
_URL: Final = re.compile(
    rf"(?:https?://)?(?:www\.)?github\.com/({_OWNER}/{_NAME}?)(?:\.git)?/?", re.IGNORECASE
)


def text(cell: str) -> str | None:
    """Words, without blanks around them."""
    return cell.strip() or None


def word(cell: str) -> str | None:
    """A name from a list, of which some writers put None or NaN where there is none."""
    found = cell.strip()
    return None if found.lower() in _MISSING else found


def count(cell: str) -> int | None:
    """`1234`, also as `1234.0` and with separators between thousands: `1,234`, `1_234`, `1 234`.

    `1.234` may be either of two numbers and is none. Raises ValueError for what is no count, for
    one below 0 and for one above MOST.
    """
    found = cell.strip()
    if found.lower() in _MISSING:
        return None
    separated = _SEPARATED.fullmatch(found)
    digits = found.replace(separated[1], "") if separated else found
    if not _WHOLE.fullmatch(digits) or not digits.isascii():
        raise ValueError(f"{_shown(found)} is no count")
    number = int(digits.partition(".")[0])
    if number > MOST:
        raise ValueError(f"{number} is more than there can be")
    return number


def rank(cell: str) -> int | None:
    """A place in a list, from 1. Raises ValueError for another number."""
    found = count(cell)
    if found == 0:
        raise ValueError("ranks begin with 1")
    return found


def moment(cell: str) -> datetime | None:
    """ISO 8601, as UTC where it says nothing else. None also for what cannot be read."""
    try:
        found = datetime.fromisoformat(cell.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def full_name(repo_url: str, username: str, repo_name: str) -> str:
    """`owner/name` as the address has it, or where there is none as both names have it.

    Raises ValueError for an address that is no repository's on GitHub, for one that says other than
    the names, and where there is no whole name.
    """
    url, owner, name = repo_url.strip(), username.strip(), repo_name.strip()
    if not url:
        return _checked(f"{owner}/{name}")
    address = _URL.fullmatch(url)
    if address is None:
        raise ValueError(f"{_shown(url)} is no address of a repository")
    found = _checked(address[1])
    owner_there, _, name_there = found.partition("/")
    if (owner or owner_there).lower() != owner_there.lower() or (
        (name or name_there).lower() != name_there.lower()
    ):
        raise ValueError(f"{_shown(f'{owner}/{name}')} is not at {_shown(url)}")
    return found


def _checked(name: str) -> str:
    match = _FULL.fullmatch(name)
    if match is None or match[2] in (".", ".."):
        raise ValueError(f"{_shown(name)} is no name of a repository")
    return name


def _shown(value: str) -> str:
    return repr(value if len(value) <= 80 else f"{value[:80]}..")
