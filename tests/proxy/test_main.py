"""`python -m uaitools.proxy` from outside: its command line, its configuration, its signals."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.program import Program, Upstream, eventually, upstream

SERVICE_SECRET = "Zr5tYuIoP0aSdFgHjKlQwErTyUiOp9x8"
EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "2"])


def finish(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def configuration(path: Path, *, routes: dict[str, str]) -> Path:
    """Write a file with routes to one upstream each."""
    lines = [
        line
        for index, (prefix, url) in enumerate(routes.items())
        for line in (
            "[[proxy.routes]]",
            f'path = "{prefix}"',
            f'service = "s{index}"',
            f"[proxy.services.s{index}]",
            f'endpoints = ["{url}"]',
        )
    ]
    file = path / "uaitools.toml"
    file.write_text("\n".join(lines))
    return file


# -- the command line -----------------------------------------------------------------------


def test_check_accepts_a_right_configuration(tmp_path: Path) -> None:
    file = configuration(tmp_path, routes={"/a": "http://127.0.0.1:9001"})

    ended = finish("--check", "--config", str(file), "--route", "/b=http://x:1,unix:/y", "--demo")

    summary = f"ok: {file}, 2 routes, 2 services\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, summary, "")


def test_check_warns_of_a_route_to_a_service_without_an_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("[proxy.services]\na = 'http://x:1'\n[[proxy.routes]]\npath='/'\nservice='b'\n")

    ended = finish("--check", "--config", str(file))

    assert ended.returncode == 0
    assert "warning: proxy.routes[0] (/): the service b has no endpoint" in ended.stdout


@pytest.mark.parametrize("check", [("--check",), ()])
def test_a_wrong_configuration_ends_with_2_and_every_problem(
    tmp_path: Path, check: tuple[str, ...]
) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text('[proxy]\nlisten_on = "x"\n[proxy.services]\na = "ftp://x"\n')

    ended = finish(*check, "--config", str(file), "--workers", "many", "--route", "/b=http://x:0")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert sorted(ended.stderr.splitlines()) == [
        f'{file}: proxy.listen_on: unknown key; did you mean "listen"?',
        (
            f"{file}: proxy.services.a: "
            "an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path"
        ),
        "flag --route: proxy.services.b.endpoints[0]: an endpoint's port is 1 to 65535",
        'flag --workers: proxy.workers: must be an integer, got "many"',
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--config", "/no/such/file"], "/no/such/file: no such file"),
        (["--route", "api=http://x"], "must be /PREFIX=URL[,URL...], got 'api=http://x'"),
        (["--route", "/api"], "must be /PREFIX=URL[,URL...], got '/api'"),
        (["--route", "/a?b=http://x"], "a path begins with '/'"),
        (["--route", "/a/b=http://x", "--route", "/a-b=http://y"], "would both be the service a-b"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_flag_ends_with_2_and_its_reason(arguments: list[str], reason: str) -> None:
    ended = finish(*arguments, "--check")

    assert ended.returncode == 2
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_that_others_reach_has_to_be_meant() -> None:
    refused = finish("--listen", "0.0.0.0:0", "--check")

    assert refused.returncode == 2
    assert "add --insecure" in refused.stderr
    assert finish("--listen", "0.0.0.0:0", "--insecure", "--check").returncode == 0


def test_with_authentication_others_may_reach_it(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text(f'[auth]\nservice_secret = "{SERVICE_SECRET}"\n')

    ended = finish("--listen", "0.0.0.0:0", "--check", "--config", str(file))

    assert (ended.returncode, ended.stderr) == (0, "")


@EVERY_SIZE
def test_an_address_that_is_taken_ends_with_1_and_one_line(workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        ended = finish("--listen", address, "--workers", workers)

    assert ended.returncode == 1
    assert ended.stderr == f"cannot listen on {address}: Address already in use\n"


def test_a_name_that_is_none_cannot_be_listened_on() -> None:
    ended = finish("--listen", "a..b:0", "--insecure")

    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot listen on a..b:0: ")
    assert "Traceback" not in ended.stderr


def test_several_workers_do_not_share_an_address_with_another_program() -> None:
    with Program("--workers", "2") as program:
        host, port = program.address

        ended = finish("--listen", f"{host}:{port}", "--workers", "2")

    assert ended.returncode == 1


def test_the_default_routes_say_which_setting_is_missing() -> None:
    with Program() as program:
        program.logged("there is no authentication: everyone is accepted", principal="anonymous")
        for method, path, service in (
            ("POST", "/api/chat", "llm-router"),
            ("GET", "/api/memory", "memory"),
        ):
            status, body = program.request(method, path)

            assert status == 503
            assert f"set proxy.services.{service}.endpoints" in json.loads(body)["message"]


def test_flags_add_routes_to_those_of_the_file_and_override_its_values(tmp_path: Path) -> None:
    with upstream("file") as one, upstream("flag") as other:
        file = configuration(tmp_path, routes={"/a": one.url, "/b": one.url})
        flag = f"/b={other.url}"
        with Program("--config", str(file), "--route", flag, UAITOOLS_PROXY__LISTEN="9") as program:
            assert program.get("/a") == (200, b"filefile")
            assert program.get("/b") == (200, b"flagflag")
            assert program.request("POST", "/api/chat")[0] == 404
            assert "b" in json.loads(program.get("/api/status")[1])["services"]


def test_the_log_level_decides_what_is_said() -> None:
    with Program("--log-level", "warning", "--listen", "127.0.0.1:0") as program:
        program.logged("there is no authentication: everyone is accepted")
        program.send(signal.SIGTERM)
        program.ends()

        assert {line["level"] for line in program.lines} == {"warning"}


@EVERY_SIZE
def test_the_environment_is_in_the_log_and_the_status_also_after_a_reload(
    tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text('environment = "staging"\n')

    def shown(program: Program) -> set[str]:
        documents = [json.loads(program.get("/api/status")[1]) for _ in range(12)]
        return {document["environment"] for document in documents}

    with Program("--config", str(file), "--workers", workers) as program:
        program.logged("listening", int(workers))
        assert {line["environment"] for line in program.lines} == {"staging"}
        assert shown(program) == {"staging"}
        file.write_text('environment = "production"\n')
        program.send(signal.SIGHUP)

        program.logged("configuration in force", int(workers), environment="production")
        eventually(lambda: shown(program) == {"production"})


# -- reload ---------------------------------------------------------------------------------


def begin_slow(program: Program, path: str, name: bytes) -> socket.socket:
    """A request whose answer is half there."""
    client = program.connect()
    client.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    received = b""
    while not received.endswith(b"\r\n\r\n" + name):
        received += client.recv(4096)
    return client


def open_tunnel(program: Program, path: str) -> socket.socket:
    client = program.connect()
    client.sendall(
        b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        % path.encode()
    )
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += client.recv(4096)
    assert b" 101 " in received
    return client


def all_answer(program: Program, path: str, answer: tuple[int, bytes]) -> None:
    """Wait until every worker answers so; a dozen connections meet both of two."""
    eventually(lambda: all(program.get(path) == answer for _ in range(12)))


@EVERY_SIZE
def test_hangup_swaps_routes_and_keeps_what_runs(tmp_path: Path, workers: str) -> None:
    with upstream("old") as old, upstream("new") as new:
        file = configuration(tmp_path, routes={"/a": old.url})
        with (
            Program("--config", str(file), "--workers", workers) as program,
            begin_slow(program, "/a/slow", b"old") as slow,
            open_tunnel(program, "/a") as tunnel,
        ):
            configuration(tmp_path, routes={"/b": new.url})
            program.send(signal.SIGHUP)

            all_answer(program, "/b", (200, b"newnew"))
            eventually(lambda: all(program.get("/a")[0] == 404 for _ in range(12)))
            tunnel.sendall(b"still there?")
            assert tunnel.recv(4096) == b"still there?"
            old.release.set()
            assert slow.recv(4096) == b"old"


@EVERY_SIZE
def test_hangup_takes_secrets_to_every_process_and_into_no_log(
    tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text(f'[auth]\nservice_secret = "{SERVICE_SECRET}"\n')
    with Program("--config", str(file), "--workers", workers, "--log-level", "debug") as program:
        program.logged("listening", int(workers))
        file.write_text(f'[auth]\nservice_secret = "other-{SERVICE_SECRET}"\n')
        program.send(signal.SIGHUP)

        program.logged("configuration in force", int(workers))
        assert SERVICE_SECRET not in str(program.lines)
        warned = [line for line in program.lines if "no authentication" in line["event"]]
        assert warned == []


@EVERY_SIZE
def test_hangup_with_a_wrong_configuration_changes_nothing_and_says_why(
    tmp_path: Path, workers: str
) -> None:
    with upstream("old") as old, upstream("new") as new:
        file = configuration(tmp_path, routes={"/a": old.url})
        with Program("--config", str(file), "--workers", workers) as program:
            assert program.get("/a") == (200, b"oldold")
            file.write_text("[proxy]\nlisten_on = 1\n")
            program.send(signal.SIGHUP)

            (line,) = program.logged("configuration is wrong, the old one stays")
            assert line["problems"] == [
                f'{file}: proxy.listen_on: unknown key; did you mean "listen"?'
            ]
            assert all(program.get("/a") == (200, b"oldold") for _ in range(12))

            configuration(tmp_path, routes={"/a": new.url})
            program.send(signal.SIGHUP)
            all_answer(program, "/a", (200, b"newnew"))


@EVERY_SIZE
def test_hangup_names_what_waits_for_a_restart(tmp_path: Path, workers: str) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("")
    with Program("--config", str(file), "--workers", workers) as program:
        program.logged("listening", int(workers))
        file.write_text(
            'redis_url = "redis://127.0.0.1:1"\n[limits]\nslots = 8\n'
            '[proxy]\nadmin_token = "sixteen characters"\n'
        )
        for count in (1, 2):  # each time, until the restart
            program.send(signal.SIGHUP)
            *_, last = program.logged("some settings change with a restart only", count)
            assert last["settings"] == ["proxy.admin_token", "redis_url", "limits.slots"]


@EVERY_SIZE
def test_of_many_hangups_the_last_configuration_wins(tmp_path: Path, workers: str) -> None:
    with upstream("last") as last:
        file = configuration(tmp_path, routes={"/a": "http://127.0.0.1:1"})
        with Program("--config", str(file), "--workers", workers) as program:
            program.logged("listening", int(workers))
            for index in range(20):
                configuration(tmp_path, routes={"/a": f"http://127.0.0.1:{index + 1}"})
                program.send(signal.SIGHUP)
            configuration(tmp_path, routes={"/a": last.url})
            program.send(signal.SIGHUP)

            all_answer(program, "/a", (200, b"lastlast"))


# -- the end --------------------------------------------------------------------------------


def to_parent(program: Program) -> None:
    program.send(signal.SIGTERM)


def to_everyone(program: Program) -> None:
    """As service managers do, and a terminal's Ctrl-C."""
    os.killpg(program.process.pid, signal.SIGTERM)


