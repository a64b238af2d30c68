"""The loads under which the proxies are compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import Generator, streams, wrk
from bench.peers import policies
from bench.peers.policies import KEY
from bench.peers.proxies import POLICED, VARIANTS
from bench.upstreams import BIG_PATH, EVENTS_PER_SECOND, Ports, answering, streaming

_CHAT: Final = "/api/chat"
_UNIQUE: Final = Path(__file__).with_name("unique.lua")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load, what it counts, and the upstream that it needs. ready: a path that answers 200.

    proxies: those that are compared, all that ask nothing of requests when empty.
    """

    name: str
    title: str
    unit: str
    load: Generator
    upstream: Callable[[Path], AbstractContextManager[Ports]] = answering
    ready: str = _CHAT
    proxies: tuple[str, ...] = ()


SCENARIOS: Final = (
    Scenario("same", "identical heads, 64 connections", "request", wrk(64, _CHAT)),
    Scenario("unique", "unique heads, 64 connections", "request", wrk(64, _CHAT, _UNIQUE)),
    Scenario("same512", "identical heads, 512 connections", "request", wrk(512, _CHAT)),
    Scenario("big", "1 MiB bodies, 64 connections", "request", wrk(64, BIG_PATH)),
    Scenario(
        "events",
        f"32 event streams, {EVENTS_PER_SECOND:,} events/s in all",
        "event",
        streams(32, "/events"),
        streaming,
        "/health",
    ),
    Scenario(
        "policies",
        "API key, rate limit; identical heads, 64 connections",
        "request",
        wrk(64, _CHAT, token=lambda: KEY),
        ready="/health",
        proxies=POLICED,
    ),
    Scenario(
        "policies-unique",
        "API key, rate limit; unique heads, 64 connections",
        "request",
        wrk(64, _CHAT, _UNIQUE, token=lambda: KEY),
        ready="/health",
        proxies=POLICED,
    ),
    Scenario(
        "costs",
        "what policies cost; unique heads, 64 connections",
        "request",
        wrk(64, _CHAT, _UNIQUE, token=policies.token),
        ready="/health",
        proxies=("nginx", *VARIANTS),
    ),
)
