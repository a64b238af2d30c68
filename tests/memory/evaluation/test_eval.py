"""`python -m uaitools.memory eval`, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.peers.component_program import ROOT, run_component
from tests.peers.gateways import eventually
from tests.peers.memory_program import SMALL
from tests.peers.servers import free_port
from tests.peers.weaviate.server import weaviate_double
from uaitools.memory.config import MemoryConfig
from uaitools.memory.evaluation.labelled import parse
from uaitools.memory.evaluation.trial import trial

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work
run = partial(run_component, "memory")
SET: list[dict[str, Any]] = [
    {"kind": "memory", "id": "tea", "user_id": "ann", "content": "I like green tea"},
    {"kind": "memory", "id": "again", "user_id": "ann", "content": "i like  GREEN tea"},
    {"kind": "memory", "id": "dog", "user_id": "ann", "content": "Rex is a greyhound"},
    {"kind": "memory", "id": "bob", "user_id": "bob", "content": "the greyhound of bob's"},
    {"kind": "question", "id": "q1", "user_id": "ann", "query": "tea?", "relevant": ["again"]},
    {"kind": "question", "id": "q2", "user_id": "ann", "query": "greyhound", "relevant": ["dog"]},
    {"kind": "question", "id": "q3", "user_id": "bob", "query": "tea", "relevant": ["bob"]},
]


def file_of(directory: Path, *lines: object) -> str:
    file = directory / "set.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(file)


def left(directory: Path) -> list[str]:
    return [one.name for one in directory.iterdir()]


def server_of(directory: Path) -> Path:
    """The process of the PostgreSQL that an evaluation has started."""
    [file] = directory.glob("uaitools-eval-*/postgres/data/postmaster.pid")
    return Path("/proc") / file.read_text().split()[0]


def ended(process: Path) -> bool:
    """Whether a process has. Who has taken it over may be slow to notice: it is a zombie then."""
    try:
        return "\nState:\tZ" in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_hybrid_is_above_both_of_its_parts_on_the_sample(tmp_path: Path) -> None:
    status, said, complaint = await run("eval", "--json", TMPDIR=str(tmp_path))
    assert status == 0, complaint
    document = json.loads(said)
    assert (document["memories"], document["questions"], document["k"]) == (66, 40, 10)
    mrr = {mode: by["MRR"]["mean"] for mode, by in document["modes"].items()}
    assert mrr["lexical"] < mrr["vector"] < mrr["hybrid"]
    assert document["gains"]["lexical"]["MRR"]["low"] > 0.2
    assert document["gains"]["vector"]["recall@5"]["low"] >= 0
    assert left(tmp_path) == []


async def test_the_same_file_has_the_same_scores_whatever_the_service_has(tmp_path: Path) -> None:
    file = file_of(tmp_path, *SET)
    nowhere = f"postgresql://nobody@/x?host={tmp_path}"
    arguments = ("eval", file, "--misses", "-k", "2")
    status, said, complaint = await run(*arguments, DATABASE_URL=nowhere, **SMALL)
    assert status == 0, complaint
    assert "3 questions; hash/1/512, local index; 2 memories a question" in said
    assert "\nlexical  0.667" in said  # users apart, and what says the same is one memory
    assert "\nq3  tea\n  its place: lexical -, vector " in said
    assert "q1" not in said
    assert (await run(*arguments, **SMALL))[1] == said


async def test_in_weaviate_it_has_a_collection_of_its_own_and_leaves_it_empty() -> None:
    labelled = parse(json.dumps(line) for line in SET)
    async with weaviate_double() as double:
        for dimension in (64, 128):
            hashing = {"use": "hash", "hash": {"dimension": dimension}}
            config = MemoryConfig.model_validate({"embed": hashing, "index": double.settings})
            done = await trial(config, labelled, 3)
            assert done.index == "weaviate"
            assert [one.rank("vector") for one in done.answered[:2]] == [1, 1]
        [name] = double.database.collections
        assert name.startswith("UaitoolsEvaluation_")
        assert not double.database.collections[name].objects


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (SET[:2], "there is no question"),
        ([SET[0], {**SET[4], "relevant": ["x"]}], "line 2: relevant: user 'ann' has no memory 'x'"),
        ([SET[0], SET[0]], "line 2: there is a memory 'tea' already"),
        ([SET[0], {**SET[1], "contents": ""}], "line 2: contents: "),
        ([SET[0], "memory"], "line 2: "),
    ],
)
async def test_a_file_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, lines: list[object], reason: str
) -> None:
    file = file_of(tmp_path, *lines)
    status, said, complaint = await run("eval", file)
    assert (status, said) == (2, "")
    assert f"{file}: {reason}" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("/nowhere/set.ndjson",), "/nowhere/set.ndjson: No such file"),
        (("-k", "0"), "argument -k: is 1 to 100"),
        (("--misses", "many"), "argument --misses: is 1 to 100"),
    ],
)
async def test_what_cannot_be_asked_is_told(arguments: tuple[str, ...], reason: str) -> None:
    status, said, complaint = await run("eval", *arguments)
    assert (status, said) == (2, "")
    assert reason in complaint


async def test_an_embedder_that_is_away_gives_no_scores(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/embeddings"
    http = {"url": url, "model": "m", "dimension": 8, "attempts": 1}
    status, said, complaint = await run(
        "eval",
        file_of(tmp_path, *SET),
        UAITOOLS_MEMORY__EMBED=json.dumps({"use": "http", "http": http}),
        TMPDIR=str(tmp_path),
    )
    assert (status, said) == (1, "")
    assert "the memories cannot be embedded and indexed" in complaint
    assert "Traceback" not in complaint
    assert left(tmp_path) == ["set.ndjson"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_signal_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    many = [{**SET[4], "id": f"q{number}"} for number in range(5000)]  # it takes a while
    file = file_of(tmp_path, *SET[:4], *many)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "uaitools.memory", "eval", file),
        cwd=ROOT,
        env={**os.environ, **SMALL, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async for line in process.stderr:
        if b"embedded PostgreSQL started" in line:
            break
    server = server_of(tmp_path)
    for _ in range(times):
        process.send_signal(number)
        with suppress(TimeoutError):  # or it has ended
            await asyncio.wait_for(process.wait(), 0.1)
    said, complaint = await process.communicate()
    assert (process.returncode, said) == (130, b"")
    assert b"Traceback" not in complaint
    assert left(tmp_path) == ["set.ndjson"]
    await eventually(lambda: ended(server))
