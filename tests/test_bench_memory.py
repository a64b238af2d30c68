"""The benchmark of the memory service: its texts, its limits, and that it runs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson

from bench.diaries import Diaries
from bench.memory import Profile, over
from bench.remembering import Operation, Transferred

ROOT = Path(__file__).parent.parent
GET = Operation("get", 1000, 30_000, 0, 1.0, 2.0, 4.9, 9.0, 0.1, 200.0, 50.0)


def test_a_memory_follows_from_its_number_alone() -> None:
    one, other = Diaries(1000, 10), Diaries(1000, 10)
    assert one.line(7) == other.line(7) != one.line(8)
    assert [one.name(n) for n in range(3)] == sorted(one.name(n) for n in range(3))
    assert b"".join(one.chunks(5, 9, 2)) == b"".join(map(one.line, range(5, 9)))
    line = orjson.loads(one.line(7))
    assert (line["user_id"], line["id"]) == (one.user(7), str(one.name(7)))


def test_a_query_has_words_of_its_memory() -> None:
    diaries = Diaries(1000, 10)
    query = orjson.loads(diaries.query(7))
    memory = orjson.loads(diaries.line(7))
    assert query["user_id"] == memory["user_id"]
    words = query["query"].removesuffix("?").split()[2:]
    assert len(words) == 3
    assert set(words) <= set(memory["content"].split())


def test_what_is_over_its_limit_is_said() -> None:
    assert over(Profile("hash", {"empty": 80_000_000}, operations=[GET])) == []
    slow = replace(GET, p99_ms=5.1, lost=2)
    moved = Transferred("export", 1000, 1000, 1.0, 1.0, 1.0, 40_000_000)
    found = Profile("hash", {"get": 130_000_000}, operations=[slow], transferred=[moved])
    assert over(found) == [
        "hash: p99 of get in ms: 5.1 > 5",
        "hash: requests lost of get: 2 > 0",
        "hash: growth by an export: 4e+07 > 3.2e+07",
        "hash: resident after get: 1.3e+08 > 1.2e+08",
    ]
    static = Profile("static", {"get": 130_000_000})
    assert over(static) == []


def test_quick_run() -> None:
    argv = ["--quick", "--embedders", "hash"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("create", "search", "export of 2,000"):
        assert said in done.stdout
    assert done.stdout.count("lost 0 ") == 4
