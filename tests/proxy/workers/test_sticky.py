"""Sticky sessions over several processes: one secret for all of them, however they came about."""

import http.client
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.proxy.program import Program, Upstream, eventually, upstream

NAMES = ("one", "two", "three", "four")
SECRET = "0123456789abcdef0123456789abcdef"


def configuration(path: Path, servers: Sequence[Upstream], sticky: str = "") -> Path:
    file = path / "uaitools.toml"
    endpoints = ", ".join(f'"{server.url}"' for server in servers)
    file.write_text(
        f'{sticky}\n[proxy.services.a]\nendpoints = [{endpoints}]\nbalance = "random"\n'
        '[proxy.services.a.sticky]\n[[proxy.routes]]\npath = "/"\nservice = "a"\n'
    )
    return file


def ask(program: Program, cookie: str = "") -> tuple[bytes, str]:
    """Who answers on a new connection, and the cookie that is set."""
    connection = http.client.HTTPConnection(*program.address, timeout=20)
    try:
        connection.request("GET", "/x", headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        assert response.status == 200
        return response.read(), (response.getheader("Set-Cookie") or "").partition(";")[0]
    finally:
        connection.close()


def comes_back(program: Program, home: bytes, cookie: str) -> None:
    """Twelve connections meet both of two workers, and by chance all four upstreams."""
    assert {ask(program, cookie) for _ in range(12)} == {(home, "")}


@pytest.mark.parametrize(
    "sticky", ["", f'[proxy.sticky]\nsecret = "{SECRET}"'], ids=["random secret", "own secret"]
)
def test_a_session_holds_in_every_worker_its_successor_and_after_a_reload(
    tmp_path: Path, sticky: str
) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(upstream(name)) for name in NAMES]
        file = configuration(tmp_path, servers, sticky)
        program = stack.enter_context(Program("--config", str(file), "--workers", "2"))
        program.logged("listening", 2)
        home, cookie = ask(program)
        comes_back(program, home, cookie)

        configuration(tmp_path, servers[::-1], sticky)
        program.send(signal.SIGHUP)
        program.logged("configuration in force", 2)
        comes_back(program, home, cookie)

        os.kill(program.workers(2)[1], signal.SIGKILL)
        program.workers(3)
        program.logged("listening", 3)
        comes_back(program, home, cookie)
        assert not [line for line in program.lines if SECRET in str(line)]


def test_with_a_secret_of_its_own_a_session_outlives_a_restart(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(upstream(name)) for name in NAMES]
        file = configuration(tmp_path, servers, f'[proxy.sticky]\nsecret = "{SECRET}"')
        with Program("--config", str(file)) as program:
            home, cookie = ask(program)
        with Program("--config", str(file)) as program:
            comes_back(program, home, cookie)


def test_with_a_random_secret_a_session_begins_anew_after_a_restart(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(upstream(name)) for name in NAMES]
        file = configuration(tmp_path, servers)
        with Program("--config", str(file)) as program:
            _, cookie = ask(program)
        with Program("--config", str(file)) as program:
            replaced = eventually(lambda: ask(program, cookie)[1])
            assert replaced != cookie
