"""`python -m bench.tls`: what TLS costs, in memory and CPU, beside plain HTTP and nginx.

For each server, in a process of its own on a core of its own, over kept connections:

    idle       KB a connection with all of them open, the handshake made and nothing said
    request    KB a connection after one small request on each; CPU microseconds of one
    upload     KB a connection after a 64 KiB upload on each; CPU microseconds of one
    handshake  CPU microseconds of one, TLS 1.3, P-256, no resumption

The gateway answers by itself (`/health`, and 405 to the upload); nginx does with `return`. So the
request figures of both are no comparison of proxies: bench.peers has that.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.machine import (
    Broken,
    Missing,
    Process,
    cores,
    cpu,
    describe,
    free_port,
    program,
    raise_file_limit,
    resident,
    stay_on_load_core,
    warnings,
)
from bench.record import RESULTS, save
from bench.upstreams import source_environment

_SETTLE: Final = 1.0  # seconds until memory is read
_WARM: Final = 50  # connections whose cost is not counted
_SMALL: Final = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
_UPLOAD: Final = b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + bytes(65536)
_NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 100000; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
    server {{ listen 127.0.0.1:{plain}; return 200 "{{}}"; }}
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key};
        return 200 "{{}}";
    }}
}}
"""
# The event loop's own TLS, for comparison: the least that answers.
_LOOP: Final = """
import asyncio, ssl, sys
from uaitools.lifecycle import new_event_loop

class Answer(asyncio.Protocol):
    left = 0
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if self.left:
            self.left -= len(data)
        elif data.startswith(b"POST"):
            self.left = 65536 - (len(data) - data.index(b"\\r\\n\\r\\n") - 4)
        if not self.left:
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")

async def main():
    plain, port, cert, key, loop_name = sys.argv[1:]
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    await loop.create_server(Answer, "127.0.0.1", int(plain))
    await loop.create_server(Answer, "127.0.0.1", int(port), ssl=context)
    await asyncio.Event().wait()

factory = asyncio.new_event_loop if sys.argv[-1] == "asyncio" else new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """KB a connection above the empty server, and CPU microseconds."""

    server: str
    connections: int
    idle_kb: float
    request_kb: float
    upload_kb: float
    handshake_us: float
    request_us: float
    upload_us: float


@dataclass(frozen=True, slots=True)
class Server:
    """How one is started. ready: the port that answers plain HTTP; port: the one measured."""

    name: str
    argv: Sequence[str]
    ready: int
    port: int
    secure: bool = True


def certificate(folder: Path) -> tuple[str, str]:
    """A self-signed P-256 certificate. Raises Missing without openssl."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return str(cert), str(key)


def servers(folder: Path) -> list[Callable[[], Server]]:
    """What is measured, in this order; each raises Missing when it is not installed."""
    cert, key = certificate(folder)

    def gateway(*, secure: bool) -> Server:
        port, plain = free_port(), free_port()
        listen = port if secure else plain
        lines = ["[proxy]", f'listen = "127.0.0.1:{listen}"']
        if secure:
            lines += ["[proxy.tls]", f'certificates = [{{ cert = "{cert}", key = "{key}" }}]']
            lines.append(f'redirect = "127.0.0.1:{plain}"')
        file = folder / f"gateway-{secure}.toml"
        file.write_text("\n".join(lines))
        argv = [sys.executable, "-m", "uaitools.proxy", "--config", str(file)]
        name = "uaitools" if secure else "uaitools, plain"
        return Server(name, argv, plain, listen, secure)

    def loop(name: str) -> Server:
        script = folder / "loop.py"
        script.write_text(_LOOP)
        port, plain = free_port(), free_port()
        argv = [sys.executable, str(script), str(plain), str(port), cert, key, name]
        return Server(f"{name}'s own TLS", argv, plain, port)

    def nginx() -> Server:
        port, plain = free_port(), free_port()
        file = folder / "nginx.conf"
        file.write_text(_NGINX.format(folder=folder, plain=plain, port=port, cert=cert, key=key))
        return Server("nginx", [program("nginx"), "-c", str(file)], plain, port)

    return [
        lambda: gateway(secure=False),
        lambda: gateway(secure=True),
        lambda: loop("uvloop"),
        lambda: loop("asyncio"),
        nginx,
    ]


def connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    """A connection with its handshake made."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    return plain if context is None else context.wrap_socket(plain)


def ask(connection: socket.socket, request: bytes) -> None:
    """Send a request and read an answer, which is small."""
    connection.sendall(request)
    received = connection.recv(65536)
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        received += connection.recv(65536)


def ask_all(connections: Sequence[socket.socket], request: bytes) -> None:
    """The same on each, one after the other."""
    for one in connections:
        ask(one, request)


def measure(server: Server, process: Process, count: int) -> Cost:
    """Open the connections and read memory and CPU after each step."""
    context: ssl.SSLContext | None = None
    if server.secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    warm = [connect(server.port, context) for _ in range(_WARM)]
    for one in warm:
        ask(one, _SMALL)
        ask(one, _UPLOAD)
        one.close()
    time.sleep(_SETTLE)
    before = resident(process.pid)
    opened: list[socket.socket] = []
    figures: list[tuple[float, float]] = []
    steps: list[Callable[[], object]] = [
        lambda: opened.extend(connect(server.port, context) for _ in range(count)),
        lambda: ask_all(opened, _SMALL),
        lambda: ask_all(opened, _UPLOAD),
    ]
    try:
        for step in steps:
            spent = cpu(process.pid)
            step()
            used = (cpu(process.pid) - spent).total
            time.sleep(_SETTLE)
            figures.append(((resident(process.pid) - before) / count / 1024, used / count * 1e6))
    finally:
        for one in opened:
            one.close()
    (idle, shake), (asked, request), (loaded, upload) = figures
    return Cost(server.name, count, idle, asked, loaded, shake, request, upload)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is installed, print the table, write bench/results/tls.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.tls", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    raise_file_limit()
    stay_on_load_core()
    for warning in warnings():
        print(f"warning: {warning}")
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for prepare in servers(folder):
            try:
                server = prepare()
                with Process(
                    server.name,
                    server.argv,
                    core=cores()[0],
                    folder=folder,
                    port=server.ready,
                    env=source_environment(),
                ) as process:
                    costs.append(measure(server, process, options.connections))
            except (Missing, Broken) as error:
                print(f"skipped: {error}")
    print(f"{'':20} {'KB idle':>8} {'request':>8} {'upload':>8}   us: handshake request upload")
    for cost in costs:
        print(
            f"{cost.server:20} {cost.idle_kb:8.1f} {cost.request_kb:8.1f} {cost.upload_kb:8.1f}"
            f"   {cost.handshake_us:13.0f} {cost.request_us:7.0f} {cost.upload_us:6.0f}"
        )
    document = {"machine": describe(), "method": __doc__, "costs": [asdict(c) for c in costs]}
    print(f"written: {save(options.results, 'tls', document)}")
    return 0 if costs else 1


if __name__ == "__main__":
    sys.exit(main())
