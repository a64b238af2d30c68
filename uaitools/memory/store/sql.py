"""Parameters of a statement that is put together. Pure."""

from __future__ import annotations

from typing import Any


class Parameters:
    """The values of $1, $2, ... of one statement."""

    __slots__ = ("values",)

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def __repr__(self) -> str:
        return f"<Parameters {len(self.values)}>"

    def add(self, value: Any, kind: str) -> str:
        """What stands for a value in the statement. kind: its type there."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"
