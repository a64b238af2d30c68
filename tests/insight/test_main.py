"""The program as a process: its command line, what it says, and its exit statuses."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.insight.analysis.clones import Clone, Commit
from tests.insight.stores import Line, write
from tests.peers.component_program import run_component

run = partial(run_component, "insight")
DAY = date(2024, 2, 11)


async def test_check_validates_and_exits() -> None:
    assert await run("--check", "migrate") == (0, "ok: no file (--config names one)\n", "")


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("migrate",), {"UAITOOLS_INSIGHT__POOL__SIZE": "0"}, "insight.pool.size: "),
        (("migrate",), {"UAITOOLS_INSIGHT__ANALYSIS__FILES": "0"}, "insight.analysis.files: "),
        (("migrate",), {"UAITOOLS_INSIGHT__COLOUR": "red"}, "insight.colour: "),
        (("--listen", "0.0.0.0:0", "migrate"), {}, "others can reach 0.0.0.0:0"),
        (("import",), {}, "KIND"),
        (("import", "csv"), {}, "FILE"),
        (("import", "git", ".", "--as-of", "soon"), {}, "is a day like"),
        (("import", "csv", "x.csv", "--source", ""), {}, "is 1 to 100 characters"),
    ],
)
async def test_what_is_asked_wrongly_is_refused(
    arguments: tuple[str, ...], environ: dict[str, str], expected: str
) -> None:
    status, said, complaint = await run(*arguments, **environ)
    assert (status, said) == (2, "")
    assert expected in complaint
    assert "Traceback" not in complaint


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, DAY, [Line("a/b", 5)])
    url = f"postgresql://nobody@/x?host={tmp_path}"
    status, _, complaint = await run("import", "csv", str(path), DATABASE_URL=url)
    assert status == 1
    assert "the database cannot be reached" in complaint
    assert "Traceback" not in complaint


async def test_files_and_clones_are_imported_into_a_database_of_ones_own(tmp_path: Path) -> None:
    run_here = partial(run, "--data-dir", str(tmp_path / "data"))
    path = write(tmp_path, DAY, [Line("a/b", 5), Line("a/c", -1)])
    status, said, complaint = await run_here("import", "csv", str(path))
    assert (status, said) == (0, "generation 1: 1 files, 1 rows, 1 lines left out\n"), complaint
    assert f"{path}:3: stars: '-1' is no count; left out" in complaint
    assert "Traceback" not in complaint
    status, said, complaint = await run_here("import", "csv", str(path))
    assert (status, said) == (0, "nothing is new\n")
    assert f"{path}: was taken before" in complaint
    clone = Clone.made(tmp_path / "clone").commit(Commit({b"README.md": b"# x\n"}))
    arguments = ("import", "git", str(clone.path), "--as-of", "2026-06-30")
    status, said, complaint = await run_here(*arguments)
    assert (status, said) == (2, "")
    assert complaint.endswith("say whose it is: --name OWNER/NAME\nnothing was imported\n")
    status, said, complaint = await run_here(*arguments, "--name", "a/b")
    assert (status, said) == (0, "generation 2: 1 of 1 clones told more\n"), complaint
    status, said, _ = await run_here("migrate")
    assert (status, said) == (0, "the tables are up to date\n")
    assert not (tmp_path / "data/postgres/data/postmaster.pid").exists()


async def test_bad_files_are_all_told_before_anything_is_begun(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("away-2024-02-11.csv", "no-day.csv")]
    url = f"postgresql://nobody@/x?host={tmp_path}"
    status, said, complaint = await run("import", "csv", *names, DATABASE_URL=url)
    assert (status, said) == (2, "")
    assert f"{names[0]}: No such file or directory\n{names[1]}: its name has not" in complaint
    assert complaint.endswith("nothing was imported\n")
