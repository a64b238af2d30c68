from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.analysis.clones import ANN, BEN, CEM, DAY, NOW, Person
from uaitools.insight.analysis.facts import Facts, Head, Limitation
from uaitools.insight.analysis.files import Tree
from uaitools.insight.analysis.history import Commits
from uaitools.insight.analysis.insights import insights
from uaitools.insight.analysis.licenses import License, Told
from uaitools.insight.analysis.releases import Tags
from uaitools.insight.quality import ENOUGH, Check, assess

HEAD = Head("c" * 40, "main", NOW)
NOTHING = Facts(NOW, HEAD, None, None, None, None, ())
WELL = (
    "README.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md",
    "pyproject.toml", "uv.lock", ".github/workflows/ci.yml", "a.py", "tests/test_a.py",
)  # fmt: skip


def with_files(*paths: str, facts: Facts = NOTHING, size: int = 500) -> Facts:
    tree = Tree(1000)
    for path in paths:
        tree.add(b"100644 blob %b %d\t%b" % (b"a" * 40, size, path.encode()))
    return replace(facts, files=tree.files())


def with_commits(*made: tuple[Person, int], facts: Facts = NOTHING) -> Facts:
    commits = Commits(NOW, 1000)
    for (name, email), at in made:
        commits.add((b"a" * 40, b"%d" % at, name, email))
    return replace(facts, history=commits.history())


def with_tags(*lines: bytes, facts: Facts = NOTHING) -> Facts:
    tags = Tags(NOW, 1000)
    for line in lines:
        tags.add(line)
    return replace(facts, releases=tags.releases())


def with_license(told: License, facts: Facts = NOTHING) -> Facts:
    return replace(facts, license=told)


MIT = License("MIT", "", (Told("LICENSE", "text", "MIT"),))
STEADY = [(who, NOW - n * DAY) for n in range(20) for who in (ANN, BEN, CEM)]


def well() -> Facts:
    facts = with_license(MIT, with_files(*WELL))
    return with_tags(b"commit  %d v1.0" % NOW, facts=with_commits(*STEADY, facts=facts))


def check(facts: Facts, name: str) -> Check:
    return next(one for one in assess(facts).checks if one.name == name)


def test_the_weights_are_of_a_hundred() -> None:
    assert sum(one.weight for one in assess(NOTHING).checks) == 100


def test_what_is_well_kept_has_all_points_but_for_who_may_leave() -> None:
    quality = assess(well())

    assert {one.name: one.outcome for one in quality.checks if one.outcome != "pass"} == {
        "bus_factor": "part"  # three people of whom two made half
    }
    assert (quality.score, quality.known) == (95.0, 1.0)


def test_what_is_not_known_is_no_zero() -> None:
    without = replace(well(), history=None, releases=None)

    assert assess(without).score == 100
    assert assess(without).known == 0.7
    assert {check(without, name).outcome for name in ("maintained", "bus_factor", "releases")} == {
        "unknown"
    }


def test_where_too_little_is_known_there_is_no_score() -> None:
    quality = assess(with_commits(*STEADY))

    assert quality.known < ENOUGH
    assert quality.score is None
    assert assess(NOTHING).known == 0


def test_an_empty_tree_fails_and_is_known() -> None:
    quality = assess(with_tags(facts=with_commits((ANN, 5), facts=with_files("x"))))

    assert quality.score is not None
    assert quality.score < 10


def test_an_unknown_check_says_which_limit_it_has() -> None:
    shallow = Limitation("shallow", "the clone is shallow")
    partial = Limitation("partial", "the clone is partial")
    facts = replace(NOTHING, limitations=(shallow, partial))

    assert [one.says for one in check(facts, "maintained").evidence] == ["the clone is shallow"]
    assert [one.says for one in check(facts, "readme").evidence] == ["the clone is partial"]


@pytest.mark.parametrize("facts", [NOTHING, well(), with_files("a.py"), with_commits((ANN, 0))])
def test_every_check_has_evidence_and_says_what_to_do(facts: Facts) -> None:
    for one in assess(facts).checks:
        assert one.evidence
        assert all(evidence.says for evidence in one.evidence)
        assert bool(one.todo) == (one.outcome != "pass")


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (MIT, "pass"),
        (License(None, "unlike any", (Told("LICENSE", "text", None),)), "part"),
        (License(None, "none", ()), "fail"),
        (License(None, "none", (), ("LICENSE",)), "unknown"),
    ],
)
def test_a_license_passes_where_it_is_known(told: License, outcome: str) -> None:
    assert check(with_license(told), "license").outcome == outcome


