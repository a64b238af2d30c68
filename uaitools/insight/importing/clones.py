"""What `git` tells of local clones into the store: all of them, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from uaitools.errors import ServiceError
from uaitools.insight.analysis.analyse import Analysis, analyse
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.importing.errors import Refused
from uaitools.insight.importing.identities import provide_new
from uaitools.insight.importing.leading import lead_quality
from uaitools.insight.importing.staging import Tell, provide_tables
from uaitools.insight.importing.standing import stand_alone
from uaitools.insight.importing.wording import word
from uaitools.insight.rankings.cells import full_name
from uaitools.insight.store.events import Report, add
from uaitools.insight.store.generations import making
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

SOURCE: Final = "git"
_HOSTS: Final = frozenset({"github.com", "www.github.com", "ssh.github.com"})
_TELL: Final = """
    INSERT INTO told (name, full_name, language, last_commit, description, repository, taken)
    SELECT name, full_name, language, last_commit, '', names.repository, false
    FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
        AS clones (name, full_name, language, last_commit) LEFT JOIN names USING (name)
"""
_TAKE: Final = """
    INSERT INTO analyses AS known
        (repository, day, commit, score, version, known, checks, insights)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (repository, day) DO UPDATE SET commit = EXCLUDED.commit, score = EXCLUDED.score,
        version = EXCLUDED.version, known = EXCLUDED.known, checks = EXCLUDED.checks,
        insights = EXCLUDED.insights
    WHERE (known.commit, known.score, known.version, known.known, known.checks, known.insights)
        IS DISTINCT FROM (EXCLUDED.commit, EXCLUDED.score, EXCLUDED.version, EXCLUDED.known,
            EXCLUDED.checks, EXCLUDED.insights)
    RETURNING repository
"""
_STANDS: Final = """
    SELECT id, insight_count, coalesce((SELECT jsonb_array_length(insights) FROM analyses
        WHERE repository = number ORDER BY day DESC LIMIT 1), 0) AS insights
    FROM repositories WHERE number = $1
"""
_NOW_STANDS: Final = """
    UPDATE repositories SET insight_count = $2, quality = (SELECT score FROM analyses
        WHERE repository = number ORDER BY day DESC LIMIT 1)
    WHERE number = $1
"""


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone on this machine. name: `owner/name`, unless it is what its origin says."""

    path: Path
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Analysed:
    """What came of clones. generation: None if nothing was new. changed: repositories."""

    generation: int | None
    clones: int
    changed: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What a clone told. seconds: that it took."""

    name: str
    analysis: Analysis
    seconds: float


async def import_clones(
    pool: Pool, clones: Sequence[Clone], day: date, config: AnalysisConfig, tell: Tell
) -> Analysed:
    """Analyse clones as of the end of a day (UTC), and take what they tell in one transaction.

    The same clones on the same day change nothing. Raises Refused with what is wrong of all of
    them, after which nothing has changed; DatabaseAway.
    """
    found = await _all(clones, day, config, tell)
    async with (
        pool.acquire() as connection,
        making(connection, "clones", tell) as made,
    ):
        numbers = await _numbers(connection, found, day)
        changed = 0
        for one in found:
            changed += await _take(connection, numbers[one.name.lower()], day, one)
        if changed:
            made.changed = True
            await word(connection, tell)
            await lead_quality(connection)
    return Analysed(made.number if changed else None, len(found), changed)


async def _all(
    clones: Sequence[Clone], day: date, config: AnalysisConfig, tell: Tell
) -> Sequence[_Told]:
    """Raises Refused."""
    as_of = datetime.combine(day, time(23, 59, 59), UTC)
    found: dict[str, _Told] = {}
    problems = []
    for clone in clones:
        tell(f"{clone.path}: asking git")
        begun = monotonic()
        try:
            analysis = await analyse(clone.path, as_of, config)
            name = _name(clone, analysis)
        except ServiceError as error:
            problems.append(f"{clone.path}: {error.message}")
        except (OSError, ValueError) as error:
            problems.append(f"{clone.path}: {getattr(error, 'strerror', None) or error}")
        else:
            if name.lower() in found:
                problems.append(f"{clone.path}: {name} is given twice")
            found[name.lower()] = _Told(name, analysis, monotonic() - begun)
            tell(f"{clone.path}: {name}, {_quality(analysis)}")
    if problems:
        raise Refused(problems)
    return list(found.values())


def _name(clone: Clone, analysis: Analysis) -> str:
    """Raises ValueError."""
    said = clone.name
    if said is None:
        origin = analysis.origin
        if origin is None or origin.host not in _HOSTS:
            raise ValueError("its origin is not on github.com; say whose it is: --name OWNER/NAME")
        said = origin.name
    owner, _, name = said.partition("/")
    return full_name("", owner, name)


def _quality(analysis: Analysis) -> str:
    score = analysis.quality.score
    return "quality unknown" if score is None else f"quality {score} of 100"


async def _numbers(connection: Connection, found: Sequence[_Told], day: date) -> dict[str, int]:
    """The repositories by the names of clones; who is new is made. Raises Refused."""
    await provide_tables(connection)
    languages, commits = [], []
    for one in found:
        files, at = one.analysis.facts.files, one.analysis.facts.head.at
        languages.append(files.main if files else None)
        commits.append(_moment(at))
    names = [one.name for one in found]
    keys = [name.lower() for name in names]
    await connection.execute(_TELL, keys, names, languages, commits)
    await provide_new(connection, SOURCE, day)
    await stand_alone(connection)
    rows = await connection.fetch("SELECT name, repository FROM told ORDER BY name")
    numbers: dict[str, int] = {row["name"]: row["repository"] for row in rows}
    for key in keys:
        if sum(number == numbers[key] for number in numbers.values()) > 1:
            raise Refused([f"{key} is given twice: it has had another name"])
    return numbers


async def _take(connection: Connection, number: int, day: date, one: _Told) -> bool:
    """Whether it told anything new."""
    before = await connection.fetchrow(_STANDS, number)
    assert before is not None
    quality, facts = one.analysis.quality, one.analysis.facts
    told: list[list[dict[str, Any]]] = [
        [asdict(each) for each in several] for several in (quality.checks, one.analysis.insights)
    ]
    score = (facts.head.commit, quality.score, quality.version, quality.known)
    if await connection.fetchval(_TAKE, number, day, *score, *told) is None:
        return False
    after = await connection.fetchrow(_STANDS, number)
    assert after is not None
    added = after["insights"] - before["insights"]
    data = {"insights_added": max(0, added), "analysis_duration": _duration(one.seconds)}
    report = Report(uuid4(), "analysis_completed", str(before["id"]), datetime.now(UTC), data)
    await add(connection, report)
    await connection.execute(_NOW_STANDS, number, before["insight_count"] + added)
    return True


def _moment(seconds: int | None) -> datetime | None:
    """None also for what no calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _duration(seconds: float) -> str:
    """`4m32s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s"
