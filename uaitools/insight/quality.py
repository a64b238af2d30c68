"""How well a repository is kept: checks with evidence, made one score. Pure.

Each check looks at facts that `analysis` found, and passes, passes in part, fails, or is unknown.
The score is the mean of the known ones by weight, 100 for a pass and 50 for a part. What is unknown
is left out and makes `known` smaller; below `ENOUGH` there is no score.

What to look at is taken from the OpenSSF Scorecard (License, Security-Policy, CI-Tests, Maintained,
Contributors, Binary-Artifacts), the OpenSSF Best Practices badge (documentation, contributing,
release notes, automated tests) and CHAOSS (Contributor Absence Factor, Release Frequency). Weights
and bounds are our own: Scorecard weighs by risk and asks a hosting service; this reads a clone.
A check that fails says that the commit does not have it: what an organisation keeps elsewhere, or a
server is told, cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from uaitools.insight.analysis.conventions import Kind, systems
from uaitools.insight.analysis.dates import day, days_before
from uaitools.insight.analysis.evidence import Evidence
from uaitools.insight.analysis.facts import Facts
from uaitools.insight.analysis.files import Files, Found
from uaitools.insight.analysis.languages import INLINE

VERSION: Final = 1
"""Of checks, weights and bounds. Scores of different versions do not compare."""
ENOUGH: Final = 0.5
"""The least part of all weight that has to be known for a score."""

Outcome = Literal["pass", "part", "fail", "unknown"]
_WORTH: Final = {"pass": 1.0, "part": 0.5, "fail": 0.0}
_POLICY: Final = 200  # bytes, below which a security policy can hardly say how to report
_TESTED: Final = 0.1  # of programs that are tests
_STEADY: Final = 13  # commits in 13 weeks, one a week; Scorecard asks for as much
_ALL: Final = frozenset({"borrowed", "empty", "unreadable"})
_BEARING: Final = {
    "commits": _ALL | {"shallow"},
    "files": _ALL | {"partial"},
    "releases": _ALL | {"shallow", "untagged"},
}
_TELLING: Final = 10  # commits in a year, below which who made them tells little


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at. todo: what makes it pass; empty if it does."""

    name: str
    weight: int
    outcome: Outcome
    evidence: tuple[Evidence, ...]
    todo: str


@dataclass(frozen=True, slots=True)
class Quality:
    """score: 0 to 100, None if less than `ENOUGH` is known. known: part of all weight, 0 to 1."""

    version: int
    score: float | None
    known: float
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    evidence: tuple[Evidence, ...]


def assess(facts: Facts) -> Quality:
    """The checks of a clone, and their score."""
    checks = []
    for name, weight, judge, todo in _CHECKS:
        verdict = judge(facts)
        told = "" if verdict.outcome == "pass" else todo
        checks.append(Check(name, weight, verdict.outcome, verdict.evidence, told))
    whole = sum(one.weight for one in checks)
    known = [one for one in checks if one.outcome != "unknown"]
    weight = sum(one.weight for one in known)
    score = None
    if weight >= ENOUGH * whole:
        score = round(100 * sum(one.weight * _WORTH[one.outcome] for one in known) / weight, 1)
    return Quality(VERSION, score, round(weight / whole, 3), tuple(checks))


def _license(facts: Facts) -> _Verdict:
    """Known for certain; in part if there is one that is not recognised."""
    told = facts.license
    if told is None:
        return _unknown(facts, "files")
    evidence = [
        Evidence(f"{one.source}: {one.spdx or 'not recognised'}", one.path, facts.head.commit)
        for one in told.told
    ] + [Evidence("cannot be read", path, facts.head.commit) for path in told.unread]
    if told.spdx is not None:
        return _Verdict("pass", (Evidence(told.spdx, commit=facts.head.commit), *evidence))
    outcome: Outcome = "part" if told.told else "unknown" if told.unread else "fail"
    return _Verdict(outcome, (Evidence(told.why, commit=facts.head.commit), *evidence))


def _there(what: Kind) -> Callable[[Facts], _Verdict]:
    """A check that a file of some kind is there."""

    def judge(facts: Facts) -> _Verdict:
        if facts.files is None:
            return _unknown(facts, "files")
        return _has(facts, facts.files, what)

    return judge


def _security(facts: Facts) -> _Verdict:
    """A policy; in part if it is too short to say how to report."""
    if facts.files is None:
        return _unknown(facts, "files")
    verdict = _has(facts, facts.files, "security")
    sizes = [one.bytes for one in facts.files.of("security")]
    short = all(size is not None and size < _POLICY for size in sizes)
    return _Verdict("part", verdict.evidence) if sizes and short else verdict


def _tests(facts: Facts) -> _Verdict:
    """A tenth of the programs are tests; in part if any is."""
    files = facts.files
    if files is None:
        return _unknown(facts, "files")
    says = f"tests among {files.code} programs"
    evidence = (Evidence(says, files.first_test, facts.head.commit, count=files.tests),)
    if files.tests and files.tests >= _TESTED * files.code:
        return _Verdict("pass", evidence)
    if files.tests:
        return _Verdict("part", evidence)
    if files.code == 0:
        return _Verdict("unknown", (*evidence, Evidence("there are no programs to be tested")))
    if files.main in INLINE:
        return _Verdict("unknown", (*evidence, Evidence(f"{files.main} has tests within programs")))
    return _Verdict("fail", evidence)


