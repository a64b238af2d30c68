"""Tokenisers as they are, and as nobody would make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from uaitools.memory.context.tokens import Estimate, Tokeniser


@dataclass(frozen=True)
class By:
    """Counts by a function."""

    name: str
    count_of: Callable[[str], int]

    def __repr__(self) -> str:
        return self.name

    def count(self, text: str) -> int:
        return self.count_of(text)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# What several lines cost is at most what each of them does.
ORDINARY: Final[tuple[Tokeniser, ...]] = (
    Estimate(),
    By("characters", len),
    By("bytes", lambda text: len(encoded(text))),
    By("words", lambda text: len(text.split())),
    By("with a beginning", lambda text: 1 + len(text) // 4),
)
HOSTILE: Final[tuple[Tokeniser, ...]] = (
    By("nothing", lambda _: 0),
    By("seven", lambda _: 7),
    By("squares", lambda text: len(text) ** 2 // 100),
    By("chance", lambda text: crc32(encoded(text)) % 50),
    By("lines", lambda text: 40 * text.count("\n") ** 2),
    By("short is dear", lambda text: max(0, 300 - len(text))),
)
