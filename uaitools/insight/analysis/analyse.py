"""A local clone, analysed: `analyse(path, as_of)`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path

from uaitools.insight.analysis import view
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.analysis.facts import Facts
from uaitools.insight.analysis.git import Git
from uaitools.insight.analysis.insights import Insight, insights
from uaitools.insight.analysis.layout import locate
from uaitools.insight.analysis.origin import Origin
from uaitools.insight.analysis.reading import Reading
from uaitools.insight.analysis.settings import settings
from uaitools.insight.quality import Quality, assess

__all__ = ["Analysis", "analyse"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a clone tells of its repository. origin: what it says that it is a clone of."""

    origin: Origin | None
    facts: Facts
    quality: Quality
    insights: tuple[Insight, ...]


async def analyse(
    path: str | PathLike[str], as_of: datetime, config: AnalysisConfig | None = None
) -> Analysis:
    """What the clone at `path` tells, as of a time, which is aware of its zone.

    The path is the top of a clone or of a worktree, or a bare clone. What HEAD names is analysed;
    what is not committed is not seen. The same clone and time give the same analysis.

    Raises `NotAClone` if there is none that may be read, `Unreadable` if not even its configuration
    or its HEAD can be, `GitMissing` without git, `ValueError` for a time without a zone. What else
    cannot be read of a clone is unknown, and its limitations say so.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of needs a zone")
    config = config or AnalysisConfig()
    layout = await asyncio.to_thread(locate, Path(path), config.entries)
    with view.view(layout) as directory:
        git = Git(directory, config)
        listed = await git.output(
            "config", "--file", "-", "--null", "--no-includes", "--list", sent=layout.config
        )
        own = settings(listed)
        view.names(directory, own.object_format)
        facts = await Reading(git, layout, own, int(as_of.timestamp()), config).facts()
    quality = assess(facts)
    return Analysis(own.origin, facts, quality, insights(facts, quality))
