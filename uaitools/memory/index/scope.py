"""The vectors of one user, as blocks of a matrix that is changed row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from uaitools.memory.index.best import NEVER, Best, Rows
from uaitools.memory.index.entries import FLOAT, parts
from uaitools.memory.index.port import Entry, Hit, Slice, Vector

BLOCK: Final = 1 << 20  # bytes of vectors that are weighed, or copied, at once: about 0.3 ms
OVERHEAD: Final = 1024  # bytes of a scope without rows, with its places in dictionaries
ROW: Final = 260  # bytes of a row beside its vector: its id, and the id's places in list and dict
_DEAD: Final = -1
_IDS: Final = 2048  # ids that are looked up at once
_FIRST: Final = 16  # rows of the first block of a small scope


def rows_of_block(dimension: int) -> int:
    """How many vectors a block has."""
    return max(1, BLOCK // (FLOAT.itemsize * dimension))


class Scope:
    """Rows of ids, generations and vectors.

    A deleted row keeps its place, so that those who scan block by block go on undisturbed; when
    there are many, the scope is `worn` and better read anew.
    """

    __slots__ = ("_blocks", "_generations", "_ids", "_per_block", "_rows", "dimension")

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._per_block = rows_of_block(dimension)
        self._ids: list[UUID] = []
        self._rows: dict[UUID, int] = {}
        self._generations = np.empty(0, np.int64)
        self._blocks: list[Vector] = []

    def __repr__(self) -> str:
        return f"<Scope rows={len(self)} dead={len(self._ids) - len(self)} bytes={self.size}>"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        vectors = sum(block.nbytes for block in self._blocks)
        return OVERHEAD + vectors + self._generations.nbytes + ROW * len(self._ids)

    @property
    def worn(self) -> bool:
        """Whether most of it is deleted."""
        return len(self._ids) > 2 * len(self) + _FIRST

    def put(self, entry: Entry) -> None:
        """Take an entry in, unless there is a newer one."""
        row = self._rows.get(entry.id)
        if row is None:
            self._rows[entry.id] = row = self._new_row(entry.id)
        elif self._generations[row] > entry.generation:
            return
        self._generations[row] = entry.generation
        self._blocks[row // self._per_block][row % self._per_block] = entry.vector

    def extend(self, some: Slice) -> None:
        """Take in a block of what was read, of ids that are not there yet.

        Rows before have to fill their blocks, and these are at most one. Row by row it takes ten
        times as long.
        """
        first, last = len(self._ids), len(self._ids) + len(some.ids)
        assert first % self._per_block == 0
        assert last - first <= self._per_block
        block = np.frombuffer(some.vectors, FLOAT).reshape(last - first, self.dimension)
        self._blocks.append(block.copy())  # what was read cannot be written to
        new = np.array(some.generations, np.int64)
        self._generations = np.concatenate((self._generations[:first], new))
        self._rows.update(zip(some.ids, range(first, last), strict=True))
        self._ids.extend(some.ids)

    def drop(self, one: UUID) -> None:
        """Forget an id, if it is there."""
        row = self._rows.pop(one, None)
        if row is not None:
            self._generations[row] = _DEAD

    def weigh(self, best: Best, vector: Vector, among: Sequence[UUID] | None) -> Iterator[None]:
        """Offer the rows, or those of some ids. Pauses after each block."""
        if among is not None:
            yield from self._weigh_some(best, vector, among)
            return
        number = 0
        while number < len(self._blocks):  # what is added meanwhile is weighed, too
            first = number * self._per_block
            rows = np.arange(first, min(first + self._per_block, len(self._ids)))
            self._offer(best, vector, number, rows)
            number += 1
            yield

    def hits(self, best: Best) -> list[Hit]:
        """What was found; not what has been deleted since its row was weighed."""
        return [
            Hit(self._ids[row], score) for row, score in best if self._generations[row] != _DEAD
        ]

    def _weigh_some(self, best: Best, vector: Vector, among: Sequence[UUID]) -> Iterator[None]:
        for some in parts(list(dict.fromkeys(among)), _IDS):
            found = sorted(row for one in some if (row := self._rows.get(one)) is not None)
            rows = np.array(found, np.intp)
            blocks = rows // self._per_block
            for number in np.unique(blocks):
                self._offer(best, vector, int(number), rows[blocks == number])
            yield

    def _offer(self, best: Best, vector: Vector, number: int, rows: Rows) -> None:
        block = self._blocks[number]
        at = rows - number * self._per_block
        whole = len(rows) and len(rows) == at[-1] + 1  # then no copy is needed
        scores = (block[: len(rows)] if whole else block[at]) @ vector
        scores[self._generations[rows] == _DEAD] = NEVER
        best.offer(rows, scores)

    def _new_row(self, one: UUID) -> int:
        row = len(self._ids)
        number, at = divmod(row, self._per_block)
        if number == len(self._blocks):
            rows = self._per_block if number else min(_FIRST, self._per_block)
            self._blocks.append(np.empty((rows, self.dimension), np.float32))
        elif at == len(self._blocks[number]):  # the first block grows until it is a whole one
            rows = min(2 * at, self._per_block)
            self._blocks[number] = _longer(self._blocks[number], rows)
        if row == len(self._generations):
            self._generations = _longer(self._generations, max(_FIRST, row + row // 4))
        self._ids.append(one)
        return row


def _longer(array: NDArray[Any], rows: int) -> NDArray[Any]:
    grown = np.empty((rows, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
