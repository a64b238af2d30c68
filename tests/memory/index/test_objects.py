"""How objects are named in Weaviate: exactly, and a user's beside each other."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.index.objects import (
    collection_name,
    first_of,
    is_ours,
    name_of,
    near,
    scope_of,
)

USERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(USERS, USERS, st.uuids(), st.uuids())
def test_names_are_of_one_user_and_one_memory(a: str, b: str, one: UUID, two: UUID) -> None:
    assert (name_of(a, one) == name_of(b, two)) == ((a, one) == (b, two))
    assert (scope_of(a) == scope_of(b)) == (a == b)
    assert near(name_of(a, one), a)
    assert near(name_of(a, one), b) == (a == b)
    assert name_of(a, one).version == 8


@given(USERS, USERS, st.uuids(), st.uuids())
def test_those_of_a_user_are_neighbours_behind_the_first(
    a: str, b: str, one: UUID, two: UUID
) -> None:
    names = sorted([name_of(a, one), name_of(a, two)])
    assert first_of(a) < names[0]
    if a != b:
        assert not names[0] <= name_of(b, one) <= names[1]
        assert not first_of(a) <= name_of(b, one) <= names[0]


def test_a_name_stays_what_it_was() -> None:
    assert name_of("ann", UUID(int=7)) == UUID("49915e0d-7d4b-802e-abae-426822df52ca")
    assert collection_name("Prefix", "model") == "Prefix_9372c470eeadd5ec"


def test_collections_of_others_are_not_ours() -> None:
    mine = collection_name("Prefix", "model")
    assert is_ours(mine, "Prefix")
    for other in ("Prefix", "Prefix_notes", f"X{mine}", f"{mine}0", "Prefix2_0123456789abcdef"):
        assert not is_ours(other, "Prefix")