def _locks(facts: Facts) -> _Verdict:
    """Dependencies are pinned by a tool's lock; unknown without any manifest."""
    files = facts.files
    if files is None:
        return _unknown(facts, "files")
    if not files.count("lock") and not files.count("manifest"):
        return _Verdict("unknown", (Evidence("no manifest of packages", commit=facts.head.commit),))
    verdict = _has(facts, files, "lock")
    if verdict.outcome == "pass":
        return verdict
    kept = _has(facts, files, "updates")
    if kept.outcome == "pass":
        return _Verdict("part", (*verdict.evidence, *kept.evidence))
    return verdict


def _binaries(facts: Facts) -> _Verdict:
    """No compiled program or archive is committed."""
    if facts.files is None:
        return _unknown(facts, "files")
    some = _paths(facts, facts.files.of("binary"))
    count = facts.files.count("binary")
    evidence = Evidence("compiled files", commit=facts.head.commit, count=count)
    return _Verdict("fail" if count else "pass", (evidence, *some))


def _maintained(facts: Facts) -> _Verdict:
    """A commit a week over 13 weeks, by people; in part with any in the last year."""
    if facts.history is None:
        return _unknown(facts, "commits")
    year, last = facts.history.year, facts.history.last_at
    evidence = [Evidence("commits of people in 13 weeks", count=year.quarter)]
    evidence.append(Evidence("commits of people in 52 weeks", count=year.people))
    if last is not None:
        ago = days_before(last, facts.as_of)
        evidence.append(Evidence(f"the last commit is of {day(last)}, {ago} days before"))
    if facts.history.commits == facts.history.undated + facts.history.ahead:
        return _Verdict("unknown", (*evidence, Evidence("no commit has a date that tells")))
    enough = year.quarter >= _STEADY
    return _Verdict("pass" if enough else "part" if year.people else "fail", tuple(evidence))


def _absence(facts: Facts) -> _Verdict:
    """Three people made half of the last year's commits; in part two did."""
    if facts.history is None:
        return _unknown(facts, "commits")
    year = facts.history.year
    evidence = [
        Evidence("commits of people in 52 weeks", count=year.people),
        Evidence("people who made them", count=year.authors),
    ]
    if year.bus_factor is None or year.people < _TELLING:
        few = Evidence(f"fewer than {_TELLING} commits tell too little")
        return _Verdict("unknown", (*evidence, few))
    evidence.append(Evidence("people who made half of them", count=year.bus_factor))
    outcome: Outcome = "pass" if year.bus_factor > 2 else "part" if year.bus_factor > 1 else "fail"
    return _Verdict(outcome, tuple(evidence))


def _releases(facts: Facts) -> _Verdict:
    """A version in the last year; in part if there is any."""
    told = facts.releases
    if told is None:
        return _unknown(facts, "releases")
    evidence = [Evidence("tags that are versions", count=told.versions)]
    evidence.append(Evidence("of the last 52 weeks", count=told.recent))
    evidence += [
        Evidence(f"{one.tag} of {day(one.at)}") for one in told.latest[:1] if one.at is not None
    ]
    outcome: Outcome = "pass" if told.recent else "part" if told.versions else "fail"
    return _Verdict(outcome, tuple(evidence))


def _has(facts: Facts, files: Files, what: Kind) -> _Verdict:
    if files.count(what):
        return _Verdict("pass", _paths(facts, files.of(what)))
    sought = f"none of {', '.join(systems(what))}"
    return _Verdict("fail", (Evidence(sought, commit=facts.head.commit, count=0),))


def _paths(facts: Facts, found: Sequence[Found]) -> tuple[Evidence, ...]:
    return tuple(Evidence(one.label, one.path, facts.head.commit) for one in found[:3])


def _unknown(facts: Facts, what: str) -> _Verdict:
    """Why nothing is known: the limits of the facts that bear on it."""
    why = [Evidence(one.says) for one in facts.limitations if one.why in _BEARING[what]]
    return _Verdict("unknown", tuple(why) or (Evidence(f"the {what} are not known"),))


# Name, weight, how it is judged, and what to do. The weights are of 100.
_CHECKS: Final[tuple[tuple[str, int, Callable[[Facts], _Verdict], str], ...]] = (
    ("license", 10, _license, "keep the unchanged text of one license in LICENSE, or declare it"),
    ("security_policy", 10, _security, "say in SECURITY.md how to report a weakness"),
    ("ci", 12, _there("ci"), "run the tests at each change, and keep how in the repository"),
    ("tests", 12, _tests, "write tests, in files that are known as tests"),
    ("maintained", 14, _maintained, "go on committing, or say that the project rests"),
    ("bus_factor", 10, _absence, "let more people make what few make now"),
    ("releases", 6, _releases, "tag versions as they are released"),
    ("readme", 6, _there("readme"), "say in a README what it is and how to begin"),
    ("changelog", 5, _there("changelog"), "say in CHANGELOG.md what each version changes"),
    ("contributing", 4, _there("contributing"), "say in CONTRIBUTING.md how to take part"),
    ("conduct", 3, _there("conduct"), "say in CODE_OF_CONDUCT.md how people treat each other"),
    ("locks", 4, _locks, "commit the lock of the dependencies"),
    ("binaries", 4, _binaries, "build what is compiled, and commit its sources only"),
)
