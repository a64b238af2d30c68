"""Every example runs as a program and says what its reader is promised."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

PROMISES = {
    "circuit_breaker.py": [
        "0.0 ejected 0.0",
        "10.0 probing 0.0",
        "15.0 ramping 0.5",
        "20.0 healthy",
    ],
    "component.py": ["401 authentication is required", '200 "reads";r=0;', '429 "reads";r=0;'],
    "gateway_in_process.py": ['"upstream": "one"', '"upstream": "two"', "200 have a nice day"],
    "handler_on_aiohttp.py": ["200 front page", '"for": "127.0.0.1", "got": "hello"'],
    "hooks.py": ["200 tenant acme asked for /shelf yes", "403 not today None"],
    "hub_client.py": [
        "1 finished Build(build=1, passed=True)",
        "2 is no build: {'build': 'two'}",
        "3 finished Build(build=3, passed=True)",
        "4 finished Build(build=4, passed=False)",
    ],
    "hub_on_aiohttp.py": ["{'text': 'hallo'}", "1 {'build': 7}"],
    "round_robin.py": ["a a b a c a a", "{'b': 50, 'c': 50}"],
    "service_client.py": [
        "200 hello Ann, cafe, True",
        "200 hello Bob, cafe, True",
        "2 calls, 1 retry",
        "[nobody] 503: no instance of the service is registered",
    ],
}


def test_every_example_has_a_promise() -> None:
    assert sorted(PROMISES) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", PROMISES)
def test_example_runs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert done.returncode == 0, done.stderr
    for promise in PROMISES[name]:
        assert promise in done.stdout
