"""Which memories are wanted by their metadata, as a condition in SQL. Pure.

    {"eq": ["project", "apollo"]}                 ne, gt, lt alike
    {"in": ["language", ["go", "python"]]}
    {"contains": ["labels", "urgent"]}            an element of a list
    {"exists": "due.date"}                        dots lead into objects
    {"and": [FILTER, ...]}   {"or": [FILTER, ...]}   {"not": FILTER}

The hub's filters are written alike. A field that is not there equals nothing, and is neither above
nor below anything. Numbers compare with numbers and texts with texts; true is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from uaitools.memory.store.sql import Parameters

DEPTH: Final = 8  # filters within filters
PARTS: Final = 64  # comparisons, and, or, not in one filter
VALUES: Final = 256  # of one `in`
TEXT: Final = 256  # characters of a field or a text value


class BadFilter(ValueError):
    """It is no filter; the text says which part."""


def condition(document: object, parameters: Parameters, column: str = "metadata") -> str:
    """What holds for rows that a filter wants; never NULL. Raises BadFilter.

    parameters: gets what the condition compares with. column: of type jsonb.
    """
    return _Compiler(parameters, column).compile(document, 1)


class _Compiler:
    def __init__(self, parameters: Parameters, column: str) -> None:
        self._parameters = parameters
        self._column = column
        self._parts = 0

    def compile(self, document: object, depth: int) -> str:
        self._parts += 1
        if self._parts > PARTS:
            raise BadFilter(f"a filter has at most {PARTS} parts")
        if depth > DEPTH:
            raise BadFilter(f"filters stand within each other at most {DEPTH} deep")
        if not isinstance(document, Mapping) or len(document) != 1:
            raise BadFilter('a filter is an object with one key, such as {"eq": ["id", 12]}')
        [(operator, operand)] = document.items()
        if operator == "not":
            return f"NOT {self.compile(operand, depth + 1)}"
        if operator in ("and", "or"):
            if not isinstance(operand, list) or not operand:
                raise BadFilter(f"{operator} has a list of filters")
            joint = f" {operator.upper()} "
            return f"({joint.join(self.compile(one, depth + 1) for one in operand)})"
        if operator == "exists":
            return f"({self._field(operand)} IS NOT NULL)"
        return self._compare(operator, operand)

    def _compare(self, operator: object, operand: object) -> str:
        compare = _COMPARISONS.get(operator) if isinstance(operator, str) else None
        if compare is None:
            known = ", ".join((*_COMPARISONS, "exists", "and", "or", "not"))
            raise BadFilter(f"a filter is one of {known}")
        if not isinstance(operand, list) or len(operand) != 2:
            raise BadFilter(f"{operator} has a field and a value")
        field = self._field(operand[0])
        return f"coalesce({compare(self._parameters, field, operand[1])}, false)"

    def _field(self, name: object) -> str:
        if not isinstance(name, str) or not 0 < len(name) <= TEXT or "\0" in name:
            raise BadFilter(f"a field is a text of at most {TEXT} characters")
        return f"({self._column} #> {self._parameters.add(name.split('.'), 'text[]')})"


def _equal(parameters: Parameters, field: str, value: object) -> str:
    return f"{field} = {parameters.add(_json(_plain('eq', value)), 'text::jsonb')}"


def _different(parameters: Parameters, field: str, value: object) -> str:
    # As in the hub: a field that is not there is different, too.
    return f"{field} IS DISTINCT FROM {parameters.add(_json(_plain('ne', value)), 'text::jsonb')}"


def _within(parameters: Parameters, field: str, values: object) -> str:
    if not isinstance(values, list) or len(values) > VALUES:
        raise BadFilter(f"in has a list of at most {VALUES} values")
    texts = [_json(_plain("in", one)) for one in values]
    return f"{field} = ANY({parameters.add(texts, 'text[]::jsonb[]')})"


def _contains(parameters: Parameters, field: str, value: object) -> str:
    element = parameters.add(_json([_plain("contains", value)]), "text::jsonb")
    return f"(jsonb_typeof({field}) = 'array' AND {field} @> {element})"


def _above(parameters: Parameters, field: str, value: object) -> str:
    return _ordered(parameters, field, ">", value)


def _below(parameters: Parameters, field: str, value: object) -> str:
    return _ordered(parameters, field, "<", value)


def _ordered(parameters: Parameters, field: str, sign: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadFilter(f"gt and lt have a number, or a text of at most {TEXT} characters")
    _plain("gt", value)
    if isinstance(value, str):
        limit = parameters.add(value, "text")
        text = f"({field} #>> '{{}}') COLLATE \"C\""
        return f"CASE WHEN jsonb_typeof({field}) = 'string' THEN {text} {sign} {limit} END"
    limit = parameters.add(_json(value), "text::jsonb")
    return f"CASE WHEN jsonb_typeof({field}) = 'number' THEN {field} {sign} {limit} END"


_COMPARISONS: Final[Mapping[str, Callable[[Parameters, str, object], str]]] = {
    "eq": _equal,
    "ne": _different,
    "in": _within,
    "contains": _contains,
    "gt": _above,
    "lt": _below,
}


def _plain(operator: str, value: object) -> object:
    if value is not None and not isinstance(value, str | int | float):
        raise BadFilter(f"{operator} has a text, a number, true, false or null")
    if isinstance(value, str) and (len(value) > TEXT or "\0" in value):
        raise BadFilter(f"a text has at most {TEXT} characters, none of them U+0000")
    return value


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:  # a whole number of over 64 bits, half of a surrogate pair
        raise BadFilter(str(error)) from error
