"""The command `eval`: a file is read, put to the question, and reported on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uaitools.memory.config import MemoryConfig
from uaitools.memory.evaluation.labelled import Labelled, parse, sample
from uaitools.memory.evaluation.report import Report, json, text
from uaitools.memory.evaluation.scoring import misses, scored
from uaitools.memory.evaluation.trial import trial


@dataclass(frozen=True, slots=True)
class Wishes:
    """k: memories that are asked for. misses: how many are listed. json: instead of a table."""

    k: int
    misses: int
    json: bool


def read(file: Path | None) -> Labelled:
    """A set, the sample without a file. Raises OSError, and ValueError with the line."""
    if file is None:
        return sample()
    with file.open("rb") as lines:
        return parse(lines)


async def report(config: MemoryConfig, labelled: Labelled, wishes: Wishes) -> str:
    """What came of it. Raises what `trial` does."""
    done = await trial(config, labelled, wishes.k)
    scores = scored(done.answered, wishes.k)
    worst = misses(done.answered)[: wishes.misses]
    made = Report(labelled, done.embedder, done.index, wishes.k, scores, worst)
    return json(made) if wishes.json else text(made)
