"""Whatever a token says, it is a principal that can travel in headers, or it is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.issuers import AUDIENCE, ISSUER, NOW, claims, forged, hs256, private_key, signed
from uaitools.auth.claims import Expected
from uaitools.auth.errors import Refused
from uaitools.auth.jws import parse, verify
from uaitools.auth.principal import Principal, valid_id, valid_name

EXPECTED = Expected(ISSUER, frozenset({AUDIENCE}), 30.0, roles="realm.roles")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        name: anything | st.just(right)
        for name, right in {**claims(), "nbf": 0, "realm": {"roles": ["r"]}}.items()
    },
)


@given(bodies)
def test_a_claim_of_any_form_is_taken_right_or_refused(body: dict[str, Any]) -> None:
    try:
        principal = EXPECTED.principal(body, NOW, "jwt")
    except Refused:
        return
    assert (body["iss"], body["exp"] > NOW - 30) == (ISSUER, True)
    assert body["aud"] == AUDIENCE or AUDIENCE in body["aud"]
    assert valid_id(principal.id)
    assert principal.id != "anonymous"
    assert all(map(valid_name, principal.scopes | principal.roles))
    assert math.isfinite(principal.expires)


@given(st.floats(0, 2e9), st.floats(0, 2e9), st.floats(0, 2e9), st.floats(0, 300))
def test_a_token_is_valid_from_nbf_to_exp_give_or_take_the_leeway(
    now: float, nbf: float, exp: float, leeway: float
) -> None:
    expected = Expected(None, frozenset(), leeway)
    body = {"sub": "alice", "nbf": nbf, "exp": exp}

    found: Principal | None
    try:
        found = expected.principal(body, now, "jwt")
    except Refused:
        found = None

    assert (found is not None) == (nbf - leeway <= now < exp + leeway)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_token_or_refused(data: bytes) -> None:
    for text in (
        data,
        forged(data, claims(), hs256(b"x")),
        forged({"alg": "HS256"}, data, hs256(b"")),
    ):
        try:
            parse(text)
        except Refused as error:
            assert str(error).startswith("the token ")  # noqa: PT017 - a fixed text
        else:
            assert text.count(b".") == 2


RIGHT = signed("ES256")


@given(st.integers(0, len(RIGHT) - 2), st.integers(1, 255))
def test_a_token_with_one_changed_byte_is_refused(position: int, change: int) -> None:
    # Not of the last one, which has bits that say nothing.
    wrong = bytearray(RIGHT)
    wrong[position] ^= change

    with pytest.raises(Refused):
        verify(parse(bytes(wrong)), private_key("ES256").public_key(), "ES256")
