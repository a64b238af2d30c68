"""Tokens of configured issuers: right ones pass, and a table of hostile ones does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.auth.issuers import (
    AUDIENCE,
    ISSUER,
    NOW,
    SECRET,
    claims,
    encoded,
    forged,
    hs256,
    jwk,
    public_pem,
    signed,
)
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.credential import Credential
from uaitools.auth.errors import AuthError
from uaitools.auth.principal import Principal

PUBLIC = ("RS256", "ES256", "EdDSA")
EVERY = ("HS256", *PUBLIC)


def accepting(folder: Path, algorithm: str, **settings: object) -> Authenticator:
    """An authenticator that takes tokens of one algorithm."""
    table: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, **settings}
    if algorithm == "HS256":
        table["secret"] = SECRET
    else:
        file = folder / "key.pem"
        file.write_bytes(public_pem(algorithm))
        table["public_key_file"] = file
    return Authenticator(AuthConfig.model_validate({"jwt": table}), audience="memory")


def ask(authenticator: Authenticator, token: bytes, now: float = NOW) -> Principal:
    return authenticator.authenticate(Credential("bearer", token), now)


def refusal(authenticator: Authenticator, token: bytes, now: float = NOW) -> str:
    with pytest.raises(AuthError) as caught:
        ask(authenticator, token, now)
    assert caught.value.code == 401
    assert caught.value.challenge.startswith('Bearer realm="uaitools", error="invalid_token", ')
    return caught.value.message


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_right_token_names_its_principal(tmp_path: Path, algorithm: str) -> None:
    authenticator = accepting(tmp_path, algorithm)

    principal = ask(authenticator, signed(algorithm))

    assert principal == Principal(
        "alice",
        frozenset({"a:read", "b:write"}),
        frozenset({"editor"}),
        "jwt",
        NOW + 600 + 30,
    )


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_token_signed_with_another_key_is_refused(tmp_path: Path, algorithm: str) -> None:
    authenticator = accepting(tmp_path, algorithm)
    token = (
        forged({"alg": "HS256"}, claims(), hs256(b"another secret of at least 32 bytes"))
        if algorithm == "HS256"
        else signed(algorithm, which=1)
    )

    assert refusal(authenticator, token) == "the token's signature is wrong"


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_token_with_any_changed_part_is_refused(tmp_path: Path, algorithm: str) -> None:
    authenticator = accepting(tmp_path, algorithm)
    header, payload, signature = signed(algorithm).split(b".")
    other = encoded(json.dumps(claims(sub="root")).encode())
    flipped = bytes([signature[0] ^ 1]) if signature[:1].isalpha() else b"A"

    assert refusal(authenticator, b".".join((header, other, signature)))
    assert refusal(authenticator, b".".join((header, payload, flipped + signature[1:])))


# -- algorithms -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", " none", "none\u0000"])
@pytest.mark.parametrize("signature", [b"", b"x"])
@pytest.mark.parametrize("algorithm", EVERY)
def test_a_token_without_algorithm_is_refused(
    tmp_path: Path, algorithm: str, name: str, signature: bytes
) -> None:
    token = forged({"alg": name, "typ": "JWT"}, claims(), lambda _: signature)

    assert refusal(accepting(tmp_path, algorithm), token)


@pytest.mark.parametrize("algorithm", PUBLIC)
@pytest.mark.parametrize("name", ["HS256", "hs256", "HS384", "HS512"])
def test_a_public_key_is_never_an_hmac_secret(tmp_path: Path, algorithm: str, name: str) -> None:
    pem = public_pem(algorithm)
    authenticator = accepting(tmp_path, algorithm)

    for secret in (pem, pem.strip(), pem.replace(b"\n", b"")):
        token = forged({"alg": name}, claims(), hs256(secret))
        assert refusal(authenticator, token) == "the token's algorithm is not accepted"


@pytest.mark.parametrize("accepted", EVERY)
@pytest.mark.parametrize("used", EVERY)
def test_a_key_verifies_its_own_algorithm_only(tmp_path: Path, accepted: str, used: str) -> None:
    if accepted != used:
        assert refusal(accepting(tmp_path, accepted), signed(used))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS384", "PS256", "ES384", "ES256K"])
def test_an_algorithm_that_is_not_configured_is_refused(tmp_path: Path, algorithm: str) -> None:
    token = forged({"alg": algorithm}, claims(), hs256(SECRET.encode()))

    for accepted in EVERY:
        reason = refusal(accepting(tmp_path, accepted), token)
        assert reason == "the token's algorithm is not accepted"


# -- what a header brings -------------------------------------------------------------------


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_keys_that_a_token_brings_are_not_looked_at(tmp_path: Path, member: str) -> None:
    header = {
        "jwk": jwk("RS256", 1),
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/cert",
        "x5c": [public_pem("RS256", 1).decode()],
    }
    authenticator = accepting(tmp_path, "RS256")
    own = signed("RS256", which=1, header={member: header[member]})

    assert refusal(authenticator, own) == "the token's signature is wrong"
    # And they do no harm to a right one.
    assert ask(authenticator, signed("RS256", header={member: header[member]})).id == "alice"


@pytest.mark.parametrize(
    "kid", ["../../../dev/null", "' OR 1=1 --", "/proc/self/environ", "x" * 4000, "", "\r\n"]
)
def test_a_kid_is_only_compared(tmp_path: Path, kid: str) -> None:
    token = forged({"alg": "HS256", "kid": kid}, claims(), hs256(b""))

    assert refusal(accepting(tmp_path, "HS256"), token) == "the token's signature is wrong"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "HS256", "crit": ["exp"]}, "critical header"),
        ({"alg": "HS256", "crit": []}, "critical header"),
        ({"alg": "HS256", "crit": ["b64"], "b64": False}, "critical header"),
        ({"alg": "HS256", "b64": False}, "signature"),
        ({"alg": "HS256", "kid": 1}, "malformed"),
        ({"alg": "HS256", "kid": {"$ne": ""}}, "malformed"),
        ({"alg": "HS256", "typ": 1}, "malformed"),
        ({"alg": ["HS256"]}, "malformed"),
        ({"alg": None}, "malformed"),
        ({}, "malformed"),
        (b'["HS256"]', "malformed"),
        (b'{"alg": "none", "alg": "HS256"}', "malformed"),
        (b'{"alg": "HS256"', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 4000, "malformed"),
        (b'{"a":' * 1200 + b"1" + b"}" * 1200, "malformed"),
    ],
)
def test_a_hostile_header_is_refused(
    tmp_path: Path, header: dict[str, Any] | bytes, reason: str
) -> None:
    token = forged(header, claims(), hs256(SECRET.encode()))

    assert reason in refusal(accepting(tmp_path, "HS256"), token)


# -- the form -------------------------------------------------------------------------------

GOOD = signed("HS256")


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        b"a.b.c",
        b"a.b.c.d",
        b"a.b.c.d.e",
        GOOD + b".",
        b"." + GOOD,
        GOOD + b"=",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD.replace(b".", b"..", 1),
        GOOD[:10] + b"!" + GOOD[10:],
        GOOD[:10] + b"\n" + GOOD[10:],
        GOOD[:10] + b"+" + GOOD[10:],
        GOOD.rpartition(b".")[0] + b".",
        GOOD.decode().encode("utf-16"),
        b"\x00" * 100,
        b"A" * 8000,
        b"A." * 2500,
    ],
)
def test_what_is_no_token_is_refused(tmp_path: Path, token: bytes) -> None:
    assert refusal(accepting(tmp_path, "HS256"), token)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"alice"',
        b"{",
        b'{"sub": "alice"} {}',
        b"\xef\xbb\xbf{}",
        b'{"sub": "\xff"}',
        b"[" * 5000,
        json.dumps(claims()).replace('"alice"', "[" * 2000 + "]" * 2000).encode(),
        json.dumps(claims()).replace('"sub"', '"sub": "root", "sub"').encode(),
        json.dumps(claims()).replace('"exp"', '"exp": 99999999999, "exp"').encode(),
        json.dumps(claims()).replace('"scope"', '"scope": "*", "\\u0073cope"').encode(),
    ],
)
def test_a_payload_that_readers_could_take_differently_is_refused(
    tmp_path: Path, payload: bytes
) -> None:
    token = forged({"alg": "HS256"}, payload, hs256(SECRET.encode()))

    assert refusal(accepting(tmp_path, "HS256"), token) == "the token is malformed"


# -- claims ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": None}, "the token never expires; exp is required"),
        ({"exp": NOW - 31}, "the token has expired"),
        ({"exp": 0}, "the token has expired"),
        ({"exp": str(int(NOW) + 600)}, "the token's exp or nbf is no time"),
        ({"exp": -1}, "the token's exp or nbf is no time"),
        ({"exp": True}, "the token's exp or nbf is no time"),
        ({"exp": [NOW + 600]}, "the token's exp or nbf is no time"),
        ({"exp": (NOW + 600) * 1000}, "the token's exp or nbf is no time"),  # milliseconds
        ({"exp": 10**400}, "the token's exp or nbf is no time"),
        ({"nbf": NOW + 31}, "the token is not valid yet"),
        ({"nbf": "0"}, "the token's exp or nbf is no time"),
        ({"iss": None}, "the token is of another issuer"),
        ({"iss": ISSUER + "/"}, "the token is of another issuer"),
        ({"iss": [ISSUER]}, "the token is of another issuer"),
        ({"aud": None}, "the token is for another audience"),
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": AUDIENCE.upper()}, "the token is for another audience"),
        ({"aud": []}, "the token is for another audience"),
        ({"aud": [AUDIENCE, 1]}, "the token is for another audience"),
        ({"aud": {AUDIENCE: 1}}, "the token is for another audience"),
        ({"sub": None}, "the token names no acceptable user"),
        ({"sub": ""}, "the token names no acceptable user"),
        ({"sub": " alice"}, "the token names no acceptable user"),
        ({"sub": "alice\r\nX-User-Scopes: *"}, "the token names no acceptable user"),
        ({"sub": "al\u0131ce"}, "the token names no acceptable user"),
        ({"sub": "x" * 257}, "the token names no acceptable user"),
        ({"sub": ["alice"]}, "the token names no acceptable user"),
        ({"sub": True}, "the token names no acceptable user"),
        ({"sub": "anonymous"}, "the token names no acceptable user"),
        ({"sub": "key:abcdefghijkl"}, "the token names no acceptable user"),
        ({"scope": {"a": 1}}, "the token's scopes are no list of names"),
        ({"scope": ["a", 1]}, "the token's scopes are no list of names"),
        ({"roles": 7}, "the token's roles are no list of names"),
    ],
)
def test_a_token_that_says_something_wrong_is_refused(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    assert refusal(accepting(tmp_path, "HS256"), signed_raw(claims(**changed))) == reason


@pytest.mark.parametrize("exp", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_an_expiry_that_is_no_finite_number_is_refused(tmp_path: Path, exp: bytes) -> None:
    payload = json.dumps(claims(exp=1)).encode().replace(b'"exp": 1', b'"exp": ' + exp)
    token = forged({"alg": "HS256"}, payload, hs256(SECRET.encode()))

    assert refusal(accepting(tmp_path, "HS256"), token)


def signed_raw(body: dict[str, Any]) -> bytes:
    """Without the checks of the library's own encoder."""
    return forged({"alg": "HS256", "typ": "JWT"}, body, hs256(SECRET.encode()))


