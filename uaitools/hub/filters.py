"""Which messages of a channel a subscriber wants, by fields of their `data`. Pure.

    {"eq": ["repository_id", 12]}                 ne, gt, lt alike
    {"in": ["language", ["go", "python"]]}
    {"prefix": ["author.login", "bot-"]}          dots lead into objects
    {"and": [FILTER, ...]}   {"or": [FILTER, ...]}   {"not": FILTER}

A field that is not there equals nothing, and is neither above nor below anything. Numbers compare
with numbers and texts with texts; true is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

DEPTH: Final = 8  # filters within filters
PARTS: Final = 64  # comparisons, and, or, not in one filter
VALUES: Final = 256  # of one `in`
LENGTH: Final = 16 * 1024  # bytes of a filter's JSON
TEXT: Final = 256  # characters of a field or a text value

# Those that somebody uses: one that nobody does would keep the memory around it.
_known: Final[WeakValueDictionary[bytes, Filter]] = WeakValueDictionary()

Wants = Callable[[Any], bool]
_MISSING: Final = object()


class BadFilter(ValueError):
    """It is no filter; the text says which part."""


class Filter:
    """A filter, made once for all that are the same. key: equal for those, and for no others."""

    __slots__ = ("__weakref__", "_wants", "key")

    def __init__(self, key: bytes, wants: Wants) -> None:
        self.key = key
        self._wants = wants

    def __repr__(self) -> str:
        return f"<Filter {self.key.decode()}>"

    def wants(self, data: object) -> bool:
        """Whether a message with that `data` is wanted."""
        return self._wants(data)


def compile_filter(document: object) -> Filter:
    """The filter that a client has sent; one for all that are the same. Raises BadFilter."""
    try:
        key = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a whole number of over 64 bits
        raise BadFilter(str(error)) from error
    if len(key) > LENGTH:
        raise BadFilter(f"a filter has at most {LENGTH} bytes")
    return _compiled(key)


def _compiled(key: bytes) -> Filter:
    found = _known.get(key)
    if found is None:
        found = _known[key] = Filter(key, _any(orjson.loads(key), 1, [0]))
    return found


def _any(document: object, depth: int, parts: list[int]) -> Wants:
    parts[0] += 1
    if parts[0] > PARTS:
        raise BadFilter(f"a filter has at most {PARTS} parts")
    if depth > DEPTH:
        raise BadFilter(f"filters stand within each other at most {DEPTH} deep")
    if not isinstance(document, Mapping) or len(document) != 1:
        raise BadFilter('a filter is an object with one key, such as {"eq": ["id", 12]}')
    [(operator, operand)] = document.items()
    if operator == "not":
        inner = _any(operand, depth + 1, parts)
        return lambda data: not inner(data)
    if operator in ("and", "or"):
        if not isinstance(operand, list) or not operand:
            raise BadFilter(f"{operator} has a list of filters")
        several = [_any(one, depth + 1, parts) for one in operand]
        if operator == "and":
            return lambda data: all(wants(data) for wants in several)
        return lambda data: any(wants(data) for wants in several)
    compare = _COMPARISONS.get(operator)
    if compare is None:
        known = ", ".join((*_COMPARISONS, "and", "or", "not"))
        raise BadFilter(f"a filter is one of {known}")
    if not isinstance(operand, list) or len(operand) != 2:
        raise BadFilter(f"{operator} has a field and a value")
    return compare(operator, _field(operand[0]), operand[1])


Get = Callable[[Any], Any]


def _field(name: object) -> Get:
    """What leads to a field; _MISSING where it is not there."""
    if not isinstance(name, str) or not 0 < len(name) <= TEXT:
        raise BadFilter(f"a field is a text of at most {TEXT} characters")
    path = name.split(".")
    if len(path) == 1:
        return lambda data: data.get(name, _MISSING) if isinstance(data, dict) else _MISSING

    def get(data: Any) -> Any:
        for step in path:
            if not isinstance(data, dict):
                return _MISSING
            data = data.get(step, _MISSING)
        return data

    return get


def _equals(operator: str, get: Get, value: object) -> Wants:
    same = _same(operator, value)
    if operator == "eq":
        return lambda data: same(get(data))
    return lambda data: not same(get(data))


def _within(operator: str, get: Get, values: object) -> Wants:
    if not isinstance(values, list) or len(values) > VALUES:
        raise BadFilter(f"{operator} has a list of at most {VALUES} values")
    # true equals 1 in a set, and is another value in JSON.
    plain = [_plain(one) for one in values]
    truths = frozenset(one for one in plain if isinstance(one, bool))
    others = frozenset(one for one in plain if not isinstance(one, bool))

    def wants(data: Any) -> bool:
        found = get(data)
        return _is_plain(found) and found in (truths if isinstance(found, bool) else others)

    return wants


def _begins(operator: str, get: Get, value: object) -> Wants:
    if not isinstance(value, str) or len(value) > TEXT:
        raise BadFilter(f"{operator} has a text of at most {TEXT} characters")

    def wants(data: Any) -> bool:
        found = get(data)
        return isinstance(found, str) and found.startswith(value)

    return wants


def _ordered(operator: str, get: Get, value: object) -> Wants:
    kind: type | tuple[type, ...]
    if isinstance(value, str) and len(value) <= TEXT:
        kind = str
    elif isinstance(value, int | float) and not isinstance(value, bool):
        kind = (int, float)
    else:
        raise BadFilter(f"{operator} has a number, or a text of at most {TEXT} characters")
    limit: Any = value
    above = operator == "gt"

    def wants(data: Any) -> bool:
        found = get(data)
        if not isinstance(found, kind) or isinstance(found, bool):
            return False
        return bool(found > limit if above else found < limit)

    return wants


_COMPARISONS: Final[Mapping[str, Callable[[str, Get, object], Wants]]] = {
    "eq": _equals,
    "ne": _equals,
    "in": _within,
    "prefix": _begins,
    "gt": _ordered,
    "lt": _ordered,
}


def _same(operator: str, value: object) -> Callable[[Any], bool]:
    try:
        plain = _plain(value)
    except BadFilter:
        raise BadFilter(f"{operator} has a text, a number, true, false or null") from None
    return lambda found: found == plain and isinstance(found, bool) is isinstance(plain, bool)


def _plain(value: object) -> object:
    if not _is_plain(value) or (isinstance(value, str) and len(value) > TEXT):
        raise BadFilter("a value is a text, a number, true, false or null")
    return value


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
