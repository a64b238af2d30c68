"""The filters of a request, asked of one object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from weaviate.proto.v1 import base_pb2

from tests.peers.weaviate.collections import Collection, Object, Refused
from tests.peers.weaviate.words import STOPWORDS, tokens

Filters = base_pb2.Filters
Matches = Callable[[Object], bool]


def matcher(request: Any, collection: Collection) -> Matches:
    """What tells whether an object passes the filters of a request, if it has any."""
    return _matcher(request.filters, collection) if request.HasField("filters") else _everything


def _everything(_: Object) -> bool:
    return True


def _matcher(one: Any, collection: Collection) -> Matches:
    if one.operator in (Filters.OPERATOR_AND, Filters.OPERATOR_OR, Filters.OPERATOR_NOT):
        parts = [_matcher(part, collection) for part in one.filters]
        return {
            Filters.OPERATOR_AND: lambda o: all(part(o) for part in parts),
            Filters.OPERATOR_OR: lambda o: any(part(o) for part in parts),
            Filters.OPERATOR_NOT: lambda o: not any(part(o) for part in parts),
        }[one.operator]
    name = one.target.property
    if name in ("_id", "id"):
        return _by_id(one)
    kind = collection.property(name)
    if not kind["indexFilterable"]:
        raise Refused(
            f"Filtering by property '{name}' requires inverted index. Is `indexFilterable`"
            " set to `true`?"
        )
    return _by_value(one, name, kind)


def _by_id(one: Any) -> Matches:
    wanted = {UUID(text) for text in _values(one)}
    match one.operator:
        case Filters.OPERATOR_EQUAL | Filters.OPERATOR_CONTAINS_ANY:
            return lambda o: o.name in wanted
        case Filters.OPERATOR_NOT_EQUAL | Filters.OPERATOR_CONTAINS_NONE:
            return lambda o: o.name not in wanted
    raise Refused(f"operator {one.operator} is not for ids")


def _by_value(one: Any, name: str, kind: dict[str, Any]) -> Matches:
    values = [_comparable(value, kind) for value in _values(one)]

    def there(o: Object) -> Any:
        return _comparable(o.properties[name], kind) if name in o.properties else None

    match one.operator:
        case Filters.OPERATOR_EQUAL if kind["dataType"] == ["text"]:
            return lambda o: name in o.properties and values[0] <= there(o)
        case Filters.OPERATOR_EQUAL:
            return lambda o: there(o) == values[0]
        case Filters.OPERATOR_NOT_EQUAL:
            return lambda o: there(o) != values[0]
        case Filters.OPERATOR_CONTAINS_ANY if kind["dataType"] == ["text"]:
            return lambda o: name in o.properties and any(value <= there(o) for value in values)
        case Filters.OPERATOR_CONTAINS_ANY:
            return lambda o: there(o) in values
    raise Refused(f"the double knows no operator {one.operator}")


def _comparable(value: Any, kind: dict[str, Any]) -> Any:
    """A value as it is compared: text by its words, without regard to what stands between."""
    match kind["dataType"]:
        case ["text"]:
            words = frozenset(tokens(str(value), kind["tokenization"])) - STOPWORDS
            if not words:
                raise Refused("invalid search term, only stopwords provided")
            return words
        case ["uuid"]:
            return UUID(str(value))
    return value


def _values(one: Any) -> list[Any]:
    kind = one.WhichOneof("test_value")
    found = getattr(one, kind)
    return list(found.values) if kind.endswith("_array") else [found]
