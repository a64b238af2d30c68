"""The metrics of all workers, whichever of them is asked: each leaves its own where all look.

What a worker has counted when it dies goes on being counted by its successor, so that no sum falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from uaitools.metrics import Snapshot


class Siblings:
    """One of several workers. directory: of their own. index: which of them this is."""

    __slots__ = ("_before", "_directory", "_path")

    def __init__(self, directory: Path, index: int) -> None:
        self._directory = directory
        self._path = directory / f"{index}.json"
        before = _read(self._path)
        self._before = None if before is None else before.without_gauges()

    def __repr__(self) -> str:
        return f"<Siblings {self._path}>"

    def leave(self, own: Snapshot) -> None:
        """Let the others have what this one has counted."""
        whole = own if self._before is None else own.merge(self._before)
        new = self._path.with_suffix(".new")
        new.write_bytes(orjson.dumps(whole.to_document()))
        new.replace(self._path)

    def merged(self, own: Snapshot) -> Snapshot:
        """What all have counted, as they left it last."""
        self.leave(own)
        whole = Snapshot({})
        for snapshot in self._all():
            whole = whole.merge(snapshot)
        return whole

    def _all(self) -> Iterator[Snapshot]:
        for path in sorted(self._directory.glob("*.json")):
            snapshot = _read(path)
            if snapshot is not None:
                yield snapshot


def _read(path: Path) -> Snapshot | None:
    try:
        return Snapshot.from_document(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
