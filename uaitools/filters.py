"""What is wanted by the fields of a JSON object: how filters say it, whoever applies them. Pure.

    {"eq": ["repository_id", 12]}                 ne, gt, lt alike
    {"in": ["language", ["go", "python"]]}
    {"prefix": ["author.login", "bot-"]}          dots lead into objects
    {"contains": ["labels", "urgent"]}            an element of a list
    {"exists": "due.date"}                        null is there, too
    {"and": [FILTER, ...]}   {"or": [FILTER, ...]}   {"not": FILTER}

A field that is not there equals nothing, and is neither above nor below anything. Numbers compare
with numbers and texts, by code points, with texts; true is no number. Dots lead into no list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

DEPTH: Final = 8  # filters within filters
PARTS: Final = 64  # comparisons, and, or, not in one filter
VALUES: Final = 256  # of one `in`
LENGTH: Final = 16 * 1024  # bytes of a filter's JSON
TEXT: Final = 256  # characters of a field or a text value
COMPARISONS: Final = ("eq", "ne", "gt", "lt", "in", "prefix", "contains", "exists")


class BadFilter(ValueError):
    """It is no filter; the text says which part."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the field at the end of `path` has to be.

    operator: of COMPARISONS. value: None, a bool, a number or a text; a tuple of them for `in`,
    a text for `prefix`, a number or a text for `gt` and `lt`, None for `exists`.
    """

    operator: str
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Joint:
    """Several at once. operator: `and` or `or`."""

    operator: str
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What another one does not want."""

    part: Tree


Tree = Comparison | Joint | Not


def canonical(document: object) -> bytes:
    """The JSON of a document: the same for those that are the same alone. Raises BadFilter."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a whole number of over 64 bits, half of a surrogate pair
        raise BadFilter(str(error)) from error
    if len(text) > LENGTH:
        raise BadFilter(f"a filter has at most {LENGTH} bytes")
    return text


def parse(text: bytes) -> Tree:
    """The filter that `canonical` has written. Raises BadFilter."""
    return _Walk().read(orjson.loads(text), 1)


class _Walk:
    """Over one filter, counting its parts."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = 0

    def read(self, document: object, depth: int) -> Tree:
        self._parts += 1
        if self._parts > PARTS:
            raise BadFilter(f"a filter has at most {PARTS} parts")
        if depth > DEPTH:
            raise BadFilter(f"filters stand within each other at most {DEPTH} deep")
        if not isinstance(document, dict) or len(document) != 1:
            raise BadFilter('a filter is an object with one key, such as {"eq": ["id", 12]}')
        [(operator, operand)] = document.items()
        if operator == "not":
            return Not(self.read(operand, depth + 1))
        if operator in ("and", "or"):
            if not isinstance(operand, list) or not operand:
                raise BadFilter(f"{operator} has a list of filters")
            return Joint(operator, tuple(self.read(one, depth + 1) for one in operand))
        return _comparison(operator, operand)


def _comparison(operator: str, operand: object) -> Comparison:
    if operator not in COMPARISONS:
        raise BadFilter(f"a filter is one of {', '.join((*COMPARISONS, 'and', 'or', 'not'))}")
    if operator == "exists":
        return Comparison(operator, _path(operand), None)
    if not isinstance(operand, list) or len(operand) != 2:
        raise BadFilter(f"{operator} has a field and a value")
    return Comparison(operator, _path(operand[0]), _value(operator, operand[1]))


def _path(name: object) -> tuple[str, ...]:
    if not isinstance(name, str) or not name:
        raise BadFilter("a field is a text, such as author.login")
    return tuple(_text(name).split("."))


def _value(operator: str, value: object) -> object:
    match operator:
        case "in":
            if not isinstance(value, list) or len(value) > VALUES:
                raise BadFilter(f"in has a list of at most {VALUES} values")
            return tuple(_plain(operator, one) for one in value)
        case "prefix" if not isinstance(value, str):
            raise BadFilter("prefix has a text")
        case "gt" | "lt" if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BadFilter(f"{operator} has a number or a text")
    return _plain(operator, value)


def _plain(operator: str, value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if value is not None and not isinstance(value, int | float):
        raise BadFilter(f"{operator} compares with texts, numbers, true, false and null")
    return value


def _text(text: str) -> str:
    if len(text) > TEXT or "\0" in text:  # which PostgreSQL has in no text
        raise BadFilter(f"a text has at most {TEXT} characters, none of them U+0000")
    return text
