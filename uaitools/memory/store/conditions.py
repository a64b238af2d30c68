"""Which rows are wanted, as a condition in SQL. Pure."""

from __future__ import annotations

from typing import Final

from uaitools.memory.store.filters import condition
from uaitools.memory.store.sql import Parameters
from uaitools.memory.wanted import Wanted

LIVE: Final = "(expires_at IS NULL OR expires_at > now())"
"""An expired memory is gone, whether or not its row has been removed yet."""

_COMPARED: Final = (
    ("agent_id", "agent_id = {}", "text"),
    ("session_id", "session_id = {}", "text"),
    ("external_id", "external_id = {}", "text"),
    ("pinned", "pinned = {}", "boolean"),
    ("created_after", "created_at >= {}", "timestamptz"),
    ("created_before", "created_at < {}", "timestamptz"),
    ("updated_after", "updated_at >= {}", "timestamptz"),
    ("updated_before", "updated_at < {}", "timestamptz"),
)
_LISTS: Final = (
    ("types", "type = ANY({})"),
    ("any_tags", "tags && {}"),
    ("all_tags", "tags @> {}"),
    ("no_tags", "NOT tags && {}"),
)


def conditions(user: str, wanted: Wanted, parameters: Parameters) -> str:
    """What holds for the live rows of a user that are wanted. Raises BadFilter."""
    parts = [f"user_id = {parameters.add(user, 'text')}", LIVE]
    if not wanted.superseded:
        parts.append("NOT superseded")
    for name, text, kind in _COMPARED:
        value = getattr(wanted, name)
        if value is not None:
            parts.append(text.format(parameters.add(value, kind)))
    for name, text in _LISTS:
        values = getattr(wanted, name)
        if values:
            parts.append(text.format(parameters.add(list(values), "text[]")))
    if wanted.metadata is not None:
        parts.append(condition(wanted.metadata, parameters))
    return " AND ".join(parts)
