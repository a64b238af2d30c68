"""What is worth saying of a repository's facts. Pure: the same facts give the same list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from uaitools.insight.analysis.conventions import Kind
from uaitools.insight.analysis.dates import days_before, rfc3339
from uaitools.insight.analysis.evidence import Evidence
from uaitools.insight.analysis.facts import Facts
from uaitools.insight.analysis.files import Files
from uaitools.insight.analysis.history import History, Year
from uaitools.insight.analysis.licenses import License
from uaitools.insight.analysis.releases import Releases
from uaitools.insight.analysis.texts import counted
from uaitools.insight.quality import Outcome, Quality

Severity = Literal["info", "notice", "warning"]
_SEVERITY: Final[Mapping[Outcome, Severity]] = {
    "pass": "info",
    "part": "notice",
    "fail": "warning",
    "unknown": "info",
}
_SHOWN: Final = 10  # authors, languages, files
_POLICIES: Final[tuple[Kind, ...]] = (
    "readme",
    "changelog",
    "contributing",
    "conduct",
    "security",
)


@dataclass(frozen=True, slots=True)
class Insight:
    """kind: one of each. title: a sentence. value: JSON; a time in it is RFC 3339."""

    kind: str
    title: str
    value: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    severity: Severity = "info"


def insights(facts: Facts, quality: Quality) -> tuple[Insight, ...]:
    """What the facts say, in an order that does not change. What is unknown is not said."""
    severity = {one.name: _SEVERITY[one.outcome] for one in quality.checks}
    return tuple(_all(facts, quality, severity))


def _all(facts: Facts, quality: Quality, severity: Mapping[str, Severity]) -> Iterator[Insight]:
    if facts.history is not None:
        yield _commits(facts, facts.history)
        yield _authors(facts, facts.history)
        yield _activity(facts, facts.history, severity["maintained"])
        if facts.history.year.bus_factor is not None:
            yield _bus_factor(facts.history.year, severity["bus_factor"])
    elif facts.head.at is not None:
        yield _last_commit(facts, facts.head.at)
    if facts.releases is not None:
        yield _releases(facts.releases, severity["releases"])
    if facts.license is not None:
        yield _license(facts, facts.license, severity["license"])
    if facts.files is not None:
        yield from _of_files(facts, facts.files, severity)
    if facts.limitations:
        yield _limitations(facts)
    yield _quality(quality)


def _commits(facts: Facts, history: History) -> Insight:
    value = {
        "commits": history.commits,
        "first_at": _time(history.first_at),
        "last_at": _time(history.last_at),
        "undated": history.undated,
        "after_as_of": history.ahead,
        "by_bots": history.bot_commits,
    }
    commits = counted(history.commits, "commit", "commits")
    title = f"{commits} on {facts.head.branch or 'a detached HEAD'}"
    return Insight("commits", title, value, (_head(facts, "commits", history.commits),))


def _last_commit(facts: Facts, at: int) -> Insight:
    old = counted(days_before(at, facts.as_of), "day", "days")
    value = {"commits": None, "last_at": _time(at)}
    title = f"The last commit is {old} old; how many there are is unknown"
    return Insight("commits", title, value, (_head(facts, "HEAD"),))


def _authors(facts: Facts, history: History) -> Insight:
    """By name alone: an address is nobody's business who reads a summary."""
    people = [one for one in history.authors if not one.bot]
    value = {
        "authors": len(history.authors),
        "people": len(people),
        "bots": len(history.authors) - len(people),
        "people_last_year": history.year.authors,
        "top": [
            {"name": one.name, "commits": one.commits, "commits_last_year": one.recent}
            for one in people[:_SHOWN]
        ],
    }
    wrote = counted(len(people), "person", "people")
    title = f"{wrote} wrote it, {history.year.authors} in the last year"
    return Insight("authors", title, value, (_head(facts, "authors", len(history.authors)),))


def _activity(facts: Facts, history: History, severity: Severity) -> Insight:
    year = history.year
    value = {
        "commits_last_year": year.commits,
        "by_people_last_year": year.people,
        "weeks": list(year.weeks),
        "weeks_of_people": list(year.people_weeks),
        "active_weeks": year.active_weeks,
        "median_days_between": year.median_gap,
        "last_at": _time(history.last_at),
    }
    commits = counted(year.commits, "commit", "commits")
    title = f"{commits} in the last year, in {year.active_weeks} of 52 weeks"
    evidence = (_head(facts, "commits in 52 weeks", year.commits),)
    return Insight("activity", title, value, evidence, severity)


def _bus_factor(year: Year, severity: Severity) -> Insight:
    value = {"bus_factor": year.bus_factor, "people": year.authors, "commits": year.people}
    people = counted(year.authors, "person", "people")
    title = f"Half of the last year's commits are of {year.bus_factor} of {people}"
    evidence = (
        Evidence("people who made half of the commits of 52 weeks", count=year.bus_factor),
        Evidence("people who made any", count=year.authors),
    )
    return Insight("bus_factor", title, value, evidence, severity)


def _releases(releases: Releases, severity: Severity) -> Insight:
    latest = [
        {"tag": one.tag, "at": _time(one.at), "prerelease": one.prerelease}
        for one in releases.latest
    ]
    value = {
        "versions": releases.versions,
        "prereleases": releases.prereleases,
        "annotated": releases.annotated,
        "tags": releases.tags,
        "last_year": releases.recent,
        "median_days_between": releases.median_gap,
        "latest": latest,
    }
    last = f", the last is {releases.latest[0].tag}" if releases.latest else ""
    evidence = (Evidence("tags that are versions", count=releases.versions),)
    title = f"{counted(releases.versions, 'version', 'versions')}{last}"
    return Insight("releases", title, value, evidence, severity)


