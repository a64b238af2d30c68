"""What is asked of a clone's own configuration. Pure.

Git reads it as a file that it is given, and never as the configuration it works by.
"""

from __future__ import annotations

from dataclasses import dataclass

from uaitools.insight.analysis.errors import NotAClone
from uaitools.insight.analysis.origin import Origin, origin

_FORMATS = ("sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Settings:
    """object_format: how objects are named. partial: it has left files out. tags: it has them."""

    object_format: str = "sha1"
    partial: bool = False
    tags: bool = True
    origin: Origin | None = None


def settings(listed: bytes) -> Settings:
    """Those of `git config --null --list`: `key NEWLINE value NUL`, keys in lower case.

    Raises `NotAClone` for a format in which refs or objects cannot be read here.
    """
    values: dict[str, str] = {}
    for entry in listed.split(b"\0"):
        key, _, value = entry.partition(b"\n")
        values[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace").strip()
    if values.get("extensions.refstorage", "files") != "files":
        raise NotAClone("its refs are kept as is not read here; clone it with --ref-format=files")
    object_format = values.get("extensions.objectformat", "sha1").lower()
    if object_format not in _FORMATS:
        raise NotAClone("the clone names its objects in a way that is not known here")
    return Settings(
        object_format,
        partial="extensions.partialclone" in values
        or any(_of_remote(key, "promisor") for key in values),
        tags=not any(
            _of_remote(key, "tagopt") and value == "--no-tags" for key, value in values.items()
        ),
        origin=origin(values.get("remote.origin.url", "")),
    )


def _of_remote(key: str, name: str) -> bool:
    return key.startswith("remote.") and key.endswith(f".{name}")
