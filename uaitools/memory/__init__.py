"""Memories of users and the context of conversations, found again by meaning and by word.

    server, api/, mcp/      what comes over HTTP and from assistants, and whose it is about
    service                 what can be done with memories; `config`, `errors`, `metrics`
    copies, rendering       memories as they are shown, in a cache, and when they are forgotten;
                            `paying`, by whom
    searching, ranking      words and meaning, made one list, and read again from the store
    contexts, context/      what of a conversation fits a budget of tokens
    store/                  PostgreSQL, the truth: every statement in the scope of one user

Beside requests:

    following, embed/, index/   what was written is embedded and indexed, from an outbox
    consistency, index_watch    whether that is so; how the index is
    deleting, forgetting        users go for certain; memories go by a `policy`
    touches, analysing, upkeep  reads counted, rows analysed again, what has expired removed
    others, rounds, malloc      other processes told; work done again and again; memory returned

Pure: model, analysis/ (what a text is found by), wanted. evaluation/ scores searches.

    async with MemoryServer(MemoryConfig(), MemoryService(MemoryConfig(), directory)) as server:
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.lazy import lazily

if TYPE_CHECKING:
    from uaitools.memory.config import MemoryConfig
    from uaitools.memory.model import Draft, Memory
    from uaitools.memory.policy import Policy
    from uaitools.memory.searching import SearchRequest
    from uaitools.memory.server import MemoryServer
    from uaitools.memory.service import MemoryService
    from uaitools.memory.wanted import Wanted

__all__ = [
    "Draft",
    "Memory",
    "MemoryConfig",
    "MemoryServer",
    "MemoryService",
    "Policy",
    "SearchRequest",
    "Wanted",
]

_HOMES = {
    "Draft": "uaitools.memory.model",
    "Memory": "uaitools.memory.model",
    "MemoryConfig": "uaitools.memory.config",
    "MemoryServer": "uaitools.memory.server",
    "MemoryService": "uaitools.memory.service",
    "Policy": "uaitools.memory.policy",
    "SearchRequest": "uaitools.memory.searching",
    "Wanted": "uaitools.memory.wanted",
}

__getattr__ = lazily(__name__, _HOMES)
