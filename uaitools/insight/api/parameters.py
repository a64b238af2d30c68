"""Queries: strict about their names, once each, and 400 with the field. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes

from uaitools.insight.errors import BadQuery

_WHOLE: Final = re.compile(r"[0-9]+")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LARGEST: Final = 18  # digits: what PostgreSQL counts with
_MOST: Final = 32  # parameters

E = TypeVar("E", bound=str)


class Parameters:
    """Those of a query. known: the names that it may have. Raises BadQuery for others."""

    __slots__ = ("_given",)

    def __init__(self, query: str, known: Collection[str]) -> None:
        given: dict[str, str] = {}
        for part in filter(None, query.split("&", _MOST)):
            name, _, value = (_text(one) for one in part.partition("="))
            if name not in known:
                named = ", ".join(known) or "there are none"
                raise BadQuery(name[:64], f"is no parameter here; {named}")
            if name in given:
                raise BadQuery(name, "stands twice")
            given[name] = value
        self._given: Mapping[str, str] = given

    def __repr__(self) -> str:
        return f"<Parameters {' '.join(self._given)}>"

    def text(self, name: str, longest: int) -> str | None:
        """A text of at most `longest` characters; None where it is not given, or blank."""
        value = self._given.get(name, "").strip()
        if len(value) > longest:
            raise BadQuery(name, f"has at most {longest} characters")
        if "\0" in value:
            raise BadQuery(name, "has a NUL, which no text that is kept has")
        return value or None

    def needed(self, name: str, longest: int) -> str:
        """As `text`, of what has to be there."""
        value = self.text(name, longest)
        if value is None:
            raise BadQuery(name, "is missing, or blank")
        return value

    def whole(self, name: str, default: int | None, least: int = 0) -> int | None:
        """A whole number of `least` or more."""
        value = self._given.get(name)
        if value is None:
            return default
        # isascii: other digits are no numbers here.
        if not (value.isascii() and _WHOLE.fullmatch(value) and len(value) <= _LARGEST):
            raise BadQuery(name, f"is a whole number, at most {_LARGEST} digits")
        if int(value) < least:
            raise BadQuery(name, f"is {least} or more")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """How many are asked for: from 1, and `most` where there are more."""
        return min(self.whole("limit", default, 1) or default, most)

    def one_of(self, name: str, choices: Collection[E], default: E) -> E:
        """One of some words."""
        value = self._given.get(name)
        if value is None:
            return default
        for choice in choices:
            if choice == value:
                return choice
        raise BadQuery(name, f"is one of {', '.join(choices)}")

    def flag(self, name: str) -> bool:
        """1 or 0, which it is where it is not given."""
        return self.one_of(name, ("0", "1"), "0") == "1"

    def day(self, name: str) -> date | None:
        """A day."""
        value = self._given.get(name)
        if value is None:
            return None
        wrong = BadQuery(name, "is a day like 2024-02-11")
        if _DAY.fullmatch(value) is None:  # ISO 8601 has other forms
            raise wrong
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise wrong from error


def _text(part: str) -> str:
    """Unescaped, with blanks for pluses. Raises BadQuery for what is no UTF-8."""
    try:
        return unquote_to_bytes(part.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise BadQuery("query", "is no UTF-8, percent-encoded") from error
