from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.auth.errors import Forbidden
from uaitools.auth.principal import ANONYMOUS, GUEST, Principal, require, valid_id, valid_name

NAMES = st.sampled_from(["a", "b", "c", "*"])


def of(scopes: set[str], roles: set[str] | None = None) -> Principal:
    return Principal("alice", frozenset(scopes), frozenset(roles or ()), "jwt")


@given(st.sets(NAMES), st.sets(NAMES))
def test_all_scopes_are_needed_and_the_star_has_all(granted: set[str], needed: set[str]) -> None:
    assert of(granted).has(needed) == ("*" in granted or needed <= granted)


@given(st.sets(NAMES), st.sets(NAMES), st.booleans())
def test_one_role_is_enough(held: set[str], needed: set[str], everything: bool) -> None:
    principal = of({"*"} if everything else {"a"}, held)

    assert principal.acts_as(needed) == (everything or not needed or bool(held & needed))


def test_without_authentication_everyone_may_do_everything_and_with_it_a_guest_nothing() -> None:
    require(ANONYMOUS, ["a"], ["r"], "memory")
    with pytest.raises(Forbidden):
        require(GUEST, ["a"], [], "memory")
    with pytest.raises(Forbidden):
        require(GUEST, [], ["r"], "memory")
    require(GUEST, [], [], "memory")


def test_who_lacks_something_is_told_what() -> None:
    with pytest.raises(Forbidden) as caught:
        require(of({"a"}), ["b", "a"], ["s", "r"], "memory")

    assert (caught.value.code, caught.value.service) == (403, "memory")
    assert caught.value.message == "this needs the scopes a b and one of the roles r s"
    assert caught.value.challenge == (
        'Bearer realm="uaitools", error="insufficient_scope", '
        'error_description="this needs the scopes a b and one of the roles r s", scope="a b"'
    )


@given(st.text())
def test_an_id_cannot_begin_another_header(text: str) -> None:
    if valid_id(text):
        assert text.isascii()
        assert text.isprintable()
        assert text == text.strip()


@given(st.text())
def test_a_scope_is_one_word_and_quotes_nothing(text: str) -> None:
    if valid_name(text):
        assert text.split() == [text]
        assert text.isascii()
        assert not set(text) & set('"\\')
