"""The embedded server's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from uaitools.postgres.embedded.cluster import LOG_SIZE, Cluster
from uaitools.postgres.embedded.log import bound


def test_a_long_log_is_begun_anew_and_its_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as server:
        for number in range(3):
            server.write(b"%d" % number * 100)
            bound(log, 150)
            assert log.stat().st_size <= 150
        server.write(b"3")  # at the end, wherever that is
    assert log.read_bytes() == b"2" * 100 + b"3"
    assert (tmp_path / "log.1").read_bytes() == b"0" * 50 + b"1" * 100
    assert {one.name for one in tmp_path.iterdir()} == {"log", "log.1"}


def test_nothing_is_written_where_a_link_leads(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"x" * 100)
    (tmp_path / "log").symlink_to(other)
    with pytest.raises(OSError, match="log"):
        bound(tmp_path / "log", 10)
    log = tmp_path / "a" / "log"
    log.parent.mkdir()
    log.write_bytes(b"y" * 100)
    for name in (".log.1", "log.1"):
        (log.parent / name).symlink_to(other)
    bound(log, 10)
    assert other.read_bytes() == b"x" * 100
    assert (log.parent / "log.1").read_bytes() == b"y" * 10


def test_a_server_that_runs_goes_on_in_a_log_that_was_begun_anew(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "data")
    cluster.enter()
    try:
        log = tmp_path / "data/postgres/log"
        with log.open("ab") as file:
            file.write(b"x" * LOG_SIZE)
        cluster.tend()
        assert log.stat().st_size == 0
    finally:
        cluster.leave()
    assert b"shut" in log.read_bytes()
