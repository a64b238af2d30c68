"""The store of a registry that is alone: what its journal keeps, and what is when it cannot."""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.registry.store.conformance import instance
from uaitools.errors import ServiceError
from uaitools.registry.errors import Full, Unavailable
from uaitools.registry.events import (
    Beat,
    Change,
    Deregister,
    Drain,
    Event,
    Maintain,
    Observed,
    Pass,
    Register,
    Silence,
)
from uaitools.registry.evidence import Word
from uaitools.registry.snapshot import dump
from uaitools.registry.store import journal
from uaitools.registry.store.embedded import FILE, EmbeddedStore
from uaitools.registry.store.port import StoreError
from uaitools.registry.table import TablePolicy

NAMES = st.sampled_from("abcd")
GENERATIONS = st.integers(1, 12)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        lambda name, service, version: Register(instance(name, service, version=version)),
        NAMES,
        st.sampled_from(("api", "web")),
        st.sampled_from("12"),
    ),
    st.builds(Deregister, NAMES, st.none() | GENERATIONS),
    st.builds(Change, NAMES, st.none() | st.integers(0, 9)),
    st.builds(Maintain, NAMES, st.sampled_from((None, "disk"))),
    st.builds(Drain, NAMES, st.sampled_from((None, 5.0, 30.0))),
    st.builds(Beat, NAMES, GENERATIONS),
    st.builds(Silence, NAMES, GENERATIONS, st.sampled_from(("", "together"))),
    st.builds(Observed, NAMES, GENERATIONS, st.sampled_from(Word), st.just("5xx")),
    st.just(Pass()),
)


async def reopened(directory: Path) -> dict[str, Any]:
    store = EmbeddedStore(directory)
    await store.start()
    await store.stop()
    return dump(store.table)


@settings(max_examples=60)
@given(st.lists(st.tuples(EVENTS, st.floats(0.0, 2.9)), max_size=40), st.booleans())
def test_what_is_read_from_the_journal_is_the_table_that_wrote_it(
    events: list[tuple[Event, float]], compact: bool
) -> None:
    async def run(directory: Path) -> None:
        now = 0.0
        store = EmbeddedStore(directory, clock=lambda: now)
        await store.start()
        for number, (event, pause) in enumerate(events):
            now += pause
            with suppress(ServiceError):
                await store.append(event)
            if compact and number == len(events) // 2:
                store._journal.begin()  # type: ignore[union-attr]  # noqa: SLF001
        await store.stop()
        assert await reopened(directory) == dump(store.table)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


async def test_a_killed_process_loses_nothing_that_it_has_answered(tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from tests.registry.store.conformance import instance
from uaitools.registry.events import Register
from uaitools.registry.store.embedded import EmbeddedStore

async def run():
    store = EmbeddedStore(Path({str(tmp_path)!r}))
    await store.start()
    for number in range(100_000):
        await store.append(Register(instance(f"i-{{number}}")))
        print(number, flush=True)

asyncio.run(run())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    last = b""
    while last != b"200\n":
        last = await process.stdout.readline()
        assert last
    with pytest.raises(StoreError, match="another registry uses"):
        await EmbeddedStore(tmp_path).start()
    process.kill()
    answered = (await process.communicate())[0].count(b"\n") + 200

    store = EmbeddedStore(tmp_path)
    await store.start()
    assert len(store.table) >= answered
    await store.stop()


async def written(directory: Path, *names: str) -> Path:
    store = EmbeddedStore(directory)
    await store.start()
    for name in names:
        await store.append(Register(instance(name)))
    await store.stop()
    return directory / FILE


async def test_of_a_torn_last_line_nothing_is_believed(tmp_path: Path) -> None:
    file = await written(tmp_path, "a", "b")
    file.write_bytes(file.read_bytes()[:-20])
    assert [e["instance"]["id"] for e in (await reopened(tmp_path))["entries"]] == ["a"]
    assert len((await reopened(tmp_path))["entries"]) == 1  # and it is gone from the file


@pytest.mark.parametrize("line", [0, 1])
async def test_a_damaged_journal_is_refused_and_says_what_to_do(tmp_path: Path, line: int) -> None:
    file = await written(tmp_path, "a", "b", "c")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line] = b"{damaged\n"
    file.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match="move it away"):
        await EmbeddedStore(tmp_path).start()
    with pytest.raises(StoreError, match="move it away"):  # and nobody has kept the lock
        await EmbeddedStore(tmp_path).start()


