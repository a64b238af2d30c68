"""The log of the test's own process."""

import contextlib
import logging
from collections.abc import Iterator

import structlog


@contextlib.contextmanager
def restored_log() -> Iterator[None]:
    """Undo what `log.configure` changes in the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
