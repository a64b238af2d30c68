"""Bytes of a clone as text that is fit to be shown and stored. Pure."""

from __future__ import annotations

from typing import Final

MOST: Final = 300  # characters


def readable(raw: bytes, most: int = MOST) -> str:
    r"""The text of `raw`, with what is no UTF-8 or cannot be seen written as `\x1b` is written.

    No control or direction of what somebody committed reaches a terminal or a database, and two
    names that differ look different.
    """
    text = raw[: 4 * most + 4].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(one if one.isprintable() else _escaped(one) for one in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(number: int, one: str, several: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{number} {one if number == 1 else several}"


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
