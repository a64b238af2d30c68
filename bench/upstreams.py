"""What stands behind the proxies, on two ports each, pinned to the core of the load."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.machine import ROOT, Process, cores, free_port, program, raise_file_limit

BIG: Final = 1 << 20  # bytes of /files/big
BIG_PATH: Final = "/files/big"
EVENTS_PER_SECOND: Final = 8000  # over all streams
Ports = tuple[int, int]


def fill(template: Path, target: Path, **values: object) -> Path:
    """Write `template` to `target` with each @NAME@ replaced; returns `target`."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    target.write_text(text)
    return target


def source_environment() -> dict[str, str]:
    """The environment for Python programs that import from this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def answering(folder: Path) -> Iterator[Ports]:
    """nginx: 130 bytes of JSON on every path, 1 MiB on BIG_PATH. Raises Missing."""
    ports = free_port(), free_port()
    files = folder / "files"
    files.mkdir(exist_ok=True)
    folder.chmod(0o755)  # nginx's worker is another user when this is root
    (files / "big").write_bytes(os.urandom(1 << 16) * (BIG >> 16))
    conf = fill(
        ROOT / "bench" / "upstream.conf",
        folder / "upstream.conf",
        port_a=ports[0],
        port_b=ports[1],
        connections=min(raise_file_limit(), 8192),
    )
    argv = [program("nginx"), "-p", str(folder), "-c", str(conf), "-e", "stderr"]
    with Process("upstream", argv, core=cores()[1], folder=folder, port=ports[0]):
        yield ports


@contextlib.contextmanager
def streaming(folder: Path) -> Iterator[Ports]:
    """bench.events: endless event streams on every path but /health."""
    ports = free_port(), free_port()
    argv = [sys.executable, "-m", "bench.events", str(EVENTS_PER_SECOND), *map(str, ports)]
    with Process(
        "events",
        argv,
        core=cores()[1],
        folder=folder,
        port=ports[0],
        env=source_environment(),
    ):
        yield ports
