"""Clones against what plain git says of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uaitools
from tests.insight.analysis.clones import (
    ANN,
    AS_OF,
    BEN,
    CEM,
    DAY,
    NOW,
    Clone,
    Commit,
    Person,
    count,
    git,
    shortlog,
)
from uaitools.insight.analysis.analyse import Analysis, analyse
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.analysis.errors import GitMissing, NotAClone
from uaitools.insight.analysis.history import History
from uaitools.insight.analysis.origin import Origin

BOT: Person = (b"dependabot[bot]", b"49699333+dependabot[bot]@users.noreply.github.com")


def known(analysis: Analysis) -> History:
    assert analysis.facts.history is not None
    return analysis.facts.history


def counted(history: History) -> Counter[tuple[str, str]]:
    return Counter({(one.name, one.email): one.commits for one in history.authors})


def why(analysis: Analysis) -> list[str]:
    return [one.why for one in analysis.facts.limitations]


PEOPLE = st.sampled_from([ANN, BEN, CEM, BOT, (b"ann", b"Ann@Example.org"), (b"Ann", b"a@b.c")])
HISTORIES = st.lists(
    st.tuples(PEOPLE, st.integers(1, NOW + 400 * DAY), st.booleans()), min_size=1, max_size=30
)
MAILMAPS = st.sampled_from(
    [
        b"",
        b"Ann Lee <ann@example.org>\n",
        b"Ann Lee <l@x.y> <ann@example.org>\nB <ben@example.org>\n",
    ]
)


@settings(max_examples=25)
@given(made=HISTORIES, mailmap=MAILMAPS)
async def test_commits_and_authors_are_those_of_rev_list_and_shortlog(
    made: list[tuple[Person, int, bool]], mailmap: bytes
) -> None:
    commits = [
        Commit({b"n": b"%d" % number}, who, at, [number - 1] if merges and number > 2 else ())
        for number, (who, at, merges) in enumerate(made, start=1)
    ]
    commits.append(Commit({b".mailmap": mailmap or None}))
    with TemporaryDirectory() as directory:
        clone = Clone.made(Path(directory)).commit(*commits)
        clone.git("reset", "--quiet", "--hard")  # .mailmap is read from the files by plain git

        history = known(await analyse(clone.path, AS_OF))

        assert history.commits == count(clone.path)
        assert counted(history) == shortlog(clone.path)
        assert history.ahead == sum(one.at > NOW for one in commits)
        assert history.year.commits == sum(NOW - 364 * DAY < one.at <= NOW for one in commits)


async def test_this_project_has_the_history_that_git_says() -> None:
    top = Path(uaitools.__file__).parent.parent
    if not (top / ".git").exists():
        pytest.skip("the sources stand in no clone, so that there is no history of them to compare")

    analysis = await analyse(top, AS_OF)

    assert analysis.facts.head.commit == git(top, "rev-parse", "HEAD").decode().strip()
    if git(top, "rev-parse", "--is-shallow-repository").strip() == b"true":
        assert analysis.facts.history is None
        assert "shallow" in why(analysis)
    else:
        assert known(analysis).commits == count(top) > 0
        assert counted(known(analysis)) == shortlog(top)
    assert analysis.facts.files is not None
    assert (
        analysis.facts.files.files == len(git(top, "ls-tree", "-r", "-z", "HEAD").split(b"\0")) - 1
    )
    assert analysis.facts.license is not None
    assert analysis.facts.license.spdx == "Apache-2.0"


async def test_an_analysis_is_the_same_each_time_and_is_json(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(
        Commit({b"README.md": b"x", b"a.py": b"y"}), Commit(who=BEN)
    )
    clone.tag("v1.0")

    first, second = await analyse(tmp_path, AS_OF), await analyse(tmp_path, AS_OF)

    assert orjson.dumps(first) == orjson.dumps(second)
    assert first == second


async def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        await analyse(tmp_path, datetime(2026, 1, 1))  # noqa: DTZ001 - which is refused


async def test_what_is_not_committed_does_not_count(tmp_path: Path) -> None:
    Clone.made(tmp_path).commit(Commit({b"a.py": b"x"}))
    (tmp_path / "SECURITY.md").write_text("y" * 300)

    files = (await analyse(tmp_path, AS_OF)).facts.files

    assert files is not None
    assert (files.files, files.count("security")) == (1, 0)


async def test_a_shallow_clone_has_unknown_counts_and_no_small_ones(tmp_path: Path) -> None:
    whole = Clone.made(tmp_path / "whole").commit(*(Commit({b"a.py": b"%d" % n}) for n in range(9)))
    whole.tag("v1.0")
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{whole.path}", "cut")

    analysis = await analyse(tmp_path / "cut", AS_OF)

    assert analysis.facts.history is None
    assert analysis.facts.releases is None
    assert analysis.facts.head.at == NOW - DAY
    assert why(analysis) == ["shallow"]
    unknown = {one.name for one in analysis.quality.checks if one.outcome == "unknown"}
    assert {"maintained", "bus_factor", "releases"} <= unknown
    assert {
        one.kind: one.value["commits"] for one in analysis.insights if one.kind == "commits"
    } == {"commits": None}


async def test_a_clone_without_commits_has_nothing_and_no_score(tmp_path: Path) -> None:
    Clone.made(tmp_path)

    analysis = await analyse(tmp_path, AS_OF)

    assert analysis.facts.head.commit is None
    assert analysis.facts.head.branch == "main"
    assert why(analysis) == ["empty"]
    assert analysis.quality.score is None
    assert analysis.quality.known == 0
    assert [one.kind for one in analysis.insights] == ["limitations", "quality"]


async def test_a_bare_clone_tells_what_the_other_does(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path / "a").commit(Commit({b"README": b"x"}), Commit(who=BEN))
    git(tmp_path, "clone", "--quiet", "--bare", str(clone.path), "b.git")

    first, second = await analyse(clone.path, AS_OF), await analyse(tmp_path / "b.git", AS_OF)

    assert second.facts == first.facts


async def test_a_detached_head_is_analysed_where_it_is(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(*(Commit({b"a": b"%d" % n}) for n in range(5)))
    clone.git("checkout", "--quiet", "HEAD~2")

    analysis = await analyse(tmp_path, AS_OF)

    assert known(analysis).commits == 3 == count(tmp_path)
    assert analysis.facts.head.branch is None
    assert why(analysis) == ["detached"]


async def test_a_worktree_is_analysed_by_its_own_head(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path / "main").commit(*(Commit({b"a": b"%d" % n}) for n in range(4)))
    clone.git("worktree", "add", "--quiet", "-b", "side", "../side", "HEAD~1")

    analysis = await analyse(tmp_path / "side", AS_OF)

    assert analysis.facts.head.branch == "side"
    assert known(analysis).commits == 3 == count(tmp_path / "side")


async def test_a_part_of_a_clone_is_refused_by_the_name_of_the_whole(tmp_path: Path) -> None:
    Clone.made(tmp_path / "top").commit(Commit())
    (tmp_path / "top" / "src").mkdir()

    with pytest.raises(NotAClone, match=r"name .*/top$"):
        await analyse(tmp_path / "top" / "src", AS_OF)


@pytest.mark.parametrize("name", ["nothing", "file", "empty", "a\0b"])
async def test_what_is_no_clone_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(NotAClone):
        await analyse(f"{tmp_path}/{name}", AS_OF)


async def test_names_of_sha256_are_read(tmp_path: Path) -> None:
    Clone.made(tmp_path, "--object-format=sha256").commit(Commit({b"LICENSE": b"x"}))

    analysis = await analyse(tmp_path, AS_OF)

    assert len(analysis.facts.head.commit or "") == 64
    assert known(analysis).commits == 1
    assert analysis.facts.license is not None
    assert [one.path for one in analysis.facts.license.told] == ["LICENSE"]


async def test_packed_refs_and_objects_are_read(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(*(Commit({b"a": b"%d" % n}) for n in range(3)))
    clone.tag("v1.0", NOW - DAY)
    clone.git("gc", "--quiet")
    clone.git("pack-refs", "--all")

    analysis = await analyse(tmp_path, AS_OF)

    assert known(analysis).commits == 3
    assert analysis.facts.releases is not None
    assert analysis.facts.releases.versions == 1


async def test_a_clone_that_left_tags_out_has_unknown_releases(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path / "a").commit(Commit({b"a": b"x"}))
    clone.tag("v1.0")
    git(tmp_path, "clone", "--quiet", "--no-tags", str(clone.path), "b")

    analysis = await analyse(tmp_path / "b", AS_OF)

    assert analysis.facts.releases is None
    assert why(analysis) == ["untagged"]
    assert known(analysis).commits == 1


async def test_a_partial_clone_has_unknown_bytes_and_fetches_nothing(tmp_path: Path) -> None:
    whole = Clone.made(tmp_path / "whole").commit(Commit({b"LICENSE": b"x" * 99, b"a.py": b"y"}))
    whole.configure("[uploadpack]\n allowFilter = true\n")
    options = ("--quiet", "--bare", "--filter=blob:none")
    git(tmp_path, "clone", *options, f"file://{whole.path}", "part")

    analysis = await analyse(tmp_path / "part", AS_OF)

    files = analysis.facts.files
    assert files is not None
    assert (files.files, files.bytes, files.unsized, files.languages) == (2, None, 2, None)
    assert analysis.facts.license is not None
    assert analysis.facts.license.unread == ("LICENSE",)
    assert known(analysis).commits == 1
    assert why(analysis) == ["partial"]
    check = next(one for one in analysis.quality.checks if one.name == "license")
    assert check.outcome == "unknown"
    missing = git(tmp_path / "part", "rev-list", "--objects", "--missing=print", "HEAD")
    assert missing.count(b"\n?") == 2


async def test_tags_are_told_apart_as_git_does(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(Commit({b"a": b"x"}, at=NOW - 200 * DAY))
    clone.tag("v1.0")
    clone.tag("v1.1", NOW - 40 * DAY, "-a", "-m", "x")
    clone.tag("v1.2rc1", NOW - 20 * DAY, "-a", "-m", "x")
    clone.tag("nightly")
    clone.git("tag", "v9.9", clone.object("blob", b"no commit"))

    releases = (await analyse(tmp_path, AS_OF)).facts.releases

    assert releases is not None
    assert (releases.tags, releases.versions) == (5, 3)
    assert (releases.annotated, releases.prereleases) == (2, 1)
    assert [one.tag for one in releases.latest] == ["v1.2rc1", "v1.1", "v1.0"]
    assert releases.latest[-1].at == NOW - 200 * DAY
    assert releases.median_gap == 90


@pytest.mark.parametrize(
    "address",
    ["https://bot:s3cret@GitHub.com/owner/name.git", "git@github.com:owner/name.git"],
)
async def test_an_origin_is_told_without_its_secrets(tmp_path: Path, address: str) -> None:
    clone = Clone.made(tmp_path).commit(Commit())
    clone.git("remote", "add", "origin", address)

    analysis = await analyse(tmp_path, AS_OF)

    assert analysis.origin == Origin("github.com", "owner/name")
    assert b"s3cret" not in orjson.dumps(analysis)


async def test_a_file_that_is_too_long_is_not_read_and_the_license_unknown(tmp_path: Path) -> None:
    Clone.made(tmp_path).commit(Commit({b"LICENSE": b"x" * 5000}))

    analysis = await analyse(tmp_path, AS_OF, AnalysisConfig(text=4096))

    assert analysis.facts.license is not None
    assert analysis.facts.license.unread == ("LICENSE",)
    assert analysis.facts.license.spdx is None


async def test_without_git_the_caller_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clone.made(tmp_path).commit(Commit())
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitMissing, match="install git"):
        await analyse(tmp_path, AS_OF)
