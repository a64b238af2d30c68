"""Migrations: each once, in order, together with its line; and what is refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.gateways import settled
from tests.peers.postgres import PostgresServer, fresh_database
from uaitools.postgres.database import Database
from uaitools.postgres.errors import MigrationError
from uaitools.postgres.migrations import LOCK, Migration, migrate, outstanding, read

NOTES = "CREATE TABLE notes (id int);"
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MORE = "ALTER TABLE notes ADD text text; INSERT INTO notes VALUES (1, 'a');"


class Package:
    """A package of migrations that tests write."""

    def __init__(self, folder: Path) -> None:
        self.name = f"migrations_{uuid4().hex}"
        self.above = folder
        self.folder = folder / self.name
        self.folder.mkdir()
        (self.folder / "__init__.py").write_text("")

    def write(self, **files: str) -> None:
        for name, sql in files.items():
            (self.folder / f"{name.removeprefix('_')}.sql").write_bytes(sql.encode())

    def read(self) -> list[Migration]:
        return read(self.name)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(tmp_path)
    made = Package(tmp_path)
    yield made
    sys.modules.pop(made.name, None)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Any]:
    connection = await database.owner.connect()
    yield connection
    await connection.close()


async def test_each_is_applied_once_and_in_order(package: Package, owner: Any) -> None:
    package.write(_0002_more=MORE, _0001_notes=NOTES)
    first = await migrate(owner, package.read())
    package.write(_0003_last="DELETE FROM notes")
    second = await migrate(owner, package.read())

    assert [str(one) for one in first] == ["0001_notes.sql", "0002_more.sql"]
    assert [str(one) for one in second] == ["0003_last.sql"]
    assert await migrate(owner, package.read()) == []
    rows = await owner.fetch("SELECT * FROM schema_migrations ORDER BY version")
    assert [(row["version"], row["name"]) for row in rows] == [
        (1, "notes"),
        (2, "more"),
        (3, "last"),
    ]
    assert all(row["applied_at"].tzinfo is not None for row in rows)
    assert await owner.fetchval("SELECT count(*) FROM memory.schema_migrations") == 3


async def test_one_that_fails_is_undone_and_those_before_it_stay(
    package: Package, owner: Any
) -> None:
    package.write(_0001_notes=NOTES, _0002_broken=f"{MORE} SELECT 1/0;")
    with pytest.raises(MigrationError, match=r"0002_broken\.sql failed.*division by zero"):
        await migrate(owner, package.read())
    assert await owner.fetch("SELECT * FROM notes") == []
    package.write(_0002_broken=MORE)

    assert [one.version for one in await migrate(owner, package.read())] == [2]


async def test_one_that_was_changed_afterwards_is_refused(package: Package, owner: Any) -> None:
    package.write(_0001_notes=NOTES, _0002_more=MORE)
    await migrate(owner, package.read())
    package.write(_0001_notes=f"{NOTES} -- better", _0003_last="DROP TABLE notes")
    with pytest.raises(MigrationError, match=r"0001_notes\.sql is not what was applied"):
        await migrate(owner, package.read())

    assert await owner.fetchval("SELECT count(*) FROM notes") == 1


async def test_other_line_ends_are_no_change(package: Package, owner: Any) -> None:
    package.write(_0001_notes="CREATE TABLE notes (\n  id int\n);\n")
    await migrate(owner, package.read())
    package.write(_0001_notes="CREATE TABLE notes (\r\n  id int\r\n);\r\n")

    assert await migrate(owner, package.read()) == []


async def test_a_database_of_a_newer_program_is_refused(package: Package, owner: Any) -> None:
    package.write(_0001_notes=NOTES, _0002_more=MORE)
    await migrate(owner, package.read())
    with pytest.raises(MigrationError, match="at version 2 and this program knows 1"):
        await migrate(owner, package.read()[:1])


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"_0001_a": "", "_0003_c": ""}, "0002 is missing"),
        ({"_0002_b": ""}, "0001 is missing"),
        ({"_0001_a": "", "_0001_b": ""}, "0001_b.sql comes twice"),
        ({"_0001_a": "", "_2_b": ""}, "2_b.sql in .* is not named like"),
    ],
)
def test_a_package_that_is_not_complete_is_refused(
    package: Package, files: dict[str, str], reason: str
) -> None:
    package.write(**files)
    with pytest.raises(MigrationError, match=reason):
        package.read()


async def test_programs_that_start_together_take_turns(
    postgres: PostgresServer, package: Package, database: Database, owner: Any
) -> None:
    package.write(_0001_first=NOTES)
    for number in range(2, 6):
        package.write(
            **{f"_{number:04}_next": "INSERT INTO notes VALUES (1); SELECT pg_sleep(0.05)"}
        )
    dsn = postgres.url(database.owner.arguments["database"], "uaitools_owner")
    await owner.execute(f"SELECT pg_advisory_lock({LOCK})")
    programs = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.postgres.migrating", dsn, package.name, package.above),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]

    async def all_wait() -> bool:
        return bool(await owner.fetchval(WAITING) == 3)

    await settled(all_wait)
    await owner.execute(f"SELECT pg_advisory_unlock({LOCK})")
    said = [(await program.communicate())[0].decode().split() for program in programs]

    assert [program.returncode for program in programs] == [0, 0, 0]
    assert sorted(map(len, said)) == [0, 0, 5]
    owned = await postgres.connect(database.owner.arguments["database"])
    assert await owned.fetchval("SELECT count(*) FROM notes") == 4
    await owned.close()


async def test_databases_with_tables_are_copies_that_keep_apart(
    postgres: PostgresServer, package: Package
) -> None:
    package.write(_0001_notes=NOTES)
    async with (
        fresh_database(postgres, "insight", package.name) as one,
        fresh_database(postgres, "insight", package.name) as other,
    ):
        assert await one.migrate(package.name) == []
        service = await one.service.connect()
        await service.execute("INSERT INTO notes VALUES (1)")
        await service.close()
        service = await other.service.connect()
        assert await service.fetchval("SELECT count(*) FROM insight.notes") == 0
        await service.close()


ALL = [Migration(number, "x", str(number)) for number in range(1, 8)]


@given(st.integers(0, 7), st.integers(0, 7))
def test_what_is_outstanding_is_what_comes_after_the_last(known: int, done: int) -> None:
    applied = {one.version: one.checksum for one in ALL[:done]}
    if done > known:
        with pytest.raises(MigrationError, match="newer"):
            outstanding(ALL[:known], applied)
    else:
        assert outstanding(ALL[:known], applied) == ALL[done:known]


@given(st.integers(2, 7), st.data())
def test_a_hole_in_what_was_applied_is_refused(done: int, data: st.DataObject) -> None:
    applied = {one.version: one.checksum for one in ALL[:done]}
    del applied[data.draw(st.integers(1, done - 1))]
    with pytest.raises(MigrationError, match="was never applied"):
        outstanding(ALL, applied)
