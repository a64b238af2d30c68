"""The output of git, as it comes, cut into records. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from uaitools.insight.analysis.errors import Unreadable

LONGEST: Final = 1 << 16  # bytes of a field; a path of Linux has 4,096
Take = Callable[[Sequence[bytes]], None]


class Records:
    """Gives each record, `fields` fields that end with `end`, to `take` as soon as it is whole.

    What has come and is no whole record is all that is kept.
    """

    def __init__(self, fields: int, take: Take, *, end: bytes = b"\0") -> None:
        self._fields = fields
        self._take = take
        self._end = end
        self._rest = b""
        self._open: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Records of {self._fields} open={len(self._open)} rest={len(self._rest)}>"

    def feed(self, chunk: bytes) -> None:
        """Take what comes next. Raises `Unreadable` for a field that is too long."""
        parts = (self._rest + chunk).split(self._end)
        self._rest = parts.pop()
        if len(self._rest) > LONGEST:
            raise Unreadable(f"git says a field of more than {LONGEST} bytes")
        parts = self._open + parts
        whole = len(parts) - len(parts) % self._fields
        for start in range(0, whole, self._fields):
            self._take(parts[start : start + self._fields])
        self._open = parts[whole:]

    def close(self) -> None:
        """Say that nothing comes any more. Raises `Unreadable` if a record is not whole."""
        if self._rest or self._open:
            raise Unreadable("git ended in the middle of a record")
