"""The `[memory.context]` table: what a context is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.memory.context.assemble import Shares

_Share = Annotated[int, Field(ge=0, le=100)]


class ContextConfig(Model):
    """The `[memory.context]` table.

    tokeniser: the tokenizer.json of the model that reads contexts; tokens are estimated without
    one. memories, digest: per cent of a budget that they may take from the newest messages.
    keep_days: after which a session in which nothing is said any more is removed; never, unless
    given.
    """

    tokeniser: Path | None = None
    memories: _Share = 25
    digest: _Share = 15
    keep_days: Annotated[float, Field(gt=0, le=36_500)] | None = None

    @field_validator("tokeniser")
    @classmethod
    def _there(cls, file: Path | None) -> Path | None:
        if file is not None and not (os.access(file, os.R_OK) and file.is_file()):
            raise ValueError(f"there is no file {file} that can be read")
        return file

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.memories + self.digest > 100:
            raise ValueError("memories and digest are per cent of one budget: at most 100 together")
        return self

    @property
    def shares(self) -> Shares:
        """As `assemble` uses them."""
        return Shares(self.memories, self.digest)
