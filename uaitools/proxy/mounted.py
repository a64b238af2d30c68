"""A component of ours that is reached by a gateway's listener instead of one of its own.

An aiohttp connection costs 10 KB or more and a gateway's 1.4 (docs/measurements.md), and its
patience, its bounds and its strictness are worth having in front of every server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from uaitools.metrics import Sample
from uaitools.proxy.direct import Answer
from uaitools.web import Times


@dataclass(frozen=True, slots=True)
class Mounted:
    """What a gateway serves under its own name.

    name: in errors, /health and metrics, and the audience of principal tokens. app: its paths.
    dependencies: whether each works, by name, None for one that is not configured. required: those
    without which /health is 503.
    samples: its metrics, beside the gateway's. direct: what it answers without `app`, by the names
    under which routes know it as a service, each with the status of a good answer. message_as: a
    further field of error bodies that has the message. times: of /health, see web.application.
    """

    name: str
    app: web.Application
    dependencies: Callable[[], Mapping[str, bool | None]] = dict
    samples: Callable[[], Iterable[Sample]] = tuple
    direct: Mapping[str, tuple[Answer, int]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    message_as: str = ""
    times: Times = "seconds"