async def test_a_journal_of_another_shape_is_refused_with_its_name(tmp_path: Path) -> None:
    file = await written(tmp_path, "a")
    file.write_bytes(file.read_bytes().replace(b'"walls"', b'"other"'))
    with pytest.raises(StoreError, match=rf"^{file} cannot be understood .* move it away"):
        await EmbeddedStore(tmp_path).start()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may become larger; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_changes_until_there_is_room_again(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    await store.start()
    await store.append(Register(instance("a")))
    with full_disk((tmp_path / FILE).stat().st_size + 10), pytest.raises(Unavailable):
        await store.append(Register(instance("b")))
    assert store.failing
    assert "b" not in store.table.entries
    await store.append(Register(instance("c")))
    await store.beat()
    assert not store.failing
    await store.stop()
    assert await reopened(tmp_path) == dump(store.table)


async def test_on_a_disk_that_is_full_a_registry_comes_back_with_what_it_had(
    tmp_path: Path,
) -> None:
    file = await written(tmp_path, "a", "b")
    file.write_bytes(file.read_bytes() + b'{"torn')
    store = EmbeddedStore(tmp_path)
    with capture_logs(), full_disk(10):  # pytest's own file for the log is as full
        await store.start()
        assert sorted(store.table.entries) == ["a", "b"]
        with pytest.raises(Unavailable):
            await store.append(Register(instance("c")))
    await store.append(Register(instance("d")))
    await store.stop()
    assert sorted(e["instance"]["id"] for e in (await reopened(tmp_path))["entries"]) == [
        "a",
        "b",
        "d",
    ]


async def test_with_another_policy_another_history_begins(tmp_path: Path) -> None:
    first = await reopened(tmp_path)
    await written(tmp_path, "a", "b", "c")
    store = EmbeddedStore(tmp_path, policy=TablePolicy(removal=5.0, instances=2))
    await store.start()
    assert sorted(store.table.entries) == ["a", "b", "c"]  # it was right when they came
    assert store.table.epoch != first["epoch"]
    await store.stop()

    store = EmbeddedStore(tmp_path, policy=TablePolicy(removal=7.0))
    with capture_logs(), full_disk(10), pytest.raises(StoreError, match="cannot be written"):
        await store.start()  # what it went on with would be read by the policy before
    store = EmbeddedStore(tmp_path, policy=TablePolicy(removal=5.0, instances=2))
    await store.start()
    with pytest.raises(Full):
        await store.append(Register(instance("d")))
    await store.stop()


async def test_generations_of_a_lost_journal_are_not_given_again(tmp_path: Path) -> None:
    given: list[int] = []
    for _ in range(2):
        store = EmbeddedStore(tmp_path)
        await store.start()
        for number in range(50):
            entry = await store.append(Register(instance("a", weight=number)))
            assert entry is not None
            given.append(entry.instance.generation)
        await store.stop()
        (tmp_path / FILE).unlink()
    assert len(set(given)) == 100


async def test_a_journal_that_has_grown_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LEAST", 1000)
    store = EmbeddedStore(tmp_path)
    await store.start()
    entry = await store.append(Register(instance("a")))
    assert entry is not None
    for number in range(100):
        await store.append(Maintain("a", f"reason {number}"))
    grown = (tmp_path / FILE).stat().st_size
    await store.beat()
    assert (tmp_path / FILE).stat().st_size < grown / 2
    await store.stop()
    assert await reopened(tmp_path) == dump(store.table)


async def test_a_clock_set_back_between_two_runs_does_not_set_the_table_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written(tmp_path, "a")
    monkeypatch.setattr("uaitools.registry.store.embedded.time", lambda: 1000.0)
    store = EmbeddedStore(tmp_path)
    await store.start()
    before = store.table.now
    assert store.now() >= before > 1000.0
    await store.append(Maintain("a", "disk"))
    assert store.table.now >= before
    await store.stop()
