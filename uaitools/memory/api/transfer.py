"""Handlers of exports and imports: a memory a line, as many as there are, in flat memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web
from pydantic import ValidationError

from uaitools.errors import ServiceError, invalid
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner_or_everyone
from uaitools.memory.errors import SERVICE
from uaitools.memory.model import Memory
from uaitools.memory.rendering import document, encoded
from uaitools.memory.store.pages import ROOM
from uaitools.memory.store.transfer import PAGE, Taken
from uaitools.memory.turns import Turn
from uaitools.rest import query
from uaitools.unpacking import pieces

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

NDJSON: Final = "application/x-ndjson"
LONGEST: Final = 1 << 20  # bytes of a line: 64 Ki characters take up to 384 KiB
RATIO: Final = 100  # of a body to what was sent of it; exports have some 10
_TOLD: Final = 100  # lines that are no memories
_BROKEN: Final = (400, 413)  # statuses of a body that cannot be read to its end


class TransferHandlers:
    """Exports and imports."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<TransferHandlers {self._service!r}>"

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET of all memories."""
        asked = query(request, requests.Transferred)
        user = owner_or_everyone(request, asked.user_id)
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: NDJSON, hdrs.CACHE_CONTROL: "no-store"}
        )
        async for page in self._service.transfer.pages(user):
            if not response.prepared:  # until then it can still be said that the database is away
                await response.prepare(request)
            await response.write(b"".join(encoded(document(one)) + b"\n" for one in page))
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    async def take(self, request: web.Request) -> bytes:
        """POST of memories as an export has them."""
        asked = query(request, requests.Transferred)
        user = owner_or_everyone(request, asked.user_id)
        if request.content_type != NDJSON:
            raise ServiceError(415, f"send a memory a line, as {NDJSON}", SERVICE)
        reading = _Reading(user)
        taken = Taken()
        try:
            async for memories in reading.pages(request):
                await self._service.take(user, memories, taken)
        except ServiceError as error:
            if error.code not in _BROKEN:
                raise
            message = f"{error.message}; {taken.imported} memories were imported until then"
            raise ServiceError(error.code, message, SERVICE) from error
        said = {"lines": reading.lines, "refused": reading.refused, "problems": reading.problems}
        return encoded({**asdict(taken), **said})


class _Reading:
    """The lines of a request. lines: so far. refused: those that are no memories."""

    def __init__(self, user: str | None) -> None:
        self.lines = self.refused = 0
        self.problems: list[dict[str, Any]] = []
        self._user = user

    async def pages(self, request: web.Request) -> AsyncIterator[list[Memory]]:
        """The memories of the lines, some at a time. Raises ServiceError (400, 413)."""
        page: list[Memory] = []
        size, turn = 0, Turn()
        async for line in _lines(request):
            self.lines += 1
            await turn.step()
            memory = self._read(line)
            if memory is not None:
                page.append(memory)
                size += len(line)
            if len(page) == PAGE or size >= ROOM:
                yield page
                page, size = [], 0
        if page:
            yield page

    def _read(self, line: bytes) -> Memory | None:
        try:
            asked = requests.ImportedMemory.model_validate_json(line, strict=True)
        except ValidationError as error:
            told = len(self.problems) < _TOLD  # it takes three times as long to say why
            details = (invalid(error, SERVICE).details if told else None) or ()
            self._refuse("; ".join(f"{one['field']}: {one['message']}" for one in details))
            return None
        named = asked.user_id or self._user
        if named is None or self._user not in (None, named):
            self._refuse("user_id: is missing" if named is None else "user_id: is another user's")
            return None
        return Memory(**{**{name: getattr(asked, name) for name in _NAMES}, "user_id": named})

    def _refuse(self, message: str) -> None:
        self.refused += 1
        if len(self.problems) < _TOLD:
            self.problems.append({"line": self.lines, "message": message[:500]})


_NAMES: Final = tuple(requests.ImportedMemory.model_fields)


async def _lines(request: web.Request) -> AsyncIterator[bytes]:
    """Lines that are not blank. Raises ServiceError (413) for one that is too long.

    So it does for a body that has been deflated as only blanks and bombs can be; 400 for one that
    cannot be inflated to its end.
    """
    rest, size = b"", 0
    async for data in pieces(request, SERVICE):
        size += len(data)
        if size > ROOM + RATIO * request.content.total_bytes:
            message = f"the body has over {RATIO} bytes for each that was sent; do not compress it"
            raise ServiceError(413, message, SERVICE)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > LONGEST:
            raise ServiceError(413, f"a line has at most {LONGEST} bytes", SERVICE)
    if rest.strip():
        yield rest
