"""A memory is made once, however often and by however many it is sent."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from uaitools.memory.errors import BadRequest, Changed, Unknown
from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating, Outcome
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.scope import Scopes

TEA = Draft("ann", "I like tea", tags=("drink",), metadata={"n": 1, "deep": {"x": [1, None]}})


async def count(scopes: Scopes, table: str = "memories") -> int:
    async with scopes.everyone() as connection:
        found: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
        return found


async def test_a_memory_is_kept_as_it_was_sent(scopes: Scopes) -> None:
    draft = replace(
        TEA,
        type="preference",
        agent_id="a",
        session_id="s",
        external_id="e",
        expires_at=datetime(2999, 1, 1, tzinfo=UTC),
        pinned=True,
    )
    made = (await Creating(scopes).create(draft)).memory
    assert {name: getattr(made, name) for name in Draft.__dataclass_fields__} == {
        name: getattr(draft, name) for name in Draft.__dataclass_fields__
    }
    assert (made.version, made.access_count, made.superseded) == (1, 0, False)
    assert await Memories(scopes).get("ann", made.id) == made


async def test_the_same_content_is_the_same_memory_whatever_its_case_and_blanks(
    scopes: Scopes,
) -> None:
    creating = Creating(scopes)
    made = await creating.create(TEA)
    again = await creating.create(replace(TEA, content="  i LIKE\n tea "))
    assert (again.outcome, again.memory) == (Outcome.DUPLICATE, made.memory)
    for other in (replace(TEA, user_id="bob"), replace(TEA, agent_id="a")):
        assert (await creating.create(other)).outcome is Outcome.CREATED


async def test_an_expired_twin_does_not_block(scopes: Scopes) -> None:
    creating = Creating(scopes)
    past = datetime.now(UTC) - timedelta(seconds=1)
    old = await creating.create(replace(TEA, external_id="e", expires_at=past))
    new = await creating.create(replace(TEA, external_id="e"))
    assert new.outcome is Outcome.CREATED
    assert new.memory.id != old.memory.id
    assert await count(scopes) == 1
    async with scopes.everyone() as connection:  # the index is to forget the old one
        marked = await connection.fetch("SELECT memory_id FROM outbox")
    assert {row["memory_id"] for row in marked} == {old.memory.id, new.memory.id}


async def test_an_external_id_names_one_memory(scopes: Scopes) -> None:
    creating = Creating(scopes)
    made = await creating.create(replace(TEA, external_id="e"))
    again = await creating.create(replace(TEA, external_id="e", tags=()))
    assert (again.outcome, again.memory) == (Outcome.DUPLICATE, made.memory)
    with pytest.raises(Changed, match="says something else"):
        await creating.create(replace(TEA, content="I like coffee", external_id="e"))


async def test_a_memory_without_an_external_id_gets_that_of_what_says_the_same(
    scopes: Scopes,
) -> None:
    creating, memories = Creating(scopes), Memories(scopes)
    made = (await creating.create(TEA)).memory
    named = await creating.create(replace(TEA, external_id="e", tags=()))
    assert named.outcome is Outcome.DUPLICATE
    assert named.memory == await memories.get("ann", made.id)
    assert named.memory == replace(
        made, external_id="e", version=2, updated_at=named.memory.updated_at
    )
    [before], _ = await memories.history("ann", made.id)
    assert (before.changed, before.document["external_id"]) == ("external_id", None)
    for draft in (TEA, replace(TEA, external_id="e")):  # and no more
        assert (await creating.create(draft)).memory == named.memory
    with pytest.raises(Changed, match=f"memory {made.id} says the same, and has .* 'e'"):
        await creating.create(replace(TEA, external_id="f"))
    with pytest.raises(Changed, match="says something else"):
        await creating.create(replace(TEA, content="I like coffee", external_id="e"))


async def test_of_many_who_name_a_memory_at_once_one_does(scopes: Scopes) -> None:
    creating = Creating(scopes)
    made = (await creating.create(TEA)).memory
    drafts = [replace(TEA, external_id=f"e{number % 2}") for number in range(8)]
    keys = [None, None, None, None, "a", "b", "c", "d"]
    given = await asyncio.gather(*map(creating.create, drafts, keys), return_exceptions=True)
    kept = await Memories(scopes).get("ann", made.id)
    for draft, one in zip(drafts, given, strict=True):
        if draft.external_id == kept.external_id:
            assert not isinstance(one, BaseException)
            assert one.memory == kept
        else:
            assert isinstance(one, Changed)
    assert (kept.version, await count(scopes)) == (2, 1)


async def test_a_key_names_the_memory_that_got_its_external_id(scopes: Scopes) -> None:
    creating = Creating(scopes)
    made = (await creating.create(TEA)).memory
    draft = replace(TEA, external_id="e")
    named = (await creating.create(draft, "k")).memory
    assert (named.id, named.external_id) == (made.id, "e")
    again = await creating.create(draft, "k")
    assert (again.outcome, again.memory) == (Outcome.REPLAYED, named)


async def test_a_request_with_a_key_is_done_once(scopes: Scopes) -> None:
    creating = Creating(scopes)
    made = await creating.create(TEA, "k")
    assert made.outcome is Outcome.CREATED
    again = await creating.create(TEA, "k")
    assert (again.outcome, again.memory) == (Outcome.REPLAYED, made.memory)
    with pytest.raises(Changed, match="another request"):
        await creating.create(replace(TEA, content="I like coffee"), "k")
    assert (await creating.create(replace(TEA, user_id="bob"), "k")).outcome is Outcome.CREATED
    twin = await creating.create(TEA, "another")
    assert (twin.outcome, twin.memory) == (Outcome.DUPLICATE, made.memory)
    assert (await creating.create(TEA, "another")).memory == made.memory
    await Memories(scopes).delete("ann", made.memory.id)
    with pytest.raises(Changed, match="was deleted"):
        await creating.create(TEA, "k")


async def test_keys_are_forgotten_after_a_while(scopes: Scopes) -> None:
    creating = Creating(scopes)
    await creating.create(TEA, "k")
    await creating.forget_keys(timedelta(hours=1))
    assert await count(scopes, "idempotency_keys") == 1
    await creating.forget_keys(timedelta(0))
    assert await count(scopes, "idempotency_keys") == 0


async def test_what_is_said_already_may_supersede_as_well(scopes: Scopes) -> None:
    creating, memories = Creating(scopes), Memories(scopes)
    paris = (await creating.create(replace(TEA, content="I live in Paris"))).memory
    rome = (await creating.create(replace(TEA, content="I live in Rome"))).memory
    draft = replace(TEA, content="I live in Rome", supersedes=paris.id)
    for _ in range(2):  # also when it is sent again
        made = await creating.create(draft)
        assert (made.memory.id, made.outcome) == (rome.id, Outcome.DUPLICATE)
        assert (made.memory.supersedes, made.memory.version) == (paris.id, 2)
    assert (await memories.get("ann", paris.id)).superseded
    bern = (await creating.create(replace(TEA, content="I live in Bern"))).memory
    with pytest.raises(Changed, match="supersedes: memory"):
        await creating.create(replace(draft, supersedes=bern.id))
    assert not (await memories.get("ann", bern.id)).superseded


async def test_history_tells_that_a_memory_was_superseded(scopes: Scopes) -> None:
    creating, memories = Creating(scopes), Memories(scopes)
    berlin = (await creating.create(TEA)).memory
    await creating.create(replace(TEA, content="I live in Munich", supersedes=berlin.id))
    assert (await memories.get("ann", berlin.id)).version == 2
    (before,) = (await memories.history("ann", berlin.id))[0]
    assert (before.version, before.changed) == (1, "superseded")
    assert before.document["superseded"] is False


async def test_what_contradicts_another_one_supersedes_it_and_both_are_kept(scopes: Scopes) -> None:
    creating, memories = Creating(scopes), Memories(scopes)
    berlin = (await creating.create(replace(TEA, content="I live in Berlin"))).memory
    draft = replace(TEA, content="I live in Munich", supersedes=berlin.id)
    munich = (await creating.create(draft)).memory
    assert (await memories.get("ann", berlin.id)).superseded
    assert (await creating.create(draft)).memory == munich  # sent again
    back = await creating.create(replace(TEA, content="I live in Berlin", supersedes=munich.id))
    assert back.outcome is Outcome.CREATED
    assert await count(scopes) == 3
    with pytest.raises(Unknown, match="supersedes"):
        await creating.create(replace(TEA, user_id="bob", supersedes=berlin.id))
    with pytest.raises(BadRequest, match="invalid fields"):
        await creating.create(replace(TEA, content="I live in BERLIN", supersedes=back.memory.id))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("memories", [150, pytest.param(600, marks=pytest.mark.slow)])
async def test_ten_retried_writes_of_each_memory_leave_it_once(
    scopes: Scopes, memories: int
) -> None:
    """By content, external ids and keys, all at once and out of order."""
    creating, dice = Creating(scopes), random.Random(4)

    def draft(number: int) -> tuple[Draft, str | None]:
        one = Draft(f"user-{number % 7}", f"fact number {number}")
        match number % 3:
            case 0:
                return one, None
            case 1:
                return replace(one, external_id=f"e{number}"), None
        return one, f"key-{number}"

    writes = [draft(number) for number in range(memories)] * 10
    dice.shuffle(writes)
    busy = asyncio.Semaphore(20)

    async def write(one: Draft, key: str | None) -> tuple[str, Outcome]:
        async with busy:
            made = await creating.create(one, key)
            return str(made.memory.id), made.outcome

    made = await asyncio.gather(*(write(*one) for one in writes))
    assert await count(scopes) == memories
    assert len({name for name, _ in made}) == memories
    assert sum(outcome is Outcome.CREATED for _, outcome in made) == memories
