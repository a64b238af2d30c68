"""The program as its users run it: processes, signals, its log, and an upstream that is obeyed."""

import http.client
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 15.0) -> T:
    """Look at something observable until it is true; the only place where tests wait."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        time.sleep(0.01)
    return seen


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def stopped(pid: int) -> bool:
    """Whether a process has been stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Program:
    """A running `python -m uaitools.proxy`, or another command that logs as it does.

    It listens on a free port unless the arguments say otherwise. Leaving the block kills it and
    every process that it has started.
    """

    def __init__(
        self, *arguments: str, command: tuple[str, ...] = ("-m", "uaitools.proxy"), **environ: str
    ) -> None:
        self.lines: list[dict[str, Any]] = []
        listen = (
            () if command[0] == "-c" or "--listen" in arguments else ("--listen", "127.0.0.1:0")
        )
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments, *listen],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def freeze(self) -> None:
        """Stop it and every process that it has started, where they stand."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with suppress(ValueError):
                self.lines.append(json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def logged(self, event: str, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait for so many log lines of an event."""

        def look() -> list[dict[str, Any]]:
            found = [
                line
                for line in list(self.lines)
                if line["event"] == event and fields.items() <= line.items()
            ]
            return found if len(found) >= count else []

        return eventually(look)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.logged("listening")[0]["address"].rpartition(":")
        return host, int(port)

    def workers(self, count: int) -> list[int]:
        """The processes of the workers, by index, when so many have been started in all."""
        pids = {line["worker"]: line["pid"] for line in self.logged("worker started", count)}
        return [pids[index] for index in sorted(pids)]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(timeout=20)

    # -- requests ---------------------------------------------------------------------------

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own. Raises OSError when the answer breaks off."""
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError from error
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=20)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        status, text = self.get("/metrics")
        assert status == 200
        return sum(
            float(value)
            for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text.decode(), re.MULTILINE)
        )


class Upstream(socketserver.ThreadingTCPServer):
    """Answers every request with its name; `/slow` in two halves, the second one when released.

    An upgrade becomes an echo. `asked`: requests so far.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.asked = 0
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is nothing to print."""


class _Handler(socketserver.StreamRequestHandler):
    server: Upstream

    def handle(self) -> None:
        while request := self.rfile.readline():
            headers = list(iter(self.rfile.readline, b"\r\n"))
            self.server.asked += 1
            name = self.server.name.encode()
            if any(header.lower().startswith(b"upgrade:") for header in headers):
                self._echo()
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(name)))
            self.wfile.write(name)
            if b"/slow" in request:
                self.server.release.wait(30)
            self.wfile.write(name)

    def _echo(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while data := self.connection.recv(4096):
            self.connection.sendall(data)


@contextmanager
def upstream(name: str) -> Iterator[Upstream]:
    """A running upstream."""
    with ExitStack() as stack:
        server = stack.enter_context(Upstream(name))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        stack.callback(server.release.set)
        yield server
