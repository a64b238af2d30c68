"""Configurations without their secrets."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "**********"  # as pydantic shows a SecretStr
# Beside the fields that are SecretStr: whatever is called like a secret.
_SECRET: Final = re.compile(r"secret|token|password|passwd|credential|private", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=://)[^/\s@]*@")  # of a URL, where passwords stand


# Tables whose values are what clients or services send: any of them may be a credential.
_FREE: Final = frozenset(("set", "add", "headers", "query"))
_QUERY: Final = re.compile(r"([?&][^=&]*=)[^&]+")  # of a URL, where signatures stand


def redacted(value: Any, name: str = "") -> Any:
    """A JSON document without values that are named like secrets, or may be some.

    Those are: the values of header fields and of queries, and users of URLs.
    """
    if isinstance(value, dict):
        if name in _FREE:
            return dict.fromkeys(value, HIDDEN)
        return {key: redacted(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [redacted(one, name) for one in value]
    if isinstance(value, str):
        if _SECRET.search(name):
            return HIDDEN
        return _QUERY.sub(rf"\g<1>{HIDDEN}", _USER.sub(f"{HIDDEN}@", value))
    return value
