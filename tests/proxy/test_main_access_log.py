"""The access log of the program: on standard output, in files that are rotated, of all workers."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.program import Program, eventually, upstream

EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "2"])


def configuration(folder: Path, url: str, file: Path | str) -> Path:
    path = folder / "uaitools.toml"
    path.write_text(
        f'[proxy]\naccess_log = {{ enabled = true, file = "{file}" }}\n'
        f'[proxy.services]\na = "{url}"\n[[proxy.routes]]\npath = "/"\nservice = "a"\n'
    )
    return path


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@EVERY_SIZE
def test_no_line_is_lost_or_torn_while_files_are_rotated_under_load(
    tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "access.log"
    with upstream("a") as server:
        config = configuration(tmp_path, server.url, file)
        with Program("--config", str(config), "--workers", workers) as program:
            answered = [0] * 4
            ended = threading.Event()

            def ask(place: int) -> None:
                while not ended.is_set():
                    with suppress(OSError):
                        answered[place] += program.get("/x")[0] == 200

            threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
            for thread in threads:
                thread.start()
            for number in range(1, 4):
                eventually(lambda: len(lines(file)) > 20)
                file.rename(tmp_path / f"access.log.{number}")
                program.send(signal.SIGHUP)
                eventually(file.exists)
            ended.set()
            for thread in threads:
                thread.join()
            program.send(signal.SIGTERM)
            assert program.ends() == 0
    written = [line for one in tmp_path.glob("access.log*") for line in lines(one)]
    assert len(written) == sum(answered)
    assert len({line["request_id"] for line in written}) == len(written)


@EVERY_SIZE
def test_sighup_opens_the_file_anew_even_if_the_configuration_is_wrong(
    tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "access.log"
    with upstream("a") as server:
        config = configuration(tmp_path, server.url, file)
        with Program("--config", str(config), "--workers", workers) as program:
            program.logged("listening", int(workers))
            for _ in range(30):  # some for every worker
                program.get("/x")
            eventually(lambda: len(lines(file)) == 30)
            file.unlink()
            config.write_text("nonsense")
            program.send(signal.SIGHUP)
            program.logged("configuration is wrong, the old one stays")
            # A worker that does not follow writes to a file that has no name any more.
            eventually(lambda: program.get("/x")[0] and lines(file))
            before = int(program.metric("proxy_access_log_lines_total"))
            for _ in range(30):
                program.get("/x")
            eventually(lambda: program.metric("proxy_access_log_lines_total") >= before + 30)
            assert sum(line["path"] == "/x" for line in lines(file)) >= 30


def test_standard_output_has_whole_lines_of_all_workers(tmp_path: Path) -> None:
    with upstream("a") as server:
        config = configuration(tmp_path, server.url, "-")
        script = (
            f"exec {sys.executable} -m uaitools.proxy --config {config} --workers 2 "
            f"--listen 127.0.0.1:0 | cat > {tmp_path}/out"
        )
        program = Program(command=("-c", _EXEC, script))
        with program:
            for _ in range(50):
                assert program.get("/x")[0] == 200
            eventually(lambda: len(lines(tmp_path / "out")) == 50)


_EXEC = "import os, sys; os.execvp('sh', ['sh', '-c', sys.argv[1]])"


def test_a_killed_worker_leaves_no_torn_line(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    with upstream("a") as server:
        config = configuration(tmp_path, server.url, file)
        with Program("--config", str(config), "--workers", "2") as program:
            first, _ = program.workers(2)
            for _ in range(20):
                program.get("/x")
            subprocess.run(["kill", "-9", str(first)], check=True)
            program.logged("worker started", 3)
            eventually(lambda: program.metric("proxy_worker_deaths_total"))
            eventually(lambda: program.metric("proxy_access_log_lines_total"))
            assert all(line["status"] == 200 for line in lines(file))


def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    config = configuration(tmp_path, "http://127.0.0.1:9", tmp_path / "none" / "access.log")
    ended = subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--config", str(config), "--listen", "[::1]:0"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert (
        ended.stderr == f"cannot write to {tmp_path}/none/access.log: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('file = "access.log"', 'file: must be an absolute path of a file, or "-"'),
        ("sample = 1.5", "sample: must be less than or equal to 1"),
        ('query = "full"', "query: must be 'off' or 'redacted'"),
        ("buffer = 1", "buffer: must be greater than or equal to 65536"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: str, problem: str) -> None:
    config = tmp_path / "uaitools.toml"
    config.write_text(f"[proxy.access_log]\n{settings}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "uaitools.proxy", "--config", str(config), "--check"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert f"proxy.access_log.{problem}" in ended.stderr