@pytest.mark.parametrize(
    ("paths", "outcome"),
    [
        (("a.py", "tests/test_a.py"), "pass"),
        ((*(f"{n}.py" for n in range(30)), "test_a.py"), "part"),
        (("a.py",), "fail"),
        (("a.rs",), "unknown"),
        (("a.txt",), "unknown"),
    ],
)
def test_tests_pass_where_there_is_one_for_ten_programs(
    paths: tuple[str, ...], outcome: str
) -> None:
    assert check(with_files(*paths), "tests").outcome == outcome


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        ([(ANN, NOW - n * DAY) for n in range(13)], "pass"),
        ([(ANN, NOW - n * DAY) for n in range(12)], "part"),
        ([(ANN, NOW - 300 * DAY)], "part"),
        ([(ANN, NOW - 400 * DAY)], "fail"),
        ([((b"dependabot[bot]", b""), NOW - n * DAY) for n in range(13)], "fail"),
        ([(ANN, 0)], "unknown"),
        ([(ANN, NOW + 1)], "unknown"),
    ],
)
def test_who_commits_once_a_week_maintains(made: list[tuple[Person, int]], outcome: str) -> None:
    assert check(with_commits(*made), "maintained").outcome == outcome


@pytest.mark.parametrize(
    ("people", "outcome"), [(1, "fail"), (3, "part"), (5, "pass"), (0, "unknown")]
)
def test_three_people_with_half_of_the_commits_are_enough(people: int, outcome: str) -> None:
    made = [((b"p%d" % n, b""), NOW - DAY) for n in range(people) for _ in range(10)]

    assert check(with_commits(*made), "bus_factor").outcome == outcome


def test_few_commits_tell_nothing_of_who_may_leave() -> None:
    assert check(with_commits(*[(ANN, NOW)] * 9), "bus_factor").outcome == "unknown"


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([b"commit  %d v1.0" % NOW], "pass"),
        ([b"commit  %d v1.0" % (NOW - 400 * DAY)], "part"),
        ([b"commit  %d latest" % NOW], "fail"),
        ([], "fail"),
    ],
)
def test_a_version_of_the_last_year_passes(lines: list[bytes], outcome: str) -> None:
    assert check(with_tags(*lines), "releases").outcome == outcome


@pytest.mark.parametrize(
    ("paths", "outcome"),
    [
        (("pyproject.toml", "uv.lock"), "pass"),
        (("package.json", "renovate.json"), "part"),
        (("package.json",), "fail"),
        (("a.py",), "unknown"),
    ],
)
def test_locks_are_asked_for_where_there_are_packages(paths: tuple[str, ...], outcome: str) -> None:
    assert check(with_files(*paths), "locks").outcome == outcome


def test_a_security_policy_of_a_line_is_a_part_of_one() -> None:
    assert check(with_files("SECURITY.md"), "security_policy").outcome == "pass"
    assert check(with_files("SECURITY.md", size=20), "security_policy").outcome == "part"
    assert check(with_files("README.md"), "security_policy").outcome == "fail"


def test_compiled_files_fail_by_their_paths() -> None:
    found = check(with_files("bin/x.exe"), "binaries")

    assert found.outcome == "fail"
    assert "bin/x.exe" in [one.path for one in found.evidence]


FACTS = st.sampled_from(
    [NOTHING, well(), with_files(*WELL), with_files("a.rs"), with_commits(*STEADY), with_tags()]
)


@given(FACTS, FACTS, FACTS)
def test_a_score_is_the_mean_of_what_is_known(files: Facts, history: Facts, tags: Facts) -> None:
    facts = replace(files, history=history.history, releases=tags.releases)
    quality = assess(facts)

    worth = {"pass": 100, "part": 50, "fail": 0}
    known = [(one.weight, worth[one.outcome]) for one in quality.checks if one.outcome in worth]
    weight = sum(weight for weight, _ in known)
    assert quality.known == weight / 100
    if weight < 50:
        assert quality.score is None
    else:
        mean = sum(weight * points for weight, points in known) / weight
        assert quality.score == pytest.approx(mean, abs=0.05)


@given(FACTS, FACTS)
def test_insights_are_of_different_kinds_and_have_evidence(files: Facts, history: Facts) -> None:
    facts = replace(files, history=history.history)
    found = insights(facts, assess(facts))

    kinds = [one.kind for one in found]
    assert len(set(kinds)) == len(kinds)
    assert all(one.evidence and one.title for one in found)
    assert ("activity" in kinds) == (facts.history is not None)
    assert ("tests" in kinds) == (facts.files is not None)


def test_insights_name_people_and_no_addresses() -> None:
    text = repr(insights(well(), assess(well())))

    assert "Ann" in text
    assert "ann@example.org" not in text
