"""The admin API of the program: with one process and with several, all of which obey."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.program import Program, Upstream, eventually, stopped, upstream

EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "3"])
TOKEN = "a-token-of-the-operator"


def configuration(folder: Path, servers: Sequence[Upstream], more: str = "") -> Path:
    path = folder / "uaitools.toml"
    urls = [server.url for server in servers]
    path.write_text(
        f'[proxy]\nadmin = "127.0.0.1:0"\n{more}\n[proxy.services.a]\nendpoints = {urls}\n'
        'breaker = { ramp = 0 }\n[[proxy.routes]]\npath = "/"\nservice = "a"\n'
    )
    return path


def ask(program: Program, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request to the admin API, on a connection of its own: any worker may answer."""
    port = int(program.logged("admin API listening")[0]["address"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def order(program: Program, name: str, server: Upstream, **more: object) -> Any:
    address = server.url.removeprefix("http://")
    body = {"service": "a", "address": address, **more}
    status, document = ask(program, "POST", f"/endpoints/{name}", body)
    assert status == 200, document
    return document


def asked(program: Program, server: Upstream, times: int = 30) -> int:
    """How many of some requests reach a server; each connection goes to some worker."""
    before = server.asked
    for _ in range(times):
        assert program.get("/x")[0] == 200
    return server.asked - before


@EVERY_SIZE
def test_an_order_is_obeyed_by_every_worker_when_it_is_answered(
    tmp_path: Path, workers: str
) -> None:
    with upstream("a") as first, upstream("b") as second:
        config = configuration(tmp_path, [first, second])
        with Program("--config", str(config), "--workers", workers) as program:
            program.logged("listening", int(workers))
            assert order(program, "drain", first)["state"] == "drained"
            assert asked(program, first) == 0
            order(program, "restore", first)
            assert asked(program, first) > 0
            order(program, "eject", second, seconds=600)
            assert asked(program, second) == 0
            order(program, "restore", second)
            assert order(program, "weight", first, weight=9)["weight"] == 9
            assert asked(program, first, 60) > asked(program, second, 60)


def test_a_successor_of_a_worker_obeys_what_was_ordered_before(tmp_path: Path) -> None:
    with upstream("a") as first, upstream("b") as second:
        config = configuration(tmp_path, [first, second])
        with Program("--config", str(config), "--workers", "2") as program:
            program.logged("listening", 2)
            order(program, "drain", first)
            for pid in program.workers(2):
                os.kill(pid, signal.SIGKILL)
            program.workers(4)
            program.logged("listening", 4)
            assert asked(program, first) == 0


@EVERY_SIZE
def test_a_drain_survives_a_reload_and_listings_are_sums(tmp_path: Path, workers: str) -> None:
    with upstream("a") as first, upstream("b") as second:
        config = configuration(tmp_path, [first, second])
        with Program("--config", str(config), "--workers", workers) as program:
            program.logged("listening", int(workers))
            order(program, "drain", first)
            assert ask(program, "POST", "/reload") == (202, {"status": "accepted"})
            program.logged("configuration in force", int(workers))
            assert asked(program, first) == 0
            _, services = ask(program, "GET", "/services")
            assert services["workers"] == int(workers)
            assert services["services"][0]["requests"] == 30


@EVERY_SIZE
def test_a_reload_of_a_wrong_configuration_says_what_is_wrong(tmp_path: Path, workers: str) -> None:
    with upstream("a") as server:
        config = configuration(tmp_path, [server])
        with Program("--config", str(config), "--workers", workers) as program:
            program.logged("listening", int(workers))
            config.write_text("[proxy]\nnonsense = 1\n")
            status, document = ask(program, "POST", "/reload")
            assert status == 422
            assert "proxy.nonsense: unknown key" in document["details"][0]["message"]
            assert asked(program, server, 5) == 5


@EVERY_SIZE
def test_connections_of_all_workers_are_listed_in_pages(tmp_path: Path, workers: str) -> None:
    with upstream("a") as server, ExitStack() as stack:
        config = configuration(tmp_path, [server])
        program = stack.enter_context(Program("--config", str(config), "--workers", workers))
        program.logged("listening", int(workers))
        held = [stack.enter_context(program.connect()) for _ in range(24)]
        for one in held:  # a connection that is answered has been accepted
            one.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert one.recv(4096)
        seen: list[tuple[int, str]] = []
        offset = 0
        while offset is not None:
            status, page = ask(program, "GET", f"/connections?limit=5&offset={offset}")
            assert (status, page["total"]) == (200, 24)
            seen += [(one["pid"], one["doing"]) for one in page["connections"]]
            offset = page["next"]
        pids = program.workers(int(workers)) if workers != "1" else [program.process.pid]
        assert len(seen) == 24
        assert {pid for pid, _ in seen} == set(pids)
        assert [pid for pid, _ in seen] == sorted(pid for pid, _ in seen)


def test_a_stopped_worker_is_left_out_of_a_listing(tmp_path: Path) -> None:
    with upstream("a") as server:
        config = configuration(tmp_path, [server])
        with Program("--config", str(config), "--workers", "2") as program:
            program.logged("listening", 2)
            first, _ = program.workers(2)
            os.kill(first, signal.SIGSTOP)
            eventually(lambda: stopped(first))
            status, page = ask(program, "GET", "/connections")
            os.kill(first, signal.SIGCONT)
            assert (status, page["connections"]) == (200, [])


def test_the_token_still_holds_after_a_reload_of_several_workers(tmp_path: Path) -> None:
    with upstream("a") as server:
        config = configuration(tmp_path, [server], f'admin_token = "{TOKEN}"')
        with Program("--config", str(config), "--workers", "2") as program:
            program.logged("listening", 2)
            program.send(signal.SIGHUP)
            program.logged("configuration in force", 2)
            for _ in range(10):
                assert ask(program, "GET", "/services")[0] == 401
            assert TOKEN not in json.dumps(program.lines)


def test_the_api_answers_while_the_gateway_drains(tmp_path: Path) -> None:
    with upstream("a") as server:
        config = configuration(tmp_path, [server])
        with Program("--config", str(config)) as program, program.connect() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: server.asked)
            program.send(signal.SIGTERM)
            program.logged("draining")
            assert ask(program, "GET", "/health")[1]["status"] == "draining"
            (busy,) = ask(program, "GET", "/connections")[1]["connections"]
            assert busy["service"] == "a"
            server.release.set()
            assert program.ends() == 0


def test_an_address_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    path = tmp_path / "uaitools.toml"
    path.write_text('[proxy]\nadmin = "0.0.0.0:8091"\nadmin_token = "short-secret"\n')
    ended = subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--check", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert "proxy.admin_token" in ended.stderr
    assert "short-secret" not in ended.stderr
