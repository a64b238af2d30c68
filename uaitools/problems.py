"""What is wrong with a configuration, in words for who wrote it instead of pydantic's."""

import difflib
import json
import re
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# pydantic's type errors by the first word of their code, and what to write instead.
_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
}
_TYPE_ERRORS = ("_type", "_parsing", "_from_float")
# Values that are not repeated in messages.
_SECRET = re.compile(r"secret|password|token|key|jwt|_url$")

Key = tuple[str | int, ...]
"""The way to a value: names of tables, positions in lists."""


def dotted(key: Key) -> str:
    """The key as messages write it: `proxy.services.a.endpoints[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def explain(
    error: ValidationError, model: type[BaseModel], data: object, *, beside: Iterable[str] = ()
) -> list[tuple[Key, str]]:
    """The key and the reason of each problem, in our words and without pydantic's detours.

    data: what `model` refused, as it was given. beside: keys that stand at its top and are not
    its own, to be named where a key is unknown.
    """
    found = [(_key(one, data), one) for one in error.errors(include_url=False)]
    keys = [key for key, _ in found]
    reasons: dict[Key, list[str]] = {}
    for key, one in found:
        # A union complains once for each of its forms. What is wrong inside the form that was
        # meant says more than that the value has not the type of another one.
        inside = any(len(other) > len(key) and other[: len(key)] == key for other in keys)
        if not (inside and one["type"].endswith("_type")):
            reasons.setdefault(key, []).append(_reason(key, one, model, beside))
    return [(key, ", or ".join(dict.fromkeys(texts))) for key, texts in reasons.items()]


def _key(error: ErrorDetails, data: object) -> Key:
    """Where the problem is in the data; pydantic's location also names the forms of a union."""
    key: list[str | int] = []
    for part in error["loc"]:
        match data:
            case dict() if part in data:
                data = data[part]
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                continue
        key.append(part)
    return (*key, error["loc"][-1]) if error["type"] == "missing" else tuple(key)


def _reason(key: Key, error: ErrorDetails, model: type[BaseModel], beside: Iterable[str]) -> str:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown(key, model, beside)
    if kind in ("value_error", "assertion_error"):
        return error["msg"].partition(", ")[2]
    expected = _EXPECTED.get(kind.partition("_")[0]) if kind.endswith(_TYPE_ERRORS) else None
    must = f"must be {expected}" if expected else error["msg"].replace("Input should", "must", 1)
    # An entry of a list is as secret as the list: what stands there may be at the wrong place.
    name = next((part for part in reversed(key) if isinstance(part, str)), "")
    if _SECRET.search(name) or not isinstance(value, str | int | float):
        return must
    return f"{must}, got {json.dumps(value, ensure_ascii=False)[:80]}"


def _unknown(key: Key, model: type[BaseModel], beside: Iterable[str]) -> str:
    known = _fields(model, key[:-1]).union(beside)
    close = difflib.get_close_matches(str(key[-1]), known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(known))}"
    return f"unknown key; {hint}"


def _fields(annotation: Any, key: Key) -> frozenset[str]:
    """The keys that the model at `key` below an annotation knows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not key:
            return frozenset(annotation.model_fields)
        field = annotation.model_fields.get(str(key[0]))
        return _fields(field.annotation, key[1:]) if field else frozenset()
    transparent = get_origin(annotation) in (Union, UnionType, Annotated)
    below = key if transparent else key[1:]
    return frozenset().union(*(_fields(part, below) for part in get_args(annotation)))
