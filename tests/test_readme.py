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


GATEWAY = [curl for curl in CURLS if ":8081/" in curl]
REGISTRY = [curl for curl in CURLS if ":8083/" in curl]
HUB = [curl for curl in CURLS if ":8082/" in curl]


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The program that `make run` starts, on a free port; gives its address."""
    yield from serving("uaitools.proxy", "--demo")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on a free port; gives its address."""
    yield from serving("uaitools.registry", "--data-dir", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub on a free port; gives its address."""
    yield from serving("uaitools.hub")


def serving(program: str, *arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", program, "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        events = (json.loads(line) for line in process.stderr)
        yield next(event["address"] for event in events if event["event"] == "listening")
        process.terminate()
        process.stderr.read()
        assert process.wait(40) == 0


def curl(command: str, address: str) -> str:
    words = shlex.split(re.sub(r"127\.0\.0\.1:808[123]", address, command))
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout


def test_there_are_commands_to_check() -> None:
    assert (len(GATEWAY), len(REGISTRY), len(HUB)) == (5, 3, 3)


def test_chat_answers_in_json(gateway: str) -> None:
    assert (
        "hello there" in json.loads(curl(GATEWAY[0], gateway))["choices"][0]["message"]["content"]
    )


def test_chat_streams_events(gateway: str) -> None:
    events = curl(GATEWAY[1], gateway)
    assert events.count("data: ") >= 3
    assert events.rstrip().endswith("data: [DONE]")


def test_health_status_and_metrics(gateway: str) -> None:
    assert json.loads(curl(GATEWAY[2], gateway))["service"] == "proxy"
    assert "llm-router" in json.loads(curl(GATEWAY[3], gateway))["services"]
    assert "http_requests_total" in curl(GATEWAY[4], gateway)


def test_a_registry_knows_who_has_registered(registry: str) -> None:
    registered, listed, explained = [json.loads(curl(one, registry)) for one in REGISTRY]
    assert registered["id"] == "a-1"
    assert [one["id"] for one in listed["instances"]] == ["a-1"]
    assert explained["instances"][0]["cause"] == "heartbeats come"


def test_a_hub_keeps_what_is_published(hub: str) -> None:
    published, polled, history = [json.loads(curl(one, hub)) for one in HUB]
    assert published["offset"] == 1
    assert polled["channels"][0]["offset"] == 1
    assert [one["data"] for one in history["messages"]] == [{"build": 7}]


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
