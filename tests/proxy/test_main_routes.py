"""Routes of the program: in one process and in several, across reloads."""

import http.client
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.proxy.program import Program, eventually, upstream

EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "2"])


def configuration(folder: Path, a: str, b: str, weights: tuple[int, int]) -> Path:
    file = folder / "uaitools.toml"
    file.write_text(
        f"""
        [proxy.services]
        a = "{a}"
        b = "{b}"
        [[proxy.routes]]
        path = "/"
        split = [
            {{ service = "a", weight = {weights[0]} }},
            {{ service = "b", weight = {weights[1]} }},
        ]
        sticky = "header:X-Tenant"
        response_headers = {{ set = {{ X-Weights = "{weights[0]}-{weights[1]}" }} }}
        [[proxy.routes]]
        path = "/old/{{id}}"
        host = "*.example.org"
        redirect = {{ to = "/new/{{id}}" }}
        """,
        "utf-8",
    )
    return file


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(program: Program, path: str = "/", **headers: str) -> Answer:
    """One request on a connection of its own, so that every worker has its turn."""
    connection = http.client.HTTPConnection(*program.address, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def side(program: Program, tenant: int) -> bytes:
    return ask(program, **{"X-Tenant": str(tenant)}).body


@EVERY_SIZE
def test_a_key_has_one_side_in_every_worker_and_moves_with_the_weights(
    tmp_path: Path, workers: str
) -> None:
    with upstream("a") as a, upstream("b") as b:
        file = configuration(tmp_path, a.url, b.url, (3, 1))
        with Program("--config", str(file), "--workers", workers) as program:
            program.logged("listening", int(workers))
            before = [side(program, tenant) for tenant in range(40)]
            assert [side(program, tenant) for tenant in range(40)] == before
            assert Counter(before).keys() == {b"aa", b"bb"}

            configuration(tmp_path, a.url, b.url, (1, 3))
            program.send(signal.SIGHUP)
            eventually(lambda: all(ask(program).headers["X-Weights"] == "1-3" for _ in range(12)))
            after = [side(program, tenant) for tenant in range(40)]

            assert after != before
            moved = {new for old, new in zip(before, after, strict=True) if old != new}
            assert moved == {b"bb"}, "nobody moves but to the side that has grown"
            assert [side(program, tenant) for tenant in range(40)] == after


@EVERY_SIZE
def test_redirects_and_hosts_reach_every_worker(tmp_path: Path, workers: str) -> None:
    with upstream("a") as a:
        file = configuration(tmp_path, a.url, a.url, (1, 0))
        with Program("--config", str(file), "--workers", workers) as program:
            program.logged("listening", int(workers))
            for _ in range(8):
                moved = ask(program, "/old/7", Host="x.example.org")
                assert (moved.status, moved.headers["Location"]) == (308, "/new/7")
                assert ask(program, "/old/7", Host="example.org").status == 200


def test_check_warns_of_each_side_of_a_split_without_an_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("[[proxy.routes]]\npath='/'\nsplit=[{service='a'}, {service='b'}]\n")

    ended = subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--check", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 0
    for name in "ab":
        assert f"warning: proxy.routes[0] (/): the service {name} has no endpoint" in ended.stdout
