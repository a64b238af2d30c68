"""What texts are found by, made without holding the loop: a long text takes half a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uaitools.memory.analysis.document import Document, reading
from uaitools.memory.turns import in_turns


async def analysed(*texts: str) -> list[Document]:
    """What is kept of each text; others have their turns meanwhile.

    It is made before anything is held of the database: who waits for that would wait for this.
    """
    found: list[Document] = []
    await in_turns(_steps(texts, found))
    return found


def _steps(texts: Iterable[str], found: list[Document]) -> Iterator[None]:
    for text in texts:
        document = yield from reading(text)
        found.append(document)
