"""Which memories are wanted by their metadata, as a condition in SQL. Pure.

uaitools.filters says how filters are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import orjson

from uaitools.filters import Comparison, Joint, Not, Tree, canonical, parse
from uaitools.memory.store.sql import Parameters


def condition(document: object, parameters: Parameters, column: str = "metadata") -> str:
    """What holds for rows that a filter wants; never NULL. Raises BadFilter.

    parameters: gets what the condition compares with. column: of type jsonb.
    """
    return _condition(parse(canonical(document)), parameters, column)


def _condition(tree: Tree, parameters: Parameters, column: str) -> str:
    match tree:
        case Not(part):
            return f"NOT {_condition(part, parameters, column)}"
        case Joint(operator, parts):
            joint = f" {operator.upper()} "
            return f"({joint.join(_condition(one, parameters, column) for one in parts)})"
        case Comparison(operator, path, value):
            # Not `#>`, which leads into lists by the digits of a step.
            steps = (parameters.add(step, "text") for step in path)
            field = f"({' -> '.join((column, *steps))})"
            return f"coalesce({_COMPARISONS[operator](parameters, field, value)}, false)"


def _equal(parameters: Parameters, field: str, value: object) -> str:
    return f"{field} = {parameters.add(_json(value), 'text::jsonb')}"


def _different(parameters: Parameters, field: str, value: object) -> str:
    # A field that is not there is different, too.
    return f"{field} IS DISTINCT FROM {parameters.add(_json(value), 'text::jsonb')}"


def _ordered(sign: str, parameters: Parameters, field: str, value: object) -> str:
    if isinstance(value, str):
        return _of_text(field, f"{_text(field)} {sign} {parameters.add(value, 'text')}")
    limit = parameters.add(_json(value), "text::jsonb")
    return f"CASE WHEN jsonb_typeof({field}) = 'number' THEN {field} {sign} {limit} END"


def _within(parameters: Parameters, field: str, values: tuple[object, ...]) -> str:
    texts = [_json(one) for one in values]
    return f"{field} = ANY({parameters.add(texts, 'text[]::jsonb[]')})"


def _begins(parameters: Parameters, field: str, value: object) -> str:
    return _of_text(field, f"starts_with({_text(field)}, {parameters.add(value, 'text')})")


def _contains(parameters: Parameters, field: str, value: object) -> str:
    # No text or number contains a list, not even one of itself alone.
    return f"{field} @> {parameters.add(_json([value]), 'text::jsonb')}"


def _exists(_parameters: Parameters, field: str, _value: object) -> str:
    return f"{field} IS NOT NULL"


_COMPARISONS: Final[Mapping[str, Callable[[Parameters, str, Any], str]]] = {
    "eq": _equal,
    "ne": _different,
    "gt": partial(_ordered, ">"),
    "lt": partial(_ordered, "<"),
    "in": _within,
    "prefix": _begins,
    "contains": _contains,
    "exists": _exists,
}


def _of_text(field: str, holds: str) -> str:
    return f"CASE WHEN jsonb_typeof({field}) = 'string' THEN {holds} END"


def _text(field: str) -> str:
    return f"({field} #>> '{{}}') COLLATE \"C\""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