def _license(facts: Facts, told: License, severity: Severity) -> Insight:
    found = [{"path": one.path, "source": one.source, "spdx": one.spdx} for one in told.told]
    value = {"spdx": told.spdx, "why_unknown": told.why or None, "found": found}
    title = f"Licensed under {told.spdx}" if told.spdx else f"The license is unknown: {told.why}"
    evidence = tuple(
        Evidence(one.spdx or "not recognised", one.path, facts.head.commit) for one in told.told
    )
    return Insight("license", title, value, evidence or (_head(facts, told.why),), severity)


def _of_files(facts: Facts, files: Files, severity: Mapping[str, Severity]) -> Iterator[Insight]:
    yield _size(facts, files)
    if files.languages:
        yield _languages(facts, files)
    title = f"{files.tests} of {files.code} programs are tests"
    value = {"tests": files.tests, "programs": files.code}
    evidence = (Evidence("tests", files.first_test, facts.head.commit, files.tests),)
    yield Insight("tests", title, value, evidence, severity["tests"])
    systems = files.labels("ci")
    title = f"CI by {', '.join(systems)}" if systems else "No CI is in the repository"
    yield _named("ci", title, facts, "ci", severity)
    title = "A security policy" if files.count("security") else "No security policy"
    yield _named("security_policy", title, facts, "security", severity)
    there: dict[str, bool] = {what: files.count(what) > 0 for what in _POLICIES}
    title = f"{sum(there.values())} of {len(there)} documents about the project are there"
    documents = tuple(
        Evidence(one.label, one.path, facts.head.commit)
        for what in _POLICIES
        for one in files.of(what)[:1]
    )
    yield Insight("documents", title, there, documents or (_head(facts, "none of them", 0),))
    yield _dependencies(facts, files, severity["locks"])
    if files.count("binary"):
        compiled = counted(files.count("binary"), "compiled file is", "compiled files are")
        title = f"{compiled} committed"
        yield _named("binaries", title, facts, "binary", severity)


def _size(facts: Facts, files: Files) -> Insight:
    value = {
        "files": files.files,
        "bytes": files.bytes,
        "links": files.links,
        "submodules": files.submodules,
        "vendored": files.vendored,
        "largest": files.largest and {"path": files.largest.path, "bytes": files.largest.bytes},
    }
    size = "an unknown number of" if files.bytes is None else str(files.bytes)
    evidence = (_head(facts, "files", files.files),)
    title = f"{counted(files.files, 'file', 'files')} with {size} bytes"
    return Insight("size", title, value, evidence)


def _languages(facts: Facts, files: Files) -> Insight:
    languages = files.languages or ()
    whole = sum(one.bytes for one in languages) or 1
    shown = [
        {"name": one.name, "bytes": one.bytes, "files": one.files, "share": one.bytes / whole}
        for one in languages[:_SHOWN]
    ]
    share = round(100 * languages[0].bytes / whole)
    title = f"{share} % of the programs' bytes are {languages[0].name}"
    evidence = (_head(facts, "languages", len(languages)),)
    return Insight("languages", title, {"languages": shown}, evidence)


def _dependencies(facts: Facts, files: Files, severity: Severity) -> Insight:
    value = {
        "manifests": list(files.labels("manifest")),
        "locks": list(files.labels("lock")),
        "updates": list(files.labels("updates")),
    }
    locks = ", ".join(files.labels("lock"))
    title = f"Dependencies are locked by {locks}" if locks else "No lock of dependencies"
    evidence = tuple(
        Evidence(one.label, one.path, facts.head.commit)
        for what in ("manifest", "lock", "updates")
        for one in files.of(what)[:_SHOWN]
    )
    none = (_head(facts, "no manifest of packages", 0),)
    return Insight("dependencies", title, value, evidence or none, severity)


def _named(
    name: str, title: str, facts: Facts, what: Kind, severity: Mapping[str, Severity]
) -> Insight:
    """Files of a kind, by their paths."""
    assert facts.files is not None
    found = facts.files.of(what)[:_SHOWN]
    value = {
        "count": facts.files.count(what),
        "systems": list(facts.files.labels(what)),
        "paths": [one.path for one in found],
    }
    evidence = tuple(Evidence(one.label, one.path, facts.head.commit) for one in found)
    return Insight(
        name, title, value, evidence or (_head(facts, "no such file", 0),), severity[name]
    )


def _limitations(facts: Facts) -> Insight:
    value = {"limitations": [{"why": one.why, "says": one.says} for one in facts.limitations]}
    title = f"{counted(len(facts.limitations), 'limit', 'limits')} to what is known"
    evidence = tuple(Evidence(one.says) for one in facts.limitations)
    return Insight("limitations", title, value, evidence, "notice")


def _quality(quality: Quality) -> Insight:
    outcomes = {one.name: one.outcome for one in quality.checks}
    value = {
        "score": quality.score,
        "known": quality.known,
        "version": quality.version,
        "checks": outcomes,
    }
    score = (
        "Too little is known for a score" if quality.score is None else f"{quality.score} of 100"
    )
    title = f"{score}, with {round(100 * quality.known)} % of what is looked at known"
    evidence = tuple(
        Evidence(f"{one.name}: {one.outcome}", count=one.weight) for one in quality.checks
    )
    return Insight("quality", title, value, evidence)


def _head(facts: Facts, says: str, count: int | None = None) -> Evidence:
    return Evidence(says, commit=facts.head.commit, count=count)


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
