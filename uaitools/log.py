"""Structured logs: one JSON object a line on standard error.

    {"timestamp": "2026-01-31T12:00:00.000000Z", "level": "info", "service": "proxy",
     "event": "listening", "address": "127.0.0.1:8081"}

Our own events come through structlog; aiohttp, asyncio and other libraries log through the
standard library and are carried into the same stream. A program calls `configure` once; a program
that embeds a component and does not call it keeps its own structlog configuration.
"""

import json
import logging
import sys
from contextlib import suppress
from typing import Any, BinaryIO, Literal, cast

import orjson

# structlog imports rich where it finds it, for a console renderer that is not used here: 31 ms
# and 3.6 MB in every process. A None entry makes it "not installed" while structlog is imported.
_hidden = {"rich": None} if "rich" not in sys.modules else {}
sys.modules.update(cast(Any, _hidden))
import structlog  # noqa: E402 - see above
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger  # noqa: E402

for _name in _hidden:
    del sys.modules[_name]

Level = Literal["debug", "info", "warning", "error"]


def configure(
    level: Level,
    service: str,
    *,
    environment: str | None = None,
    stream: BinaryIO | None = None,
) -> None:
    """Send every event of this process, ours and the libraries', to `stream` as JSON lines.

    level: the least severe level that is written. service: the component that speaks.
    environment: where it runs, in every line if given. stream: standard error unless given.
    Called again, it replaces what was configured before.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,  # exc_info -> `exception`, one field of text
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Renderer(service, environment),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda name="": _Output(name, stream or sys.stderr.buffer),
        # A cached logger would keep its level over a reload that changes it.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_FromStandardLibrary()], level=threshold, force=True)
    logging.captureWarnings(capture=True)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry `logger: name`; `log.info("listening", address=...)`.

    Fields are keyword arguments; `exc_info=error` adds the traceback. A field named like one of
    the standard ones takes its place: `service="llm-router"` speaks for a proxied service.
    """
    return cast(FilteringBoundLogger, structlog.wrap_logger(_Target(name)))


class _Target:
    """Where events go: where the program's structlog says, to standard error if it says nothing.

    structlog's own default is standard output, which belongs to the program.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        if structlog.is_configured():
            return getattr(structlog.get_config()["logger_factory"](self._name), method)
        return getattr(structlog.PrintLogger(sys.stderr), method)


class _Renderer:
    """The last processor: orders the fields and makes the line."""

    def __init__(self, service: str, environment: str | None) -> None:
        self._speaker = {"service": service}
        if environment is not None:
            self._speaker["environment"] = environment

    def __call__(self, logger: WrappedLogger, method: str, fields: EventDict) -> bytes:
        line = {
            "timestamp": fields.pop("timestamp"),
            "level": method,
            **self._speaker,
            "event": fields.pop("event"),
            "logger": logger.name,
            **fields,
        }
        try:
            return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:
            # Lone surrogates and integers over 64 bits, which a hostile peer can provoke.
            return json.dumps(line, default=repr, skipkeys=True).encode("ascii")


class _Output:
    """What structlog writes to: a line is one write, and a lost reader is no failure of ours."""

    __slots__ = ("_stream", "name")

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: bytes) -> None:
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(line + b"\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _FromStandardLibrary(logging.Handler):
    """Carries what libraries log into our stream, in our shape."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max(logging.DEBUG, record.levelno - record.levelno % 10)  # 25 counts as 20
        get_logger(record.name).log(
            min(level, logging.CRITICAL), record.getMessage(), exc_info=record.exc_info
        )
