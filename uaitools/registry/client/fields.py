"""Reading JSON that a registry has sent, and that need not be what it should. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TEXT: Final = 4096  # characters of one text; longer ones are no names


class Garbled(Exception):
    """What came is not what a registry says. The text tells which part, and never repeats it."""


class Fields:
    """A JSON object whose values are checked as they are read. Every method raises Garbled.

    A default makes a key optional; whatever stands there still has to have the right type.
    """

    __slots__ = ("_document",)

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise Garbled("a JSON object is expected")
        self._document: dict[str, Any] = document

    def __repr__(self) -> str:
        return f"<Fields {' '.join(self._document)}>"

    def known(self, key: str) -> bool:
        """Whether there is anything but null."""
        return self._document.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A text of a sensible length; null counts as absent."""
        value = self._document.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > TEXT:
            raise Garbled(f"{key} is no text of at most {TEXT} characters")
        return value

    def integer(self, key: str, most: int, default: int | None = None) -> int:
        """An integer from 0 to `most`."""
        value = self._document.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise Garbled(f"{key} is no integer from 0 to {most}")
        return value

    def number(self, key: str, default: float) -> float:
        """A number, 0 or above."""
        value = self._document.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise Garbled(f"{key} is no number of 0 or above")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._document.get(key, default)
        if not isinstance(value, bool):
            raise Garbled(f"{key} is neither true nor false")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts; none when it is absent."""
        value = self._document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Garbled(f"{key} is no list of texts")
        return value

    def table(self, key: str) -> Mapping[str, str]:
        """Texts by name; none when it is absent."""
        value = self._document.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise Garbled(f"{key} is no table of texts")
        return value

    def objects(self, key: str) -> list[Fields]:
        """A list of objects."""
        value = self._document.get(key)
        if not isinstance(value, list):
            raise Garbled(f"{key} is no list")
        return [Fields(one) for one in value]

    def inner(self, key: str) -> Fields:
        """An object in this one."""
        return Fields(self._document.get(key))
