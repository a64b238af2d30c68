"""Conversations of users: what was said is added at the end, and read from there.

A request that is sent again says nothing twice: its key makes the ids of its messages, and the ids
of what was deleted are not given again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4, uuid5

import orjson
from asyncpg import Record

from uaitools.memory.errors import Changed, Unknown
from uaitools.memory.store.conditions import LIVE
from uaitools.memory.store.pages import bounded
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import (
    BURIED,
    NAMED,
    SESSION_LOCK,
    USER_LOCK,
    buried,
    buried_unmarked,
    count_of,
    pairs,
)

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_NAMESPACE: Final = UUID("5f2b6b63-6a51-4d3c-9c3e-0d9f6f6a2b11")  # of ids that keys make
_SESSION: Final = "id, user_id, agent_id, created_at, updated_at, messages"
_MESSAGE: Final = "id, session_id, number, role, content, metadata, created_at"
# Who changes a session has a turn until the commit: messages get their numbers one after the
# other. The deletion of a user waits for all who change one of that user's, see `deletions`.
_TURN: Final = f"""
    SELECT pg_advisory_xact_lock_shared(hashtextextended($1, {USER_LOCK})),
        pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, {SESSION_LOCK}))
"""
_BEGIN: Final = """
    INSERT INTO sessions (user_id, id, agent_id, created_at, updated_at)
    VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp())
    ON CONFLICT (user_id, id) DO UPDATE SET agent_id = coalesce(sessions.agent_id, $3)
"""
_ADD: Final = f"""
    WITH grown AS (
        UPDATE sessions SET messages = messages + cardinality($3::uuid[]),
            updated_at = clock_timestamp()
        WHERE user_id = $1 AND id = $2
        RETURNING messages - cardinality($3::uuid[]) AS before, updated_at
    )
    INSERT INTO messages (user_id, session_id, number, id, role, content, metadata, created_at)
    SELECT $1, $2, before + place, said.id, role, content, metadata::jsonb,
        coalesce(created_at, updated_at)
    FROM grown, unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
        WITH ORDINALITY AS said (id, role, content, metadata, created_at, place)
    RETURNING {_MESSAGE}
"""
_KNOWN: Final = f"SELECT {_MESSAGE} FROM messages WHERE user_id = $1 AND id = ANY($2::uuid[])"
_ENDED: Final = f"SELECT EXISTS (SELECT FROM {NAMED} WHERE {BURIED})"
_PAGE: Final = bounded(
    f"SELECT {_MESSAGE}, bytes FROM messages"
    " WHERE user_id = $1 AND session_id = $2 AND ($3::bigint IS NULL OR number < $3)",
    "number DESC",
    "$4",
)
_NEWEST: Final = f"""
    SELECT {_MESSAGE} FROM (
        SELECT {_MESSAGE}, sum(length(content)) OVER (ORDER BY number DESC) AS sofar FROM (
            SELECT {_MESSAGE} FROM messages WHERE user_id = $1 AND session_id = $2
            ORDER BY number DESC LIMIT $3
        ) AS newest
    ) AS counted WHERE sofar <= $4 ORDER BY number
"""
_LINKED: Final = f"""
    (SELECT count(*) FROM memories WHERE memories.user_id = sessions.user_id
        AND memories.session_id = sessions.id AND {LIVE}) AS memories
"""
_GET: Final = f"SELECT {_SESSION}, {_LINKED} FROM sessions WHERE user_id = $1 AND id = $2"
_LIST: Final = f"""
    SELECT {_SESSION}, {_LINKED} FROM sessions
    WHERE user_id = $1 AND ($2::text IS NULL OR agent_id = $2)
        AND ($3::timestamptz IS NULL OR (updated_at, id) < ($3, $4))
    ORDER BY updated_at DESC, id DESC LIMIT $5
"""
_BURY: Final = buried_unmarked("messages", "user_id = $1 AND session_id = $2")
_END: Final = "DELETE FROM sessions WHERE user_id = $1 AND id = $2"
_BURY_LINKED: Final = buried("user_id = $1 AND session_id = $2")
_IDLE: Final = """
    SELECT user_id, id FROM sessions WHERE updated_at < now() - $1::interval
    ORDER BY updated_at LIMIT $2
