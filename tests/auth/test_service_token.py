from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.issuers import NOW, SECRET, SERVICE_SECRET, encoded, forged, hs256
from uaitools.auth.errors import Refused
from uaitools.auth.principal import ANONYMOUS, GUEST, Principal, valid_id, valid_name
from uaitools.auth.service_token import LIFE, ServiceTokens

ALICE = Principal("alice", frozenset({"a", "b"}), frozenset({"r"}), "jwt", NOW + 3600)

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(valid_name)
ids = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(valid_id)
principals = st.builds(
    Principal,
    ids,
    st.frozensets(names, max_size=5),
    st.frozensets(names, max_size=5),
    st.sampled_from(["key", "jwt", "service"]),
    st.just(float("inf")) | st.floats(NOW + 1, NOW + 1e6),
)


@pytest.fixture
def tokens() -> ServiceTokens:
    return ServiceTokens(SERVICE_SECRET.encode())


@given(principals, names)
def test_a_user_is_the_same_user_behind_the_gateway(principal: Principal, audience: str) -> None:
    tokens = ServiceTokens(SERVICE_SECRET.encode())

    seen = tokens.verify(tokens.issue(principal, audience, NOW).encode(), audience, NOW)

    assert (seen.id, seen.scopes, seen.roles, seen.kind) == (
        principal.id,
        principal.scopes,
        principal.roles,
        "service",
    )


def test_a_token_says_who_for_whom_and_how_long(tokens: ServiceTokens) -> None:
    token = tokens.issue(ALICE, "memory", NOW)

    said = jwt.decode(  # an independent reader
        token,
        SERVICE_SECRET,
        ["HS256"],
        {"verify_exp": False, "verify_iat": False},
        audience="memory",
    )
    assert said == {
        "iss": "uaitools",
        "aud": "memory",
        "sub": "alice",
        "scope": "a b",
        "roles": ["r"],
        "iat": int(NOW),
        "exp": int(NOW) + LIFE,
    }


def test_a_token_is_signed_once_while_half_of_its_life_is_left(tokens: ServiceTokens) -> None:
    first = tokens.issue(ALICE, "memory", NOW)

    assert tokens.issue(ALICE, "memory", NOW + LIFE / 2 - 0.1) is first
    assert tokens.issue(ALICE, "memory", NOW + LIFE / 2) != first
    # A clock that was set back would otherwise hand out tokens from the future.
    assert tokens.issue(ALICE, "memory", NOW - 3600) != first


def test_every_service_and_every_principal_has_tokens_of_its_own(tokens: ServiceTokens) -> None:
    root = Principal("alice", frozenset({"*"}), ALICE.roles, "jwt", ALICE.expires)

    issued = {
        tokens.issue(ALICE, "memory", NOW),
        tokens.issue(ALICE, "hub", NOW),
        tokens.issue(root, "memory", NOW),
    }

    assert len(issued) == 3


def test_a_token_lasts_no_longer_than_what_it_was_made_of(tokens: ServiceTokens) -> None:
    brief = Principal("alice", frozenset(), frozenset(), "jwt", NOW + 10)

    seen = tokens.verify(tokens.issue(brief, "memory", NOW).encode(), "memory", NOW)

    assert seen.expires == NOW + 10 + 5  # what clocks may differ


def test_nobody_vouches_for_the_anonymous(tokens: ServiceTokens) -> None:
    for nobody in (ANONYMOUS, GUEST):
        with pytest.raises(ValueError, match="nobody to vouch for"):
            tokens.issue(nobody, "memory", NOW)


def test_the_tokens_that_are_remembered_are_bounded(tokens: ServiceTokens) -> None:
    for index in range(10_000):
        user = Principal(f"u-{index}", frozenset(), frozenset(), "jwt")
        tokens.issue(user, "memory", NOW)

    assert repr(tokens) == f"<ServiceTokens issued={10_000 - 4096}>"


def test_a_token_is_refused_after_its_minute(tokens: ServiceTokens) -> None:
    token = tokens.issue(ALICE, "memory", NOW).encode()

    tokens.verify(token, "memory", NOW + 64.9)
    with pytest.raises(Refused, match="has expired"):
        tokens.verify(token, "memory", NOW + 65)


def test_a_token_for_another_service_is_refused(tokens: ServiceTokens) -> None:
    with pytest.raises(Refused, match="another audience"):
        tokens.verify(tokens.issue(ALICE, "hub", NOW).encode(), "memory", NOW)


def test_a_token_of_another_secret_is_refused(tokens: ServiceTokens) -> None:
    other = ServiceTokens(SECRET.encode())

    with pytest.raises(Refused, match="signature"):
        tokens.verify(other.issue(ALICE, "memory", NOW).encode(), "memory", NOW)


RIGHT: dict[str, Any] = {
    "iss": "uaitools",
    "aud": "memory",
    "sub": "root",
    "scope": "*",
    "exp": NOW + 30,
}
TYPE = "principal+jwt"


@pytest.mark.parametrize(
    ("header", "body", "sign"),
    [
        ({"alg": "none", "typ": TYPE}, RIGHT, lambda _: b"x"),
        ({"alg": "HS256", "typ": TYPE}, RIGHT, hs256(b"")),
        ({"alg": "HS256", "typ": TYPE}, RIGHT, hs256(b"secret")),
        ({"alg": "HS512", "typ": TYPE}, RIGHT, hs256(SERVICE_SECRET.encode())),
        ({"alg": "HS256", "typ": "JWT"}, RIGHT, hs256(SERVICE_SECRET.encode())),
        ({"alg": "HS256"}, RIGHT, hs256(SERVICE_SECRET.encode())),
        (
            {"alg": "HS256", "typ": TYPE},
            {**RIGHT, "iss": "other"},
            hs256(SERVICE_SECRET.encode()),
        ),
    ],
)
def test_a_forged_token_is_refused(
    tokens: ServiceTokens, header: dict[str, Any], body: dict[str, Any], sign: Any
) -> None:
    with pytest.raises(Refused):
        tokens.verify(forged(header, body, sign), "memory", NOW)


def test_a_token_whose_scopes_were_raised_is_refused(tokens: ServiceTokens) -> None:
    header, payload, signature = tokens.issue(ALICE, "memory", NOW).encode().split(b".")
    raised = encoded(json.dumps(RIGHT).encode())

    assert payload != raised
    with pytest.raises(Refused, match="signature"):
        tokens.verify(b".".join((header, raised, signature)), "memory", NOW)
