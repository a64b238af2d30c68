"""Several workers behind one address: killed, stopped, replaced, and counted as one."""

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.proxy.program import Program, alive, eventually, stopped, upstream

REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def children(pid: int) -> list[int]:
    """The processes that one has started, zombies as well."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def answered(client: socket.socket) -> bool:
    """Whether a health check that was sent is answered, and not reset."""
    with suppress(ConnectionError):
        return client.recv(4096).startswith(b"HTTP/1.1 200 ")
    return False


@contextmanager
def many(program: Program, count: int) -> Iterator[list[socket.socket]]:
    """Connections with a request each, which nobody may have accepted yet."""
    with ExitStack() as stack:
        clients = [stack.enter_context(program.connect()) for _ in range(count)]
        for client in clients:
            client.sendall(REQUEST)
        yield clients


@contextmanager
def load(program: Program, path: str) -> Iterator[Callable[[], int]]:
    """Requests one after the other, until left; how many were answered so far."""
    ended = threading.Event()
    count = itertools.count()
    done = [0]

    def ask() -> None:
        while not ended.is_set():
            with suppress(OSError):  # those that a dead worker had accepted are lost
                if program.get(path)[0] == 200:
                    done[0] = next(count) + 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: done[0]
    finally:
        ended.set()
        for thread in threads:
            thread.join()


# -- restarts -------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_and_leaves_no_zombie() -> None:
    with Program("--workers", "2") as program:
        first, second = program.workers(2)
        os.kill(second, signal.SIGKILL)

        (ended,) = program.logged("worker ended")
        assert (ended["worker"], ended["status"]) == (1, -signal.SIGKILL)
        successor = program.workers(3)[1]
        assert sorted(children(program.process.pid)) == sorted([first, successor])
        eventually(lambda: program.metric("proxy_worker_deaths_total") == 1)


def test_connections_that_wait_for_a_killed_worker_are_answered_by_its_successor() -> None:
    with Program("--workers", "2") as program:
        program.logged("listening", 2)
        _, second = program.workers(2)
        os.kill(second, signal.SIGSTOP)
        eventually(lambda: stopped(second))
        with many(program, 100) as clients:
            os.kill(second, signal.SIGKILL)

            assert [answered(client) for client in clients].count(False) == 0


SCRIPT = """
import socket, sys
from uaitools import log
from uaitools.sockets import listening_socket
from uaitools.restarts import Restarts
from uaitools.proxy.workers.supervisor import Supervisor

log.configure("info", "test")
first = listening_socket("127.0.0.1", 0, reuse_port=True)
host, port = first.getsockname()
listeners = [first, *(listening_socket(host, port, reuse_port=True) for _ in range(WORKERS - 1))]
log.get_logger("test").info("listening", address=f"{host}:{port}")

class Failing:
    def work(self, listener, channel):
        if listener is first or WORKERS == 1:
            raise LookupError("no such luck")
        listener.setblocking(True)
        while True:
            client, _ = listener.accept()
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            client.close()

    def reload(self):
        return None

sys.exit(Supervisor(Failing(), listeners, Restarts(first=0.01, longest=0.02, deaths=4)).run())
"""


# select(2), BUGS: what is reported as readable need not be.
HASTY = """
import selectors

class Hasty(selectors.DefaultSelector):
    def select(self, timeout=None):
        found = super().select(timeout)
        seen = [key for key, _ in found]
        others = [key for key in self.get_map().values() if key not in seen]
        return [*found, *((key, selectors.EVENT_READ) for key in others)]

