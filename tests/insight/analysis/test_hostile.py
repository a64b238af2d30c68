"""Clones made by somebody who wants to run a program, read other files or never let us end.

Where plain git falls into a trap, the test shows that first: a trap that does not work proves
nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from tests.insight.analysis.clones import (
    AS_OF,
    BEN,
    DAY,
    NOW,
    Clone,
    Commit,
    count,
)
from uaitools.insight.analysis.analyse import Analysis, analyse
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.analysis.errors import NotAClone, Unreadable
from uaitools.insight.analysis.facts import Facts
from uaitools.tasks import spawn

SIGNED = b"""tree %b
author Ann <ann@example.org> %d +0000
committer Ann <ann@example.org> %d +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 x
 -----END PGP SIGNATURE-----

signed
"""


class Trap:
    """A program that leaves a mark if anybody starts it."""

    def __init__(self, directory: Path) -> None:
        self.mark = directory / "sprung"
        self.program = directory / "trap"
        self.program.write_text(f"#!/bin/sh\ntouch '{self.mark}'\nexit 1\n")
        self.program.chmod(0o755)

    def springs(self, path: Path, *command: str) -> bool:
        """Whether plain git falls into it; it is set again."""
        subprocess.run(
            ["git", "-C", str(path), *command],
            check=False,
            capture_output=True,
            env={"PATH": os.environ["PATH"], "HOME": str(path), "GIT_CONFIG_NOSYSTEM": "1"},
        )
        sprung = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        return sprung


def unreadable(facts: Facts) -> list[str]:
    return [one.says for one in facts.limitations if one.why == "unreadable"]


async def test_nothing_that_the_configuration_names_is_started(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    clone = Clone.made(tmp_path / "clone").commit(
        Commit({b"a.py": b"x", b".gitattributes": b"* diff=trap filter=trap\n"})
    )
    tree = clone.git("rev-parse", "HEAD^{tree}").strip()
    clone.raw_commit(SIGNED % (tree, NOW, NOW))
    clone.git("reset", "--quiet", "--mixed")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (hooks / hook).symlink_to(trap.program)
        (clone.path / ".git" / "hooks").mkdir(exist_ok=True)
        (clone.path / ".git" / "hooks" / hook).symlink_to(trap.program)
    (clone.path / "a.py").write_text("changed")
    clone.configure(f"""
[core]
    fsmonitor = {trap.program}
    pager = {trap.program}
    editor = {trap.program}
    askPass = {trap.program}
    sshCommand = {trap.program}
    gitProxy = {trap.program}
    hooksPath = {hooks}
    alternateRefsCommand = {trap.program}
[log]
    showSignature = true
[gpg]
    program = {trap.program}
[pager]
    log = {trap.program}
    ls-tree = true
[alias]
    log = !{trap.program}
    rev-parse = !{trap.program}
[diff]
    external = {trap.program}
[diff "trap"]
    textconv = {trap.program}
    command = {trap.program}
[filter "trap"]
    clean = {trap.program}
    smudge = {trap.program}
    process = {trap.program}
    required = true
[credential]
    helper = {trap.program}
[uploadpack]
    packObjectsHook = {trap.program}
""")
    assert trap.springs(clone.path, "log", "-1")  # verifies the signature
    assert trap.springs(clone.path, "status")  # asks the monitor

    analysis = await analyse(clone.path, AS_OF)

    assert not trap.mark.exists()
    assert analysis.facts.history is not None
    assert analysis.facts.history.commits == 1
    assert analysis.facts.limitations == ()


async def test_what_is_missing_is_not_fetched_by_a_program_of_the_clone(tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    clone = Clone.made(tmp_path / "clone").commit(Commit({b"LICENSE": b"x"}))
    blob = clone.git("rev-parse", "HEAD:LICENSE").decode().strip()
    _loosen(clone)
    (clone.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    clone.configure(f"""
[core]
    repositoryFormatVersion = 1
[extensions]
    partialClone = origin
[protocol]
    allow = always
[remote "origin"]
    url = file://{clone.path}
    promisor = true
    uploadpack = {trap.program}
