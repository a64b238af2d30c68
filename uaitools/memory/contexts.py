"""The context of a conversation, from the session's id to the lines that fit a budget of tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from uaitools.config import ConfigError
from uaitools.memory.context.assemble import Context, assemble
from uaitools.memory.context.config import ContextConfig
from uaitools.memory.context.line import Recalled, Turn
from uaitools.memory.context.tokens import Estimate, ModelTokeniser, Tokeniser
from uaitools.memory.errors import Unknown
from uaitools.memory.model import Memory
from uaitools.memory.searching import Searching, SearchRequest
from uaitools.memory.shares import Shares
from uaitools.memory.store.sessions import Message, Sessions

QUERY: Final = 4096  # characters of what is looked for
_TURNS: Final = 1000  # messages that are looked at, the newest ones
_CHARACTERS: Final = 200_000, 8  # of these: so many, and for each token of the budget
_MEMORY: Final = 80  # tokens of the budget for which one more memory is looked for
_MEMORIES: Final = range(10, 101)
_AT_ONCE: Final = 2  # assembled: each may take a core for half a second


@dataclass(frozen=True, slots=True)
class Assembled:
    """A context. query: what memories were looked for.

    memories, messages: ids by the numbers that lines have for a source, of memories those that are
    in it: a number costs a token or two, an id more than most memories.
    left_out: messages that are not in it verbatim. degraded: what could not be searched.
    """

    context: Context
    query: str
    memories: Mapping[str, UUID]
    messages: Mapping[str, UUID]
    left_out: int
    degraded: Sequence[str]


class Contexts:
    """Makes contexts. made: how many. shares: how many of a user's are made at once."""

    def __init__(
        self, sessions: Sessions, searching: Searching, config: ContextConfig, shares: Shares
    ) -> None:
        self.made = 0
        self._of_users = shares
        self._sessions = sessions
        self._searching = searching
        self._shares = config.shares
        self._tokeniser = tokeniser(config)
        self._working = asyncio.Semaphore(_AT_ONCE)

    def __repr__(self) -> str:
        return f"<Contexts {self._tokeniser!r} made={self.made}>"

    async def context(
        self, user: str, session: str, budget: int, query: str | None = None
    ) -> Assembled:
        """What of a session, and of what is remembered of its user, fits so many tokens.

        query: what memories and the digest are to be about; the newest message of the user's
        unless given. With one there need not be a session yet: it is what is said first in it.
        Raises Unknown, Busy, and ServiceError without a database.
        """
        async with self._of_users.of(user):  # before anything is held of it
            return await self._context(user, session, budget, query)

    async def _context(self, user: str, session: str, budget: int, query: str | None) -> Assembled:
        try:
            spoken = (await self._sessions.get(user, session)).messages
        except Unknown:
            if query is None:
                raise
            spoken = 0
        first, each = _CHARACTERS
        said = await self._sessions.newest(user, session, _TURNS, first + each * budget)
        asked = (query or _question(said))[:QUERY]
        memories, degraded = await self._recalled(user, asked, budget)
        turns = [Turn(str(one.number), one.role, one.content) for one in said]
        recalled = [Recalled(str(place), one.content) for place, one in enumerate(memories, 1)]
        async with self._working:  # a thread: others have their turns on the loop meanwhile
            context = await asyncio.to_thread(
                assemble, turns, recalled, budget, self._tokeniser, query=asked, shares=self._shares
            )
        self.made += 1
        kept = [line.source for line in context.lines if line.kind == "memory"]
        return Assembled(
            context,
            asked,
            {source: memories[int(source) - 1].id for source in kept},
            {str(one.number): one.id for one in said},
            context.left_out + max(0, spoken - len(said)),
            degraded,
        )

    async def _recalled(
        self, user: str, query: str, budget: int
    ) -> tuple[Sequence[Memory], Sequence[str]]:
        if not query.strip():
            return (), ()
        limit = max(_MEMORIES.start, min(_MEMORIES.stop - 1, budget // _MEMORY))
        found = await self._searching.search(user, SearchRequest(query, limit))
        return [memory for memory, _ in found.results], found.degraded


def _question(said: Sequence[Message]) -> str:
    """What was last asked."""
    return next((one.content for one in reversed(said) if one.role == "user"), "")


def tokeniser(config: ContextConfig) -> Tokeniser:
    """What counts tokens. Raises ConfigError where the file is none."""
    if config.tokeniser is None:
        return Estimate()
    try:
        return ModelTokeniser(config.tokeniser.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problem = f"memory.context.tokeniser: {config.tokeniser}: {reason}"
    except ImportError:
        problem = 'memory.context.tokeniser: needs tokenizers: pip install "uaitools[embed]"'
    raise ConfigError([problem])
