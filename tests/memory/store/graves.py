"""What is left in the database of what was deleted."""

from __future__ import annotations

from hashlib import sha256


def grave(user: str, name: object) -> bytes:
    """Of an id of a user's, or of a key."""
    return sha256(f"{user}\n{name}".encode()).digest()
