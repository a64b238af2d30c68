"""Lexemes in the text forms of PostgreSQL's tsvector and tsquery. Pure."""

from __future__ import annotations


def quoted(lexeme: str) -> str:
    """A lexeme as both take it, whatever is in it.

    Source: PostgreSQL, 8.11 "Text Search Types": quotes and backslashes are doubled.
    """
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
