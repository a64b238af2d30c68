"""Two users may have the same ids, and neither learns of the other's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from uuid import UUID

import pytest

from uaitools.memory.errors import Unknown
from uaitools.memory.index.port import Held
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.differences import Differences
from uaitools.memory.store.embeddings import Embeddings
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.outbox import Outbox
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sessions import Said, Sessions
from uaitools.memory.store.transfer import Taken, Transfer
from uaitools.memory.touches import Touches

VECTOR = b"\0\0\x80\x3f"


async def take(scopes: Scopes, *memories: Memory, everyone: bool = False) -> dict[str, int]:
    taken = Taken()
    user = None if everyone else memories[0].user_id
    await Transfer(scopes).take(user, memories, taken)
    return {name: count for name, count in asdict(taken).items() if count}


async def both(scopes: Scopes) -> tuple[Memory, Memory]:
    """A memory of ann's, and one of bob's that has its id."""
    made = (await Creating(scopes).create(Draft("ann", "I like tea"))).memory
    hers = replace(made, id=UUID(str(made.id)))  # as it comes with an import
    his = replace(hers, user_id="bob", content="I like milk")
    assert await take(scopes, his) == {"imported": 1}
    return hers, his


async def listed(rows: AsyncIterator[Sequence[Memory]]) -> list[Memory]:
    return [one async for page in rows for one in page]


async def test_an_id_of_anothers_is_taken_as_one_that_nobody_has(scopes: Scopes) -> None:
    hers, his = await both(scopes)
    await Memories(scopes).delete("ann", hers.id)
    eve = replace(his, user_id="eve")  # one that is there, and one that was deleted
    assert await take(scopes, eve) == {"imported": 1}
    assert await take(scopes, hers) == {"deleted": 1}
    await Deletions(scopes).begin("bob")
    assert await take(scopes, his) == {"deleted": 1}
    assert await Memories(scopes).get("eve", eve.id) == eve


async def test_a_service_that_moves_those_of_all_tells_them_apart(scopes: Scopes) -> None:
    hers, his = await both(scopes)
    transfer = Transfer(scopes)
    assert await listed(transfer.pages(None)) == [hers, his]
    assert await listed(transfer.pages("bob")) == [his]
    await Memories(scopes).delete("ann", hers.id)
    eve = replace(hers, user_id="eve")
    said = {"imported": 1, "present": 1, "deleted": 1, "duplicates": 1}
    assert await take(scopes, hers, his, eve, eve, everyone=True) == said
    assert await listed(transfer.pages(None)) == [his, eve]


async def test_what_is_done_to_one_is_not_done_to_the_other(scopes: Scopes) -> None:
    hers, his = await both(scopes)
    memories, touches = Memories(scopes), Touches(scopes)
    touches.add("ann", (hers.id, hers.id))
    touches.add("bob", (his.id,))
    await touches.flush()
    assert (await memories.get("ann", hers.id)).access_count == 2
    assert (await memories.get("bob", his.id)).access_count == 1
    await memories.change("ann", hers.id, {"content": "I like coffee"})
    assert (await memories.history("bob", his.id))[0] == []
    await memories.delete("ann", hers.id)
    assert (await memories.get("bob", his.id)).content == "I like milk"
    with pytest.raises(Unknown):
        await memories.get("ann", hers.id)


async def test_each_has_its_vector_and_its_mark(scopes: Scopes) -> None:
    hers, his = await both(scopes)
    embeddings, outbox, differences = Embeddings(scopes, "m"), Outbox(scopes), Differences(scopes)
    claims = await outbox.claim(10)
    assert {one.user_id for one in claims} == {"ann", "bob"}
    contents = await embeddings.contents([("bob", his.id), ("eve", his.id)])
    assert [(one.user_id, one.content) for one in contents] == [("bob", "I like milk")]
    await embeddings.keep([("ann", hers.id, 1, VECTOR), ("eve", his.id, 1, VECTOR)])
    assert [one async for one in embeddings.held(None)] == [Held(hers.id, "ann", 1)]
    assert [one async for one in embeddings.held("bob")] == []
    await outbox.done([one for one in claims if one.user_id == "ann"])
    assert await differences.unmarked("ann", [hers.id]) == [hers.id]
    assert await differences.unmarked("bob", [his.id]) == []
    ghosts = [Held(hers.id, "ann", 2), Held(his.id, "bob", 2), Held(his.id, "eve", 1)]
    faults = await differences.of_index(ghosts)
    assert sorted(faults) == [("ghost", his.id, "eve"), ("stale", hers.id, "ann")]
    await outbox.done([one for one in claims if one.user_id == "bob"])
    assert await outbox.mark_others("m", 10) == 1
    assert [one.user_id for one in await outbox.claim(10)] == ["bob"]


async def test_what_one_has_said_and_deleted_is_no_matter_of_anothers(scopes: Scopes) -> None:
    """Even if their messages had the same ids."""
    sessions = Sessions(scopes)
    await sessions.add("ann", "s", [Said("user", "hello")], key="k")
    await sessions.add("bob", "s", [Said("user", "hi")], key="k")
    async with scopes.everyone() as connection:
        await connection.execute(
            "UPDATE messages SET id = (SELECT id FROM messages WHERE user_id = 'ann')"
            " WHERE user_id = 'bob'"
        )
    await sessions.delete("bob", "s")
    added = await sessions.add("ann", "s", [Said("user", "hello")], key="k")
    assert added.replayed
