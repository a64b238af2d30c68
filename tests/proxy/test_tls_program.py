"""TLS in the program: `--check`, one process and several, reloads by signal, redirects."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.servers import free_port
from tests.peers.tls import Authority, Files
from tests.proxy.program import Program, eventually, upstream

EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "3"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def configuration(folder: Path, files: Files, url: str = "http://x:1", more: str = "") -> Path:
    file = folder / "uaitools.toml"
    file.write_text(
        f"[proxy.tls]\ncertificates = [{{ cert = '{files.cert}', key = '{files.key}' }}]\n{more}\n"
        f"[proxy.services]\na = '{url}'\n[[proxy.routes]]\npath = '/'\nservice = 'a'\n"
    )
    return file


def check(file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--check", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def get(program: Program, authority: Authority) -> tuple[int, str]:
    """The status, and what HSTS says."""
    context = authority.client()
    context.check_hostname = False
    connection = http.client.HTTPSConnection(*program.address, timeout=20, context=context)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get("Strict-Transport-Security", "")
    finally:
        connection.close()


def shown(program: Program, authority: Authority) -> set[str]:
    """The names in the certificate."""
    context = authority.client()
    context.check_hostname = False
    with (
        socket.create_connection(program.address, timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="x.test") as tls,
    ):
        certificate = tls.getpeercert()
    assert certificate is not None
    return {str(entry[1]) for entry in certificate["subjectAltName"]}


def test_check_accepts_good_files_and_warns_of_expired_ones(authority: Authority) -> None:
    good = check(configuration(authority.folder, authority.issue("a.test")))
    assert (good.returncode, good.stderr) == (0, "")
    assert "warning" not in good.stdout

    old = check(configuration(authority.folder, authority.issue("a.test", expired=True)))
    assert old.returncode == 0
    assert "warning: proxy.tls.certificates[0].cert: the certificate has expired" in old.stdout


def test_check_and_start_refuse_broken_files_by_their_key(authority: Authority) -> None:
    files = authority.issue("a.test")
    files.key.unlink()
    file = configuration(authority.folder, files)

    ended = check(file)
    started = subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    problem = f"proxy.tls.certificates[0].key: {files.key} cannot be read: "
    for one in (ended, started):
        assert one.returncode == 2
        assert one.stderr == f"{problem}No such file or directory\n"


def test_both_addresses_have_to_be_free(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        files = authority.issue("a.test")
        file = configuration(authority.folder, files, more=f"redirect = '{address}'")
        ended = subprocess.run(
            [sys.executable, "-m", "uaitools.proxy", "--config", str(file), "--listen", "[::1]:0"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == f"cannot listen on {address}: Address already in use\n"


@EVERY_SIZE
def test_every_worker_serves_tls_and_follows_files_and_signals(
    authority: Authority, workers: str
) -> None:
    files = authority.issue("old.test")
    with upstream("a") as server:
        file = configuration(authority.folder, files, server.url)
        with Program("--config", str(file), "--workers", workers) as program:
            program.logged("listening", int(workers))
            for _ in range(12):
                assert get(program, authority) == (200, "")
                assert shown(program, authority) == {"old.test"}

            authority.write(files, "new.test")
            eventually(lambda: all(shown(program, authority) == {"new.test"} for _ in range(12)))

            other = authority.issue("other.test")
            configuration(authority.folder, other, server.url, "hsts = 'max-age=60'")
            program.send(signal.SIGHUP)
            eventually(lambda: all(shown(program, authority) == {"other.test"} for _ in range(12)))
            assert get(program, authority)[1] == "max-age=60"

            other.key.write_text("broken")
            program.send(signal.SIGHUP)
            (line,) = program.logged("configuration is wrong, the old one stays")
            assert line["problems"] == [
                f"proxy.tls.certificates[0].key: {other.key} holds no PEM private key"
            ]
            assert all(shown(program, authority) == {"other.test"} for _ in range(12))


@EVERY_SIZE
def test_plain_requests_are_redirected_by_every_worker_also_by_successors(
    authority: Authority, workers: str
) -> None:
    port = free_port()
    file = configuration(
        authority.folder,
        authority.issue("a.test"),
        more=f"redirect = '127.0.0.1:{port}'\npublic_port = 443",
    )

    def redirected() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/a?b", headers={"Host": "a.test"})
            response = connection.getresponse()
            return (response.status, response.headers["Location"]) == (308, "https://a.test/a?b")
        finally:
            connection.close()

    with Program("--config", str(file), "--workers", workers) as program:
        program.logged("listening", int(workers))
        assert all(redirected() for _ in range(12))
        if workers != "1":
            program.process.send_signal(signal.SIGHUP)
            program.logged("configuration in force", int(workers))
            assert all(redirected() for _ in range(12))
        program.send(signal.SIGTERM)
        assert program.ends() == 0
        with pytest.raises(ConnectionRefusedError):
            redirected()


def test_a_worker_that_dies_is_replaced_with_tls_and_redirects(authority: Authority) -> None:
    port = free_port()
    more = f"redirect = '127.0.0.1:{port}'"
    file = configuration(authority.folder, authority.issue("a.test"), more=more)
    with Program("--config", str(file), "--workers", "2") as program:
        program.logged("listening", 2)
        for pid in program.workers(2):
            os.kill(pid, signal.SIGKILL)
        program.logged("listening", 4)
        assert all(shown(program, authority) == {"a.test"} for _ in range(12))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert plain.recv(4096).startswith(b"HTTP/1.1 308 ")


def test_failed_handshakes_are_counted_over_all_workers(authority: Authority) -> None:
    file = configuration(authority.folder, authority.issue("a.test"))
    with Program("--config", str(file), "--workers", "2") as program:
        program.logged("listening", 2)
        for _ in range(8):
            with socket.create_connection(program.address, timeout=20) as plain:
                plain.sendall(b"\0" * 100)
                while plain.recv(4096):
                    pass
        context = authority.client()
        context.check_hostname = False
        connection = http.client.HTTPSConnection(*program.address, timeout=20, context=context)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        assert 'proxy_tls_handshake_failures_total{kind="protocol"} 8' in text
        assert not any("exception" in json.dumps(line) for line in program.lines)
