"""Blocks of bytes into lines, in memory that no line can make grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """number: from 1. data: without the line's end; None where it was too long and is gone."""

    number: int
    data: bytes | None


def lines(blocks: Iterable[bytes], longest: int) -> Iterator[Line]:
    """Lines that end in LF or CR LF, the last one also in nothing; however the blocks are cut.

    longest: bytes of a line, its CR included. What is kept is a block and one line.
    """
    number, kept = 0, b""
    for block in blocks:
        *ended, rest = block.split(b"\n")
        for part in ended:
            number += 1
            yield _line(number, kept + part[: longest + 1 - len(kept)], longest)
            kept = b""
        kept += rest[: longest + 1 - len(kept)]
    if kept:
        yield _line(number + 1, kept, longest)


def _line(number: int, data: bytes, longest: int) -> Line:
    return Line(number, None if len(data) > longest else data.removesuffix(b"\r"))