selectors.DefaultSelector = Hasty
"""


def failing(workers: int, before: str = "") -> Program:
    return Program(command=("-c", before + SCRIPT.replace("WORKERS", str(workers))))


def test_when_every_worker_is_given_up_the_parent_ends_with_1() -> None:
    with failing(1) as program:
        assert program.ends() == 1

        (given_up,) = program.logged("worker given up")
        assert given_up["deaths"] == 4
        assert len(program.logged("worker started")) == 4
        assert "no such luck" in program.logged("worker failed")[0]["exception"]


def test_the_socket_of_a_worker_that_is_given_up_gets_no_more_connections() -> None:
    with failing(2) as program:
        program.logged("worker given up", worker=0)

        for _ in range(20):
            with many(program, 1) as (client,):
                assert answered(client)


def test_a_channel_that_is_called_readable_and_is_not_harms_nobody() -> None:
    with failing(2, HASTY) as program:
        program.logged("worker given up", worker=0)
        _, survivor = program.workers(2)

        assert alive(survivor)
        with many(program, 1) as (client,):
            assert answered(client)


@pytest.mark.parametrize("workers", ["2", "3"])
def test_without_their_parent_workers_end(workers: str) -> None:
    with Program("--workers", workers) as program:
        program.logged("listening", int(workers))
        pids = program.workers(int(workers))
        program.process.kill()
        program.process.wait()

        eventually(lambda: not any(map(alive, pids)))


def test_a_worker_that_is_stopped_does_not_keep_the_others_from_ending_at_a_second_signal() -> None:
    with Program("--workers", "2") as program:
        program.logged("listening", 2)
        pids = program.workers(2)
        os.kill(pids[0], signal.SIGSTOP)
        program.send(signal.SIGTERM)
        program.logged("worker ended", pid=pids[1])
        program.send(signal.SIGTERM)

        assert program.ends() == 0
        assert not any(map(alive, pids))


# -- sums -----------------------------------------------------------------------------------


def test_metrics_and_status_are_those_of_all_workers_whoever_is_asked() -> None:
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", "2") as program,
    ):
        program.logged("listening", 2)
        for _ in range(30):
            assert program.get("/a")[0] == 200

        for _ in range(10):
            assert program.metric("proxy_endpoint_outcomes_total") == 30
        eventually(lambda: b'"workers":2' in program.get("/api/status")[1])


def test_sums_never_fall_when_workers_are_killed_under_load() -> None:
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", "2") as program,
        load(program, "/a") as done,
    ):
        program.logged("listening", 2)
        seen = [0.0]

        def watch(requests: int) -> None:
            """Scrape until so many more requests were answered."""
            goal = done() + requests

            def look() -> bool:
                with suppress(OSError):  # asked of the worker that is being killed
                    seen.append(program.metric("proxy_endpoint_outcomes_total"))
                assert seen == sorted(seen)
                return done() >= goal

            eventually(look)

        for killed in range(4):
            watch(100)
            os.kill(program.workers(2 + killed)[killed % 2], signal.SIGKILL)
            program.workers(3 + killed)
        watch(100)

        assert seen[-1] >= 400


def test_a_worker_that_is_stopped_holds_nobody_up_and_its_last_counts_stay() -> None:
    with (
        upstream("up") as server,
        Program("--route", f"/a={server.url}", "--workers", "2") as program,
    ):
        program.logged("listening", 2)
        for _ in range(30):
            program.get("/a")
        assert program.metric("proxy_endpoint_outcomes_total") == 30
        first, _ = program.workers(2)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: stopped(first))
        try:
            with ExitStack() as stack:
                # Those whose connections the stopped worker got wait for it; the others answer.
                clients = [stack.enter_context(program.connect()) for _ in range(16)]
                for client in clients:
                    client.settimeout(2.0)
                    client.sendall(REQUEST.replace(b"/health", b"/metrics"))
                began = time.monotonic()
                texts = [text for client in clients if (text := read(client, began + 2.0))]
        finally:
            os.kill(first, signal.SIGCONT)

        assert texts
        for text in texts:
            assert b'outcome="success"' in text
            assert sum(outcomes(text)) == 30


def read(client: socket.socket, until: float) -> bytes:
    """A whole answer, or nothing when there is none by then."""
    received = b""
    try:
        while True:
            client.settimeout(max(0.01, until - time.monotonic()))
            data = client.recv(65536)
            if not data:
                return received
            received += data
    except TimeoutError:
        return b""


def outcomes(text: bytes) -> list[float]:
    return [
        float(line.rpartition(b" ")[2])
        for line in text.splitlines()
        if line.startswith(b"proxy_endpoint_outcomes_total{")
    ]


# -- what workers tell each other -----------------------------------------------------------


def test_an_ejection_in_one_worker_is_one_in_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Program("--route", f"/a={url}", "--workers", "3") as program:
        program.logged("listening", 3)
        with program.connect() as client:  # one connection, hence one worker
            for _ in range(5):
                client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(4096).startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 503 "))

        program.logged("endpoint changed state", 3, new="ejected")
        eventually(lambda: program.metric("proxy_endpoint_ejected") == 3)


def test_a_successor_has_the_configuration_of_the_last_reload(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("[proxy]\nroutes = []\n")
    with Program("--config", str(file), "--workers", "2") as program:
        program.logged("listening", 2)
        file.write_text('[proxy]\nroutes = [{ path = "/a", service = "a" }]\n')
        program.send(signal.SIGHUP)
        program.logged("configuration in force", 2)
        for pid in program.workers(2):
            os.kill(pid, signal.SIGKILL)
        program.workers(4)

        assert [program.get("/a")[0] for _ in range(12)] == [503] * 12


def test_a_worker_that_is_stopped_during_a_reload_has_it_when_it_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("[proxy]\nroutes = []\n")
    with Program("--config", str(file), "--workers", "2") as program:
        program.logged("listening", 2)
        first, _ = program.workers(2)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: stopped(first))
        file.write_text('[proxy]\nroutes = [{ path = "/a", service = "a" }]\n')
        program.send(signal.SIGHUP)
        program.logged("configuration in force")
        os.kill(first, signal.SIGCONT)

        program.logged("configuration in force", 2)
