"""What a repository is licensed under, from all that says so. Pure.

A license is told by its own text (`license_texts`), by an `SPDX-License-Identifier:` in a license
file, or by the manifest of a package. What these say has to fit together: a declaration that no
text of a license contradicts, or texts of one license. Nothing else is known.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from uaitools.insight.analysis.expressions import expression, names
from uaitools.insight.analysis.license_texts import license_of

Source = Literal["text", "identifier", "declared"]

_IDENTIFIER: Final = re.compile(r"SPDX-License-Identifier:[ \t]*([^\r\n]{1,200})")
_UNDER: Final = {"LGPL-3.0": "GPL-3.0"}  # the former is an addition to the latter, kept beside it


@dataclass(frozen=True, slots=True)
class Told:
    """What one file says. spdx: None for a license file whose text is not recognised."""

    path: str
    source: Source
    spdx: str | None


@dataclass(frozen=True, slots=True)
class License:
    """spdx: None if it is unknown, and then `why`. unread: license files that are not there."""

    spdx: str | None
    why: str
    told: tuple[Told, ...]
    unread: tuple[str, ...] = ()


def licensed(
    files: Mapping[str, bytes], manifests: Mapping[str, bytes], unread: tuple[str, ...] = ()
) -> License:
    """The license, of texts by their paths.

    files: license files. manifests: at the top, those that `declares`. unread: license files that
    cannot be read.
    """
    told = [*_of_files(files), *_of_manifests(manifests)]
    spdx, why = _agreed(told)
    if spdx is not None and unread and all(one.source == "text" for one in told):
        spdx, why = None, "there are license files that cannot be read"
    return License(spdx, why, tuple(told), unread)


def declares(path: str) -> bool:
    """Whether a file, by its path, is a manifest that may declare a license."""
    return path.lower() in _MANIFESTS


def _agreed(told: list[Told]) -> tuple[str | None, str]:
    """What all of them say, or None and why not."""
    texts = {one.spdx for one in told if one.source == "text"}
    declared = sorted({one.spdx for one in told if one.source != "text" and one.spdx is not None})
    known = {one for one in texts if one is not None}
    if declared:
        return _declared_alike(declared, known)
    if not texts:
        return None, "there is no license file and none is declared"
    if None in texts:
        return None, "the text of a license file is not one that is known"
    if len(known) > 1:
        return None, "there are texts of several licenses, and none says which applies"
    return known.pop(), ""


def _declared_alike(declared: list[str], texts: set[str]) -> tuple[str | None, str]:
    """What is declared, if it is once and the texts are of it."""
    if len(declared) > 1:
        return None, "files declare different licenses"
    named = names(declared[0])
    if texts <= named | {_UNDER[one] for one in named & _UNDER.keys()}:
        return declared[0], ""
    return None, "the license that is declared is not the one whose text is there"


def _of_files(files: Mapping[str, bytes]) -> Iterator[Told]:
    for path, raw in sorted(files.items()):
        text = raw.decode("utf-8", "replace")
        if (found := _identifier(text)) is not None:
            yield Told(path, "identifier", found)
        else:
            yield Told(path, "text", license_of(text))


def _of_manifests(manifests: Mapping[str, bytes]) -> Iterator[Told]:
    for path, raw in sorted(manifests.items()):
        if (found := _declared(_MANIFESTS[path.lower()], raw)) is not None:
            yield Told(path, "declared", found)


def _identifier(text: str) -> str | None:
    """The expression that every SPDX-License-Identifier in a text has; None for none or several."""
    found = {expression(one.strip(" \t*/#->`")) for one in _IDENTIFIER.findall(text)}
    return found.pop() if len(found) == 1 else None


def _declared(read: Callable[[bytes], Any], raw: bytes) -> str | None:
    try:
        value = read(raw)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None  # a manifest that is none declares nothing
    return expression(value) if isinstance(value, str) else None


def _pyproject(raw: bytes) -> object:
    """`license` of the project: an expression (PEP 639), or the text of a table before that."""
    tables = tomllib.loads(raw.decode())
    if "project" in tables and (value := tables["project"].get("license")) is not None:
        return value if isinstance(value, str) else value.get("text")
    return tables["tool"]["poetry"]["license"]


def _cargo(raw: bytes) -> object:
    return tomllib.loads(raw.decode())["package"]["license"]


def _package_json(raw: bytes) -> object:
    return orjson.loads(raw)["license"]


_MANIFESTS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "pyproject.toml": _pyproject,
    "cargo.toml": _cargo,
    "package.json": _package_json,
    "composer.json": _package_json,
}
