"""The answer of `git cat-file --batch`. Pure."""

from __future__ import annotations

from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.records import LONGEST


class Objects:
    """Files by the names of their objects, `<name> blob <size>` and so many bytes each.

    An object that git does not have is left out.
    """

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self._rest = bytearray()
        self._awaited: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"<Objects found={len(self.found)} rest={len(self._rest)}>"

    def feed(self, chunk: bytes) -> None:
        """Take what comes next. Raises `Unreadable` for what cat-file would not say."""
        self._rest += chunk
        while self._head() and self._awaited is not None:
            name, size = self._awaited
            if len(self._rest) <= size:
                return
            self.found[name] = bytes(self._rest[:size])
            del self._rest[: size + 1]  # and the newline after it
            self._awaited = None

    def close(self) -> None:
        """Say that nothing comes any more. Raises `Unreadable` if an object is not whole."""
        if self._rest or self._awaited is not None:
            raise Unreadable("git ended in the middle of a file")

    def _head(self) -> bool:
        """Read lines until one announces an object."""
        while self._awaited is None:
            end = self._rest.find(b"\n")
            if end < 0:
                if len(self._rest) > LONGEST:
                    raise Unreadable("git announces no file")
                return False
            words = bytes(self._rest[:end]).split(b" ")
            del self._rest[: end + 1]
            match words:
                case [name, b"blob", size] if size.isdigit():
                    self._awaited = name.decode("ascii", "replace"), int(size)
                case [_, b"missing"]:
                    pass
                case _:
                    raise Unreadable("git announces what is no file")
        return True
