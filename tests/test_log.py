import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.peers.logs import restored_log
from uaitools import log

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored_log():
        yield


@pytest.fixture
def lines() -> Lines:
    stream = io.BytesIO()
    log.configure("info", "proxy", stream=stream)
    return lambda: [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_what_an_embedding_program_has_not_configured_goes_to_standard_error() -> None:
    script = "from uaitools import log; log.get_logger('x').info('registered', id='a-1')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20
    )

    assert done.stdout == ""
    assert "registered" in done.stderr
    assert "a-1" in done.stderr


def test_an_event_is_one_line_with_the_standard_fields_first(lines: Lines) -> None:
    log.get_logger("uaitools.proxy").info("listening", port=8081)

    (line,) = lines()
    assert list(line) == ["timestamp", "level", "service", "event", "logger", "port"]
    assert (line["level"], line["service"], line["event"]) == ("info", "proxy", "listening")
    assert (line["logger"], line["port"]) == ("uaitools.proxy", 8081)


def test_a_line_says_where_it_was_written_if_that_has_a_name() -> None:
    stream = io.BytesIO()
    log.configure("info", "proxy", environment="staging", stream=stream)
    log.get_logger("x").info("up")

    assert orjson.loads(stream.getvalue())["environment"] == "staging"


def test_the_timestamp_is_rfc_3339_in_utc(lines: Lines) -> None:
    log.get_logger("x").info("now")

    (line,) = lines()
    assert line["timestamp"].endswith("Z")
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    log.get_logger("x").debug("chatter")
    logging.getLogger("aiohttp").debug("chatter")

    assert lines() == []


def test_a_logger_made_before_follows_a_later_configuration() -> None:
    logger = log.get_logger("x")
    stream = io.BytesIO()
    log.configure("error", "proxy", stream=stream)
    logger.info("not yet")

    log.configure("debug", "proxy", stream=stream)
    logger.debug("now")

    assert [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["now"]


def test_an_exception_is_one_field(lines: Lines) -> None:
    try:
        int("broken\n")
    except ValueError as error:
        log.get_logger("x").error("failed", exc_info=error)

    (line,) = lines()
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith(r"with base 10: 'broken\n'")


def test_libraries_log_into_the_same_stream_in_the_same_shape(lines: Lines) -> None:
    try:
        int("gone")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling %s", "request")

    (line,) = lines()
    assert (line["service"], line["logger"]) == ("proxy", "aiohttp.server")
    assert (line["level"], line["event"]) == ("error", "Error handling request")
    assert line["exception"].endswith("'gone'")


@pytest.mark.parametrize(("level", "name"), [(25, "info"), (35, "warning"), (99, "critical")])
def test_a_library_may_have_levels_of_its_own(lines: Lines, level: int, name: str) -> None:
    logging.getLogger("x").log(level, "odd")

    assert [line["level"] for line in lines()] == [name]


def test_a_warning_is_an_event(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # pytest has put its own catcher in between
        logging.captureWarnings(capture=True)
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)

    (line,) = lines()
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "this is old" in line["event"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"\xff\n", "b'\\xff\\n'"),
        ("a\nb\u2028c", "a\nb\u2028c"),
        ("lone \udcff", "lone \udcff"),
        (2**70, 2**70),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_no_value_breaks_the_line_or_the_caller(value: object, written: object) -> None:
    stream = io.BytesIO()
    log.configure("info", "proxy", stream=stream)

    log.get_logger("x").info("odd", value=value)

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["value"] == written


def test_a_field_of_the_callers_takes_the_place_of_a_standard_one(lines: Lines) -> None:
    log.get_logger("x").info("ejected", service="llm-router")

    assert [line["service"] for line in lines()] == ["llm-router"]


def test_a_reader_that_is_gone_is_no_failure_of_the_service() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        log.configure("info", "proxy", stream=pipe)
        log.get_logger("x").info("into the void")
    log.get_logger("x").info("into what is closed")


def test_a_program_writes_to_standard_error_only() -> None:
    program = (
        "from uaitools import log; log.configure('info', 'hub');"
        "log.get_logger('x').info('up'); import warnings; warnings.warn('old')"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b""
    events = [orjson.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events[0] == "up"
    assert "old" in events[1]


def test_importing_it_leaves_rich_out_and_importable() -> None:
    program = (
        "import sys; from uaitools import log; assert 'rich' not in sys.modules;import rich.console"
    )
    pytest.importorskip("rich")

    subprocess.run([sys.executable, "-c", program], check=True)
