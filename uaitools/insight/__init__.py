"""Repository insight: fast reads that say how fresh they are, and why they rank so.

What ranking files tell:

    rankings/    the daily lists of a source, and repositories that changed their names
    trending/    how far a gain is above what was to be expected

What a local clone tells:

    analysis/    facts from the `git` program: commits, authors, releases, files; and insights
    quality      a score of checks, each with its evidence; what is unknown does not count

Where it is kept, and read fast:

    terms        words and parts of names as what an index finds
    store/       PostgreSQL: one repository, searches, boards, analyses, events
    importing/   from files and clones into the store, all or nothing

How it is served:

    server       the listener: a gateway in front of `api/`, the resources
    service      what they use: `store/` of PostgreSQL, and copies of what it tells
    copies       answers that are kept, until `following` hears of an import or a report;
                 `recent` above, what was served last
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.lazy import lazily

if TYPE_CHECKING:
    from uaitools.insight.config import InsightConfig
    from uaitools.insight.server import InsightServer
    from uaitools.insight.service import InsightService

__all__ = ["InsightConfig", "InsightServer", "InsightService"]

_HOMES = {
    "InsightConfig": "uaitools.insight.config",
    "InsightServer": "uaitools.insight.server",
    "InsightService": "uaitools.insight.service",
}

__getattr__ = lazily(__name__, _HOMES)
