"""Where a clone says that it comes from. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# `https://user:secret@host:443/owner/name.git`, `ssh://git@host/owner/name`, `git@host:owner/name`.
_URL: Final = re.compile(
    r"(?:https?|git|ssh|git\+ssh)://(?:[^/@\s]*@)?(?P<host>[\w.-]+)(?::\d+)?/+(?P<name>\S+)"
)
_SCP: Final = re.compile(r"(?:[^/@:\s]+@)?(?P<host>[\w-]+(?:\.[\w-]+)+):(?!/)(?P<name>\S+)")
_NAME: Final = re.compile(r"[\w.~-]+(?:/[\w.~-]+)+")
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Origin:
    """The host, and the repository there: `owner/name`, with more before it where groups nest.

    It is what the clone says of itself. No user and no secret of the address is kept.
    """

    host: str
    name: str


def origin(address: str) -> Origin | None:
    """The origin that an address names; None for a directory, a file and what is no address."""
    if len(address) > _LONGEST:
        return None
    found = _URL.fullmatch(address) or _SCP.fullmatch(address)
    if found is None:
        return None
    name = found["name"].rstrip("/").removesuffix(".git")
    if _NAME.fullmatch(name) is None or {".", ".."} & set(name.split("/")):
        return None
    return Origin(found["host"].lower(), name)
