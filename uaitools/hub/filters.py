"""Which messages of a channel a subscriber wants, by fields of their `data`. Pure.

uaitools.filters says how filters are written; here they become functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from uaitools.filters import Comparison, Joint, Not, Tree, canonical, parse

# Those that somebody uses: one that nobody does would keep the memory around it.
_known: Final[WeakValueDictionary[bytes, Filter]] = WeakValueDictionary()

Wants = Callable[[Any], bool]
Get = Callable[[Any], Any]
_MISSING: Final = object()


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
    key = canonical(document)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Filter(key, _wants(parse(key)))
    return found


def _wants(tree: Tree) -> Wants:
    match tree:
        case Not(part):
            inner = _wants(part)
            return lambda data: not inner(data)
        case Joint(operator, parts):
            several = [_wants(one) for one in parts]
            if operator == "and":
                return lambda data: all(wants(data) for wants in several)
            return lambda data: any(wants(data) for wants in several)
        case Comparison(operator, path):
            return _COMPARISONS[operator](tree, _field(path))


def _field(path: tuple[str, ...]) -> Get:
    """What leads to a field; _MISSING where it is not there."""
    if len(path) == 1:
        [name] = path
        return lambda data: data.get(name, _MISSING) if isinstance(data, dict) else _MISSING

    def get(data: Any) -> Any:
        for step in path:
            if not isinstance(data, dict):
                return _MISSING
            data = data.get(step, _MISSING)
        return data

    return get


def _equals(asked: Comparison, get: Get) -> Wants:
    value = asked.value
    truth = isinstance(value, bool)

    def equal(data: Any) -> bool:
        found = get(data)
        return bool(found == value) and isinstance(found, bool) is truth

    return equal if asked.operator == "eq" else lambda data: not equal(data)


def _ordered(asked: Comparison, get: Get) -> Wants:
    limit = asked.value
    kind = str if isinstance(limit, str) else (int, float)
    above = asked.operator == "gt"

    def wants(data: Any) -> bool:
        found = get(data)
        if not isinstance(found, kind) or isinstance(found, bool):
            return False
        return bool(found > limit if above else found < limit)

    return wants


def _within(asked: Comparison, get: Get) -> Wants:
    # true equals 1 in a set, and is another value in JSON.
    truths = frozenset(one for one in asked.value if isinstance(one, bool))
    others = frozenset(one for one in asked.value if not isinstance(one, bool))

    def wants(data: Any) -> bool:
        found = get(data)
        return _is_plain(found) and found in (truths if isinstance(found, bool) else others)

    return wants


def _begins(asked: Comparison, get: Get) -> Wants:
    beginning = asked.value

    def wants(data: Any) -> bool:
        found = get(data)
        return isinstance(found, str) and found.startswith(beginning)

    return wants


def _contains(asked: Comparison, get: Get) -> Wants:
    element = asked.value
    truth = isinstance(element, bool)

    def wants(data: Any) -> bool:
        found = get(data)
        if not isinstance(found, list) or element not in found:  # at C's pace; true is 1 to it
            return False
        return element in (one for one in found if isinstance(one, bool) is truth)

    return wants


def _exists(_asked: Comparison, get: Get) -> Wants:
    return lambda data: get(data) is not _MISSING


_COMPARISONS: Final[Mapping[str, Callable[[Comparison, Get], Wants]]] = {
    "eq": _equals,
    "ne": _equals,
    "gt": _ordered,
    "lt": _ordered,
    "in": _within,
    "prefix": _begins,
    "contains": _contains,
    "exists": _exists,
}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