def test_clocks_may_differ_by_the_leeway(tmp_path: Path) -> None:
    authenticator = accepting(tmp_path, "HS256", leeway=5)

    assert ask(authenticator, signed_raw(claims(exp=NOW, nbf=NOW + 5))).expires == NOW + 5
    assert refusal(authenticator, signed_raw(claims(exp=NOW - 5))) == "the token has expired"
    assert refusal(authenticator, signed_raw(claims(nbf=NOW + 5.1)))


def test_a_token_is_refused_from_its_expiry_on_also_when_it_is_remembered(tmp_path: Path) -> None:
    authenticator = accepting(tmp_path, "ES256", leeway=0)
    token = signed("ES256")

    assert ask(authenticator, token, NOW) is ask(authenticator, token, NOW + 599.9)
    assert authenticator.verified == 1
    assert refusal(authenticator, token, NOW + 600) == "the token has expired"


def test_an_audience_may_be_one_of_several(tmp_path: Path) -> None:
    authenticator = accepting(tmp_path, "HS256", audience=["first", "second"])

    assert ask(authenticator, signed_raw(claims(aud=["x", "second"]))).id == "alice"
    assert refusal(authenticator, signed_raw(claims(aud=["x", "third"])))


def test_a_token_for_somebody_is_refused_where_no_audience_is_configured(tmp_path: Path) -> None:
    authenticator = accepting(tmp_path, "HS256", audience=[])

    assert ask(authenticator, signed_raw(claims(aud=None))).id == "alice"
    assert refusal(authenticator, signed_raw(claims())) == "the token is for another audience"


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (None, set()),
        ("", set()),
        ("a", {"a"}),
        ("a  b", {"a", "b"}),
        (["a", "b c", 'd"', "\u00e9", "b"], {"a", "b"}),  # what no rule can name is left out
        ("a\tb c\r\nX: y", {"y"}),
    ],
)
def test_scopes_are_text_or_a_list(tmp_path: Path, scope: object, found: set[str]) -> None:
    principal = ask(accepting(tmp_path, "HS256"), signed_raw(claims(scope=scope)))

    assert principal.scopes == found


