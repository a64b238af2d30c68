"""What a context is made of: turns and memories as they come, lines as they are written. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["memory", "digest", "turn"]

_NAME: Final = re.compile(r"[^\s\[\]]+")
_BREAK: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # as str.splitlines


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a conversation. source: its id. Raises ValueError for brackets in that."""

    source: str
    role: str
    text: str

    def __post_init__(self) -> None:
        _check(self.source)
        _check(self.role)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that was found. source: its id. Raises ValueError for brackets in that."""

    source: str
    text: str

    def __post_init__(self) -> None:
        _check(self.source)


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a context, which says where it comes from. role: of a turn."""

    kind: Kind
    source: str
    text: str
    role: str = ""

    @property
    def rendered(self) -> str:
        """As a model reads it: `[memory 1] text`, `[digest 2] text` or `[turn 3 role] text`.

        Whatever follows a line break is indented, so that no text can pose as another line.
        """
        role = f" {self.role}" if self.role else ""
        return f"[{self.kind} {self.source}{role}] {_BREAK.sub(_indented, self.text)}"


def _indented(found: re.Match[str]) -> str:
    return f"{found.group()}  "


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError("a source or a role is a text without spaces and brackets")
