"""The last known lists on disk, so that a start needs no registry: one JSON file for all services.

{"format": 1, "services": {"llm-router": {"index": 12, "epoch": "...", "instances": [...]}}}
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from uaitools import log
from uaitools.files import in_thread
from uaitools.registry.client.fields import Fields, Garbled
from uaitools.registry.client.member import INDEX, member_document, read_member
from uaitools.registry.client.view import View
from uaitools.tasks import spawn

_FORMAT: Final = 1
_SIZE: Final = 64 * 1024 * 1024  # bytes of a file that is read

_log = log.get_logger(__name__)


class Cache:
    """What is kept is written `delay` seconds after it has changed, all at once.

    Several processes may share a file: it is replaced as a whole, and the last one wins.
    """

    def __init__(self, path: Path, delay: float) -> None:
        self._path = path
        self._delay = delay
        self._views: dict[str, View] = {}
        self._written: Mapping[str, View] = {}
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    def __repr__(self) -> str:
        return f"<Cache {self._path} services={len(self._views)}>"

    def get(self, service: str) -> View | None:
        """What was known of a service."""
        return self._views.get(service)

    async def load(self) -> None:
        """Read the file. What cannot be used is logged, and as good as absent."""
        try:
            self._views = {**await in_thread(_read, self._path), **self._views}
        except FileNotFoundError:
            return
        except (OSError, Garbled) as error:
            reason = getattr(error, "strerror", None) or str(error)
            _log.warning(
                "lists of services on disk cannot be used", file=str(self._path), reason=reason
            )
        self._written = dict(self._views)

    def keep(self, view: View) -> None:
        """Write it soon, unless it is on disk already."""
        known = self._views.get(view.service)
        if view.stale or known == view:
            return
        self._views[view.service] = view
        if self._writing is None:
            self._writing = spawn(self._write_later(), name="keep lists of services on disk")

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        await self._write()

    async def _write_later(self) -> None:
        try:
            while self._views != self._written:
                await asyncio.sleep(self._delay)
                await self._write()
                if self._failing:
                    return  # the next change tries again
        finally:
            self._writing = None

    async def _write(self) -> None:
        views = dict(self._views)
        if views == self._written:
            return
        try:
            await in_thread(_replace, self._path, views)
        except OSError as error:
            if not self._failing:
                self._failing = True
                _log.warning(
                    "lists of services cannot be kept on disk",
                    file=str(self._path),
                    reason=error.strerror,
                )
            return
        self._failing = False
        self._written = views


def _read(path: Path) -> dict[str, View]:
    """The views in a file. Raises OSError and Garbled."""
    with path.open("rb") as file:
        data = file.read(_SIZE + 1)
    if len(data) > _SIZE:
        raise Garbled(f"it has over {_SIZE} bytes")
    try:
        document: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Garbled("it is no JSON") from error
    fields = Fields(document)
    if fields.integer("format", INDEX) != _FORMAT:
        raise Garbled("it is of another version")
    services = document.get("services")
    if not isinstance(services, dict):
        raise Garbled("services is no table")
    return {name: _view(name, Fields(known)) for name, known in services.items()}


def _view(service: str, fields: Fields) -> View:
    members = [read_member(one) for one in fields.objects("instances")]
    return View(
        service, tuple(members), fields.integer("index", INDEX), fields.text("epoch"), stale=False
    )


def _replace(path: Path, views: Mapping[str, View]) -> None:
    """Write a file beside it, for its owner alone, and rename that. Raises OSError."""
    services = {
        name: {
            "index": view.index,
            "epoch": view.epoch,
            "instances": [member_document(member) for member in view.members],
        }
        for name, view in views.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        beside.touch(mode=0o600, exist_ok=False)
        beside.write_bytes(orjson.dumps({"format": _FORMAT, "services": services}))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
