"""Conversations in a PostgreSQL of each kind."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from uaitools.memory.errors import Unknown
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sessions import Said, Sessions
from uaitools.memory.store.statements import USER_LOCK
from uaitools.tasks import spawn

SAID = [Said("user", "hello", {"n": 1}), Said("assistant", "hi")]


async def test_messages_are_numbered_and_read_from_their_end(scopes: Scopes) -> None:
    sessions = Sessions(scopes)
    await asyncio.gather(*(sessions.add("ann", "s", SAID, key=f"k-{n % 5}") for n in range(15)))
    assert (await sessions.get("ann", "s")).messages == 10
    page, following = await sessions.page("ann", "s", None, 4)
    assert ([one.number for one in page], following) == ([10, 9, 8, 7], 7)
    newest = await sessions.newest("ann", "s", 100, len("hellohi") * 2 + 1)
    assert [(one.number, one.content) for one in newest] == [
        (7, "hello"), (8, "hi"), (9, "hello"), (10, "hi"),
    ]  # fmt: skip
    assert newest[0].metadata == {"n": 1}
    with pytest.raises(Unknown):
        await sessions.page("bob", "s", None, 4)


async def test_the_policy_holds_messages_to_their_user(scopes: Scopes) -> None:
    await Sessions(scopes).add("ann", "s", SAID)
    async with scopes.of("bob") as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute(
                "INSERT INTO messages VALUES"
                " ('ann', 's', 9, gen_random_uuid(), 'user', 'x', '{}', now())"
            )


async def test_the_deletion_of_a_user_waits_for_what_they_are_just_saying(scopes: Scopes) -> None:
    sessions, deletions = Sessions(scopes), Deletions(scopes)
    async with scopes.writing("ann") as connection:
        await connection.execute(
            f"SELECT pg_advisory_xact_lock_shared(hashtextextended('ann', {USER_LOCK}))"
        )
        added = await sessions.add(
            "ann", "s", SAID
        )  # who speaks does not wait for another who does
        deleting = spawn(deletions.begin("ann"), name="delete")

        async def waiting() -> bool:
            async with scopes.everyone() as other:
                return bool(
                    await other.fetchval(
                        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                        " AND database = (SELECT oid FROM pg_database"
                        "  WHERE datname = current_database())"
                    )
                )

        for _ in range(1000):
            if await waiting():
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the deletion waits for nobody")
        late = spawn(sessions.add("ann", "s", SAID), name="speak")
    receipt = await deleting
    assert receipt.removed["messages"] == len(added.messages)
    again = await late
    # What comes after the deletion is a new session, and no reason to go on deleting.
    assert [one.number for one in again.messages] == [1, 2]
    [departure] = await deletions.departures.claim(1, 60)
    assert await deletions.departures.complete(departure, 0)
    assert (await sessions.get("ann", "s")).messages == 2


async def test_a_session_that_is_deleted_while_somebody_speaks_begins_anew(
    scopes: Scopes,
) -> None:
    sessions = Sessions(scopes)
    await sessions.add("ann", "s", SAID)

    async def delete() -> int:
        try:
            return (await sessions.delete("ann", "s")).messages
        except Unknown:
            return 0

    async def speak() -> int:
        return len((await sessions.add("ann", "s", SAID)).messages)

    done = await asyncio.gather(*(speak() if n % 3 else delete() for n in range(60)))
    spoken = 2 + sum(count for n, count in enumerate(done) if n % 3)
    removed = sum(count for n, count in enumerate(done) if not n % 3)
    left = (await sessions.get("ann", "s")).messages if spoken > removed else 0
    assert spoken == removed + left
    page, _ = await sessions.page("ann", "s", None, 100) if left else ([], None)
    assert [one.number for one in page] == list(range(left, 0, -1))