"""
_SPOKEN_IN: Final = """
    SELECT EXISTS (SELECT FROM sessions
        WHERE user_id = $1 AND id = $2 AND updated_at >= now() - $3::interval)
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says. created_at: when; now, where it is not told."""

    role: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What was said. number: its place in the session, from 1."""

    id: UUID
    session_id: str
    number: int
    role: str
    content: str
    metadata: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. messages, memories: how many there are of it. updated_at: of the newest."""

    id: str
    user_id: str
    agent_id: str | None
    created_at: datetime
    updated_at: datetime
    messages: int
    memories: int


@dataclass(frozen=True, slots=True)
class Added:
    """Messages that are there now. replayed: they were before, by the same key."""

    messages: Sequence[Message]
    replayed: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """How much went with a session."""

    messages: int
    memories: int


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """Where a page of sessions ended."""

    updated_at: datetime
    id: str


class Sessions:
    """The conversations of each user."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Sessions {self._scopes!r}>"

    async def add(
        self,
        user: str,
        session: str,
        said: Sequence[Said],
        *,
        agent: str | None = None,
        key: str | None = None,
    ) -> Added:
        """Add messages at the end of a session, which begins with the first ones.

        key: equal for one request that is sent again. Raises Changed where another one had it, or
        what it said was deleted.
        """
        names = _names(user, session, key, len(said))
        async with self._scopes.writing(user) as connection:
            await connection.execute(_TURN, user, session)
            await connection.execute(_BEGIN, user, session, agent)
            if key is not None:
                known = await _known(connection, user, names, said)
                if known:
                    return Added(known, replayed=True)
            rows = await connection.fetch(
                _ADD,
                user,
                session,
                names[: len(said)],
                [one.role for one in said],
                [one.content for one in said],
                [orjson.dumps(dict(one.metadata)).decode() for one in said],
                [one.created_at for one in said],
            )
        return Added(_messages(rows), replayed=False)

    async def get(self, user: str, session: str) -> Session:
        """One session. Raises Unknown."""
        async with self._scopes.of(user) as connection:
            row = await connection.fetchrow(_GET, user, session)
        if row is None:
            raise _unknown()
        return Session(**dict(row))

    async def list(
        self, user: str, agent: str | None, after: SessionPlace | None, limit: int
    ) -> tuple[Sequence[Session], SessionPlace | None]:
        """The sessions that were last spoken in, and where they go on. agent: only of this one."""
        moment, name = (None, None) if after is None else (after.updated_at, after.id)
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(_LIST, user, agent, moment, name, limit + 1)
        found = [Session(**dict(row)) for row in rows[:limit]]
        more = len(rows) > limit
        return found, SessionPlace(found[-1].updated_at, found[-1].id) if more else None

    async def page(
        self, user: str, session: str, before: int | None, limit: int
    ) -> tuple[Sequence[Message], int | None]:
        """Messages, newest first, and the number before which they go on. Raises Unknown."""
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(_PAGE, user, session, before, limit)
            if not rows and not await connection.fetchval(_GET, user, session):
                raise _unknown()
        found = _messages(rows)
        return found, found[-1].number if found and found[-1].number > 1 else None

    async def newest(
        self, user: str, session: str, most: int, characters: int
    ) -> Sequence[Message]:
        """The newest messages that have so many characters together, oldest first."""
        async with self._scopes.of(user) as connection:
            return _messages(await connection.fetch(_NEWEST, user, session, most, characters))

    async def delete(self, user: str, session: str, *, memories: bool = False) -> Removed:
        """Remove a session for good, and its memories as well if wanted. Raises Unknown."""
        scope = self._scopes.sweeping if memories else self._scopes.writing
        async with scope(user) as connection:
            await connection.execute(_TURN, user, session)
            removed = await _removed(connection, user, session, memories=memories)
        if removed is None:
            raise _unknown()
        return removed

    async def end_idle(self, age: timedelta, most: int) -> int:
        """Remove sessions of all users in which nothing was said for so long; how many."""
        async with self._scopes.everyone() as connection:
            idle = await connection.fetch(_IDLE, age, most)
        ended = 0
        for user, session in idle:
            async with self._scopes.writing(user) as connection:
                await connection.execute(_TURN, user, session)
                if not await connection.fetchval(_SPOKEN_IN, user, session, age):
                    ended += bool(await _removed(connection, user, session, memories=False))
        return ended


def _unknown() -> Unknown:
    return Unknown("session with that id", listed="/sessions")


def _messages(rows: Sequence[Record]) -> list[Message]:
    return [Message(*(row[name] for name in Message.__slots__)) for row in rows]


def _names(user: str, session: str, key: str | None, count: int) -> list[UUID]:
    """Ids for so many messages; where a key makes them, that of a next one as well."""
    if key is None:
        return [uuid4() for _ in range(count)]
    # The length keeps a user's id apart from what follows it; a session's has no blanks.
    return [
        uuid5(_NAMESPACE, f"{len(user)} {user} {session} {key} {place}")
        for place in range(count + 1)
    ]


async def _known(
    connection: Connection, user: str, names: Sequence[UUID], said: Sequence[Said]
) -> list[Message]:
    """What a request said that came before with the same key, if any. Raises Changed."""
    if await connection.fetchval(_ENDED, *pairs((user, name) for name in names)):
        raise Changed("what this request has said was deleted; take a new Idempotency-Key")
    known = _messages(await connection.fetch(f"{_KNOWN} ORDER BY number", user, names))
    if known and [(one.role, one.content) for one in known] != [
        (one.role, one.content) for one in said
    ]:
        raise Changed("Idempotency-Key: another request had this key; take a new one")
    return known


async def _removed(
    connection: Connection, user: str, session: str, *, memories: bool
) -> Removed | None:
    """Remove a session whose turn it is; None if there was nothing of it."""
    said = await connection.fetchval(_BURY, user, session)
    ended = count_of(await connection.execute(_END, user, session))
    linked = await connection.fetchval(_BURY_LINKED, user, session) if memories else 0
    return Removed(said, linked) if ended or linked else None