def test_claims_may_have_other_names_and_lie_deeper(tmp_path: Path) -> None:
    names = {
        "user_claim": "uid",
        "scopes_claim": "https://example.com/scopes",
        "roles_claim": "realm_access.roles",
    }
    body = {"https://example.com/scopes": ["a"], "realm_access": {"roles": ["admin"]}, "uid": 17}

    principal = ask(accepting(tmp_path, "HS256", **names), signed_raw(claims(**body)))

    assert principal.id == "17"
    assert (*principal.scopes, *principal.roles) == ("a", "admin")


def test_several_issuers_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(public_pem("ES256"))
    tables = [
        {"secret": SECRET, "issuer": "one"},
        {"public_key_file": tmp_path / "key.pem", "issuer": "two"},
    ]
    authenticator = Authenticator(AuthConfig.model_validate({"jwt": tables}), audience="memory")

    def of(algorithm: str, issuer: str) -> bytes:
        return signed(algorithm, claims(iss=issuer, aud=None, sub=f"{algorithm}-{issuer}"))

    assert ask(authenticator, of("HS256", "one")).id == "HS256-one"
    assert ask(authenticator, of("ES256", "two")).id == "ES256-two"
    # Nobody signs in the name of another.
    assert refusal(authenticator, of("HS256", "two")) == "the token's algorithm is not accepted"
    assert refusal(authenticator, of("ES256", "one")) == "the token's algorithm is not accepted"
    assert refusal(authenticator, of("HS256", "three")) == "the token is of another issuer"


def test_tokens_are_refused_where_no_issuer_is_configured() -> None:
    config = AuthConfig.model_validate({"service_secret": SECRET})

    reason = refusal(Authenticator(config, audience="memory"), signed("HS256"))

    assert reason == "tokens are not accepted here; send an API key"


# -- keys that are no good ------------------------------------------------------------------


WEAK: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed448PrivateKey]] = {
    "rsa-1024": lambda: rsa.generate_private_key(65_537, 1024),  # noqa: S505 - that is the point
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed448": Ed448PrivateKey.generate,
}


@pytest.mark.parametrize("kind", WEAK)
def test_weak_and_foreign_keys_are_refused_at_start(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key.pem"
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file.write_bytes(WEAK[kind]().public_key().public_bytes(*form))

    with pytest.raises(ValueError, match=r"must be an RSA, P-256|2048 to 8192 bits"):
        AuthConfig.model_validate({"jwt": {"public_key_file": file}})
