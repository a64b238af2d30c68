"""Loaded by schemathesis: what no schema can say of a field is put right before it is sent."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    case.headers.pop("If-Match", None)  # 412 is right, and no acceptance
    if isinstance(case.query, dict):
        _mend_query(case.query)
    body = case.body
    if not isinstance(body, dict):
        return
    several = [body]
    for name in ("memories", "messages"):
        if isinstance(body.get(name), list):
            several += body[name]
    for one in several:
        if not isinstance(one, dict):
            continue
        if _is_moment(one.get("expires_at")):  # it has to be to come
            one["expires_at"] = "2999-12-31T23:59:59Z"
        if isinstance(one.get("metadata"), dict):
            one["metadata"] = _kept(one["metadata"])
    wanted = body.get("filter")
    if isinstance(wanted, dict) and isinstance(wanted.get("metadata"), dict):
        wanted["metadata"] = {"not": {"eq": ["a", 1]}}


def _mend_query(query: dict[str, Any]) -> None:
    for name, value in query.items():
        if isinstance(value, list):  # a few: a query has an end
            query[name] = value[:5]
    if "metadata" in query:
        query["metadata"] = '{"not": {"eq": ["a", 1]}}'


def _is_moment(value: Any) -> bool:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(value).tzinfo is not None
    return False


def _kept(value: Any) -> Any:
    """What PostgreSQL keeps of a value: no U+0000, and whole numbers of 64 bits."""
    match value:
        case dict():
            return {_kept(name): _kept(one) for name, one in value.items()}
        case list():
            return [_kept(one) for one in value]
        case str():
            return value.replace("\0", "")
        case int() if not isinstance(value, bool):
            return max(-(1 << 63), min((1 << 63) - 1, value))
    return value