def under_way(program: Program, server: Upstream, workers: str) -> socket.socket:
    """Start a slow request; every worker serves, and the server has the request."""
    program.logged("listening", int(workers))
    client = begin_slow(program, "/a/slow", server.name.encode())
    eventually(lambda: server.asked == 1)
    return client


@EVERY_SIZE
@pytest.mark.parametrize("signalled", [to_parent, to_everyone])
def test_a_signal_finishes_what_runs_and_ends_with_0(workers: str, signalled: object) -> None:
    assert callable(signalled)
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", workers) as program,
        under_way(program, server, workers) as client,
    ):
        signalled(program)
        program.logged("draining", int(workers))
        server.release.set()

        assert client.recv(4096) == b"up"
        assert program.ends() == 0


@EVERY_SIZE
@pytest.mark.parametrize("signalled", [to_parent, to_everyone])
def test_a_second_signal_ends_at_once(workers: str, signalled: object) -> None:
    assert callable(signalled)
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", workers) as program,
        under_way(program, server, workers),
    ):
        signalled(program)
        program.logged("draining", int(workers))
        signalled(program)

        assert program.ends() == 0
        assert not server.release.is_set()


@EVERY_SIZE
def test_who_connects_while_it_drains_is_refused(workers: str) -> None:
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", workers) as program,
        under_way(program, server, workers),
    ):
        program.send(signal.SIGTERM)
        program.logged("draining", int(workers))

        with pytest.raises(ConnectionRefusedError):
            program.connect()
