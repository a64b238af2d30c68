"""The README's commands and code do what they promise."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CURLS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("curl ")
]


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The program that `make run` starts, on a free port; gives its address."""
    command = [sys.executable, "-m", "uaitools.proxy", "--demo", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        events = (json.loads(line) for line in process.stderr)
        yield next(event["address"] for event in events if event["event"] == "listening")
        process.terminate()
        process.stderr.read()
        assert process.wait(40) == 0


def curl(command: str, address: str) -> str:
    words = shlex.split(command.replace("127.0.0.1:8081", address))
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout


def test_there_are_commands_to_check() -> None:
    assert len(CURLS) == 5


def test_chat_answers_in_json(gateway: str) -> None:
    assert "hello there" in json.loads(curl(CURLS[0], gateway))["choices"][0]["message"]["content"]


def test_chat_streams_events(gateway: str) -> None:
    events = curl(CURLS[1], gateway)
    assert events.count("data: ") >= 3
    assert events.rstrip().endswith("data: [DONE]")


def test_health_status_and_metrics(gateway: str) -> None:
    assert json.loads(curl(CURLS[2], gateway))["service"] == "proxy"
    assert "llm-router" in json.loads(curl(CURLS[3], gateway))["services"]
    assert "http_requests_total" in curl(CURLS[4], gateway)


def test_python_code_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert "listening on 127.0.0.1:" in done.stdout
