"""What is marked stays marked until it has been done."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from tests.peers.gateways import settled
from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.outbox import Claim, Outbox
from uaitools.memory.store.scope import Scopes
from uaitools.postgres.database import Database
from uaitools.postgres.pool import Pool


async def make(scopes: Scopes, content: str = "I like tea") -> UUID:
    return (await Creating(scopes).create(Draft("ann", content))).memory.id


async def test_a_new_memory_is_marked_with_its_row(scopes: Scopes) -> None:
    name = await make(scopes)
    [claim] = await Outbox(scopes).claim(10)
    assert (claim.memory_id, claim.user_id, claim.marks, claim.attempts) == (name, "ann", 1, 1)
    assert (await Outbox(scopes).backlog()).size == 1


async def test_what_is_claimed_is_nobody_elses_until_the_claim_is_over(scopes: Scopes) -> None:
    outbox = Outbox(scopes)
    for number in range(20):
        await make(scopes, f"fact {number}")
    claims = await asyncio.gather(*(outbox.claim(5) for _ in range(6)))
    names = [one.memory_id for some in claims for one in some]
    assert (len(names), len(set(names))) == (20, 20)
    assert await outbox.claim(5) == []
    async with scopes.everyone() as connection:
        await connection.execute("UPDATE outbox SET due = now() - interval '1 s'")
    assert {one.attempts for one in await outbox.claim(20)} == {2}


async def test_what_is_done_is_marked_no_more_unless_it_changed_meanwhile(scopes: Scopes) -> None:
    outbox, memories = Outbox(scopes), Memories(scopes)
    first, second = await make(scopes, "one"), await make(scopes, "two")
    claims = await outbox.claim(10)
    await memories.change("ann", second, {"content": "three"})
    await outbox.done(claims)
    [claim] = await outbox.claim(10)
    assert (claim.memory_id, claim.marks) == (second, 2)
    assert first != claim.memory_id


async def test_who_was_late_has_it_looked_at_once_more(scopes: Scopes) -> None:
    """What they wrote to the index may have come after what another one did there."""
    outbox = Outbox(scopes)
    await make(scopes)
    late = await outbox.claim(10, lease=0)
    other = await outbox.claim(10)
    await outbox.done(other)
    assert (await outbox.backlog()).size == 0
    await outbox.done(late)
    [again] = await outbox.claim(10)
    assert again.memory_id == late[0].memory_id


async def test_what_is_marked_meanwhile_stays_with_who_works_on_it(scopes: Scopes) -> None:
    """Or what they write late would be in the place of what another one wrote."""
    outbox, memories = Outbox(scopes), Memories(scopes)
    first, second = await make(scopes, "one"), await make(scopes, "two")
    claims = await outbox.claim(10)
    await memories.change("ann", first, {"content": "three"})
    await memories.delete("ann", second)
    assert await outbox.claim(10) == []
    await outbox.failed(claims, 3600)
    again = await outbox.claim(10)
    assert {one.memory_id: one.attempts for one in again} == {first: 1, second: 1}


async def test_what_a_dead_process_had_is_taken_up_at_once(
    scopes: Scopes, database: Database
) -> None:
    pool = Pool(database.service, name="memory")
    await pool.start()
    name = await make(scopes)
    [dead] = await Outbox(Scopes(pool)).claim(10)
    assert await Outbox(scopes).claim(10) == []
    await pool.stop()
    claims: list[Claim] = []

    async def taken() -> bool:
        claims.extend(await Outbox(scopes).claim(10))
        return bool(claims)

    await settled(taken)  # a session ends a moment after its connection
    assert [one.memory_id for one in claims] == [dead.memory_id] == [name]


async def test_who_failed_late_has_it_looked_at_once_more(scopes: Scopes) -> None:
    """What they tried to write may have been written all the same."""
    outbox = Outbox(scopes)
    name = await make(scopes)
    late = await outbox.claim(10, lease=0)
    other = await outbox.claim(10)
    await outbox.failed(late, 3600)
    await outbox.done(other)
    [again] = await outbox.claim(10)
    assert again.memory_id == name
    await outbox.done([again])
    await outbox.failed(late, 3600)
    assert [one.memory_id for one in await outbox.claim(10)] == [name]


async def test_what_failed_is_tried_again_after_its_pause(scopes: Scopes) -> None:
    outbox = Outbox(scopes)
    await make(scopes)
    claims = await outbox.claim(10)
    await outbox.failed(claims, 3600)
    assert await outbox.claim(10) == []
    async with scopes.everyone() as connection:
        await connection.execute("UPDATE outbox SET due = due - interval '1 h'")
    assert [one.attempts for one in await outbox.claim(10)] == [2]


async def test_marks_may_be_made_by_hand_and_of_what_has_gone(scopes: Scopes) -> None:
    outbox, ghost = Outbox(scopes), uuid4()
    await outbox.mark([("ann", ghost)])
    await outbox.mark([])
    assert [one.memory_id for one in await outbox.claim(10)] == [ghost]


async def test_memories_without_a_vector_of_a_model_are_marked_a_few_at_a_time(
    scopes: Scopes,
) -> None:
    outbox = Outbox(scopes)
    for number in range(5):
        await make(scopes, f"fact {number}")
    await outbox.done(await outbox.claim(10))
    assert [await outbox.mark_others("static/x/1", 3) for _ in range(3)] == [3, 2, 0]


async def test_who_has_marked_few_is_followed_before_who_has_marked_many(scopes: Scopes) -> None:
    """Whether by an import or one by one: the turns of a user are apart."""
    outbox = Outbox(scopes)
    await outbox.mark([("ann", uuid4()) for _ in range(500)])
    for number in range(20):
        await make(scopes, f"fact {number}")
    await outbox.mark([("bob", uuid4()) for _ in range(3)])
    claims = await outbox.claim(10)
    assert [one.user_id for one in claims].count("bob") == 3
    assert len(claims) == 10


async def test_two_who_have_marked_many_take_turns(scopes: Scopes) -> None:
    outbox = Outbox(scopes)
    await outbox.mark([(user, uuid4()) for user in ("ann", "bob") for _ in range(100)])
    users = [one.user_id for one in await outbox.claim(20)]
    assert (users.count("ann"), users.count("bob")) == (10, 10)


async def test_a_users_own_are_followed_in_their_order(scopes: Scopes) -> None:
    outbox = Outbox(scopes)
    names = [await make(scopes, f"fact {number}") for number in range(5)]
    assert {one.memory_id for one in await outbox.claim(3)} == set(names[:3])
