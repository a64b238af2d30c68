"""The `[insight.analysis]` table: how much of a clone is looked at."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uaitools.config import Model

_Count = Annotated[int, Field(ge=1)]


class AnalysisConfig(Model):
    """The `[insight.analysis]` table. What is beyond a bound is unknown, and said to be.

    seconds: that one command of git may take; an analysis runs about seven. memory: bytes that git
    may allocate, on Linux. output: bytes that one command may say; a million commits say about 150
    million. authors, tags, files: how many are counted. entries: files that a clone may keep its
    objects and refs in. text: bytes of a file that is read, as a license is.
    """

    seconds: Annotated[float, Field(gt=0)] = 120.0
    memory: _Count = 1 << 30
    output: _Count = 1 << 30
    authors: _Count = 200_000
    tags: _Count = 100_000
    files: _Count = 1_000_000
    entries: _Count = 2_000_000
    text: _Count = 256 << 10
