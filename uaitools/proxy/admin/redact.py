"""Configurations without their secrets."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "**********"  # as pydantic shows a SecretStr
# Beside the fields that are SecretStr: whatever is called like a secret.
_SECRET: Final = re.compile(r"secret|token|password|passwd|credential|private", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=://)[^/\s@]*@")  # of a URL, where passwords stand


def redacted(value: Any, name: str = "") -> Any:
    """A JSON document without values that are named like secrets and users of URLs."""
    if isinstance(value, dict):
        return {key: redacted(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [redacted(one, name) for one in value]
    if isinstance(value, str):
        return HIDDEN if _SECRET.search(name) else _USER.sub(f"{HIDDEN}@", value)
    return value