""")
    assert trap.springs(clone.path, "cat-file", "-p", blob)

    analysis = await analyse(clone.path, AS_OF)

    assert not trap.mark.exists()
    assert analysis.facts.files is not None
    assert analysis.facts.files.bytes is None
    assert analysis.facts.license is not None
    assert analysis.facts.license.unread == ("LICENSE",)


async def test_what_the_caller_is_set_to_does_not_reach_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Trap(tmp_path)
    clone = Clone.made(tmp_path / "clone").commit(Commit({b"a": b"x"}))
    other = Clone.made(tmp_path / "other").commit(Commit(), Commit())
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.pager")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(trap.program))
    monkeypatch.setenv("GIT_PAGER", str(trap.program))

    analysis = await analyse(clone.path, AS_OF)

    assert analysis.facts.history is not None
    assert analysis.facts.history.commits == 1
    assert not trap.mark.exists()


async def test_a_configuration_that_includes_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path / "clone").commit(Commit())
    os.mkfifo(tmp_path / "pipe")
    clone.configure(f"[include]\n path = {tmp_path / 'pipe'}\n")

    analysis = await analyse(clone.path, AS_OF, AnalysisConfig(seconds=20))

    assert analysis.facts.history is not None


async def test_a_clone_of_another_owner_is_read_without_trust(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a clone to somebody else")
    clone = Clone.made(tmp_path / "clone").commit(Commit({b"a": b"x"}))
    for path in (clone.path, *clone.path.rglob("*")):
        os.chown(path, 65_534, 65_534)
    with pytest.raises(AssertionError, match="dubious ownership"):
        clone.git("rev-list", "--count", "HEAD")

    analysis = await analyse(clone.path, AS_OF)

    assert analysis.facts.history is not None
    assert analysis.facts.history.commits == 1


def _replace_refs(clone: Path, other: Path) -> None:
    for ref in (clone / "refs" / "heads").iterdir():
        ref.unlink()
    (clone / "refs" / "heads").rmdir()
    (clone / "refs" / "heads").symlink_to(other / "refs" / "heads")


def _replace_objects(clone: Path, other: Path) -> None:
    (clone / "objects").rename(clone / "own")
    (clone / "objects").symlink_to(other / "objects")


def _link_pack(clone: Path, other: Path) -> None:
    (clone / "objects" / "pack" / "x.pack").symlink_to(other / "objects" / "pack" / "y.pack")


def _pipe(clone: Path, _: Path) -> None:
    os.mkfifo(clone / "refs" / "heads" / "pipe")


def _pipe_as_head(clone: Path, _: Path) -> None:
    (clone / "HEAD").unlink()
    os.mkfifo(clone / "HEAD")


def _endless_refs(clone: Path, _: Path) -> None:
    (clone / "refs" / "tags" / "v1.0").symlink_to("/dev/zero")


def _packed_refs(clone: Path, other: Path) -> None:
    (clone / "packed-refs").symlink_to(other / "packed-refs")


def _worktree(clone: Path, other: Path) -> None:
    (clone / "commondir").write_text(f"{other}\n")


def _odd_head(clone: Path, _: Path) -> None:
    (clone / "HEAD").write_text("ref: ../../other/.git/HEAD\n")


def _odd_config(clone: Path, _: Path) -> None:
    (clone / "config").write_bytes(b"[core]\n x = y\n" * 90_000)


@pytest.mark.parametrize(
    "changed",
    [
        _replace_refs,
        _replace_objects,
        _link_pack,
        _pipe,
        _pipe_as_head,
        _endless_refs,
        _packed_refs,
        _worktree,
        _odd_head,
        _odd_config,
    ],
)
async def test_data_that_is_not_the_clones_own_is_refused(
    tmp_path: Path, changed: Callable[[Path, Path], None]
) -> None:
    clone = Clone.made(tmp_path / "clone").commit(Commit({b"a": b"x"}))
    other = Clone.made(tmp_path / "other").commit(Commit({b"secret": b"y"}))
    other.git("pack-refs", "--all")
    changed(clone.path / ".git", other.path / ".git")

    with pytest.raises(NotAClone):
        await analyse(clone.path, AS_OF)


async def test_a_link_to_anothers_git_directory_is_not_followed(tmp_path: Path) -> None:
    other = Clone.made(tmp_path / "other").commit(Commit({b"secret": b"y"}))
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / ".git").write_text(f"gitdir: {other.path / '.git'}\n")
    assert count(tmp_path / "clone") == 1  # plain git follows

    with pytest.raises(NotAClone, match="elsewhere"):
        await analyse(tmp_path / "clone", AS_OF)


async def test_borrowed_objects_are_not_read(tmp_path: Path) -> None:
    other = Clone.made(tmp_path / "other").commit(Commit({b"secret": b"y"}))
    clone = Clone.made(tmp_path / "clone")
    alternates = clone.path / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{other.path / '.git' / 'objects'}\n")
    head = other.git("rev-parse", "HEAD")
    (clone.path / ".git" / "refs" / "heads" / "main").write_bytes(head)
    assert count(clone.path) == 1  # plain git borrows

    facts = (await analyse(clone.path, AS_OF)).facts

    assert (facts.history, facts.files, facts.license) == (None, None, None)
    assert "borrowed" in [one.why for one in facts.limitations]


async def test_replaced_commits_and_grafts_do_not_count(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(*(Commit({b"a": b"%d" % n}) for n in range(6)))
    clone.git("replace", "--graft", "HEAD~3")
    assert count(tmp_path) == 4  # plain git is told that history begins there

    history = (await analyse(tmp_path, AS_OF)).facts.history

    assert history is not None
    assert history.commits == 6


async def test_odd_commits_are_counted_and_told_apart(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path)
    tree = clone.object("tree", b"")
    parent = b""
    for who, at in [
        (b"Ann <ann@example.org>", b"0"),
        (b"\x1b[31mRed\x07 <r@x>", b"%d" % (NOW - DAY)),
        (b"\xff\xfe no UTF-8 <b@x>", b"%d" % (NOW - DAY)),
        (b"\xe2\x80\xaeevil <e@x>", b"4102444800"),
        (b"Ann <ann@example.org>", b"99999999999999999999999"),
        (b"Ann <ann@example.org>", b"-5"),
        (b"Ann <ann@example.org>", b"never"),
        (b"<>", b"1"),
        (b"no address at all", b"1"),
        (b"a <b> <c>", b"%d" % (NOW - DAY)),
    ]:
        line = b"%b %b +0000" % (who, at)
        data = b"tree %b\n%bauthor %b\ncommitter %b\n\nx\n" % (tree.encode(), parent, line, line)
        parent = b"parent %b\n" % clone.raw_commit(data).encode()

    analysis = await analyse(tmp_path, AS_OF)

    history = analysis.facts.history
    assert history is not None
    assert history.commits == count(tmp_path) == 10
    assert sum(one.commits for one in history.authors) == 10
    assert (history.undated + history.ahead) >= 4
    assert history.year.commits == 3
    assert "undated" in [one.why for one in analysis.facts.limitations]
    _storable(analysis)


async def test_odd_names_of_files_are_shown_harmless(tmp_path: Path) -> None:
    names = [
        b"a\nb.py",
        b"\xff\xfe.py",
        b"\x1b[2J.py",
        b'"quoted".py',
        b"tests/\t.py",
        b"\xe2\x80\xae.py",
    ]
    Clone.made(tmp_path).commit(Commit(dict.fromkeys(names, b"x")))

    analysis = await analyse(tmp_path, AS_OF)

    assert analysis.facts.files is not None
    assert (analysis.facts.files.files, analysis.facts.files.code) == (6, 6)
    _storable(analysis)


async def test_links_and_submodules_are_not_followed(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(
        Commit(
            {b"LICENSE": b"/etc/passwd", b"SECURITY.md": b"a" * 40, b"README": b"x"},
            modes={b"LICENSE": b"120000", b"SECURITY.md": b"160000"},
        )
    )

    facts = (await analyse(clone.path, AS_OF)).facts

    assert facts.files is not None
    assert (facts.files.files, facts.files.links, facts.files.submodules) == (1, 1, 1)
    assert facts.files.count("license") == facts.files.count("security") == 0


async def test_a_tree_of_trees_ends_at_the_bound_and_the_rest_is_known(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path)
    name = clone.object("blob", b"x")
    mode = b"100644"
    for _ in range(10):  # ten thousand million files
        entries = (b"%b %d\0%b" % (mode, n, bytes.fromhex(name)) for n in range(10))
        name, mode = clone.object("tree", b"".join(entries)), b"40000"
    line = b"Ann <ann@example.org> %d +0000" % NOW
    clone.raw_commit(b"tree %b\nauthor %b\ncommitter %b\n\nx" % (name.encode(), line, line))

    facts = (await analyse(tmp_path, AS_OF, AnalysisConfig(files=1000))).facts

    assert facts.files is None
    assert facts.license is None
    assert "more than 1000 files" in unreadable(facts)[0]
    assert facts.history is not None
    assert facts.history.commits == 1


async def test_an_object_that_would_fill_the_memory_is_unknown(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(Commit({b"a": b"x"}))
    head = clone.git("rev-parse", "HEAD").strip()
    tagger = b"tagger A <a> 1 +0000"
    tag = clone.object(
        "tag", b"object %b\ntype commit\ntag v1.0\n%b\n\n" % (head, tagger) + bytes(96 << 20)
    )
    (tmp_path / ".git" / "refs" / "tags" / "v1.0").write_text(f"{tag}\n")

    free = (await analyse(tmp_path, AS_OF)).facts
    bound = (await analyse(tmp_path, AS_OF, AnalysisConfig(memory=64 << 20))).facts

    assert free.releases is not None
    assert bound.releases is None
    assert "releases cannot be read" in unreadable(bound)[0]
    assert bound.history is not None


@pytest.mark.parametrize(
    ("bound", "what"),
    [
        (AnalysisConfig(authors=1), "commits cannot be read: there are more than 1 authors"),
        (AnalysisConfig(tags=1), "releases cannot be read: there are more than 1 tags"),
        (AnalysisConfig(output=100), "files cannot be read: git says more than 100 bytes"),
    ],
)
async def test_what_is_beyond_a_bound_is_unknown(
    tmp_path: Path, bound: AnalysisConfig, what: str
) -> None:
    clone = Clone.made(tmp_path).commit(
        Commit({b"%d.py" % n: b"x" for n in range(9)}), Commit(who=BEN)
    )
    clone.tag("v1.0")
    clone.tag("v1.1")

    assert what in unreadable((await analyse(tmp_path, AS_OF, bound)).facts)


async def test_more_files_of_data_than_the_bound_are_refused(tmp_path: Path) -> None:
    Clone.made(tmp_path).commit(*(Commit({b"a": b"%d" % n}) for n in range(5)))

    with pytest.raises(NotAClone, match="more than 5 files"):
        await analyse(tmp_path, AS_OF, AnalysisConfig(entries=5))


async def test_broken_objects_are_unknown_and_no_zero(tmp_path: Path) -> None:
    clone = Clone.made(tmp_path).commit(Commit({b"a": b"x"}), Commit({b"b": b"y"}))
    parent = clone.git("rev-parse", "HEAD~1").decode().strip()
    _loosen(clone)
    (tmp_path / ".git" / "objects" / parent[:2] / parent[2:]).unlink()

    facts = (await analyse(tmp_path, AS_OF)).facts

    assert facts.history is None
    assert "commits cannot be read" in unreadable(facts)[0]
    assert facts.files is not None
    assert facts.files.files == 2


def _loosen(clone: Clone) -> None:
    """Put each object in a file of its own."""
    packs = clone.path / ".git" / "objects" / "pack"
    for pack in packs.glob("*.pack"):
        data = pack.read_bytes()
        for part in packs.glob(f"{pack.stem}.*"):
            part.unlink()
        clone.git("unpack-objects", "-q", sent=data)


class Stalling:
    """A program called git that says who it is and then sleeps."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pipe = directory / "pid"
        os.mkfifo(self._pipe)
        program = directory / "git"
        program.write_text(f"#!/bin/sh\necho $$ > '{self._pipe}'\nexec sleep 600\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    async def pid(self) -> int:
        """Waits until it runs."""
        return int(await asyncio.to_thread(self._pipe.read_text))


def lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_a_git_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.made(tmp_path / "clone").commit(Commit())
    stalling = Stalling(tmp_path, monkeypatch)

    task = spawn(analyse(clone.path, AS_OF, AnalysisConfig(seconds=2)), name="stalled")
    pid = await stalling.pid()
    with pytest.raises(Unreadable, match="took more than 2 s"):
        await task

    assert not lives(pid)


async def test_an_analysis_that_is_given_up_leaves_no_git_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.made(tmp_path / "clone").commit(Commit())
    stalling = Stalling(tmp_path, monkeypatch)

    task = spawn(analyse(clone.path, AS_OF), name="given up")
    pid = await stalling.pid()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not lives(pid)


def _storable(analysis: Analysis) -> None:
    """It is JSON that PostgreSQL takes, and no text has what cannot be seen."""
    text = orjson.dumps(analysis).decode()
    assert "\\u0000" not in text
    assert _all_printable(orjson.loads(text))


def _all_printable(value: object) -> bool:
    match value:
        case str():
            return value.isprintable()
        case list():
            return all(map(_all_printable, value))
        case dict():
            return all(_all_printable(one) for pair in value.items() for one in pair)
        case _:
            return True
