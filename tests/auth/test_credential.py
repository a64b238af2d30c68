from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.auth.credential import LIMIT, Credential, credential
from uaitools.auth.errors import AuthError


def read(
    authorization: bytes | None = None, key: bytes | None = None, token: bytes | None = None
) -> Credential | None:
    return credential(authorization, key, token, "memory")


@pytest.mark.parametrize(
    "value", [b"Bearer abc", b"bearer abc", b"BEARER   abc", b"bEaReR abc ", b"Bearer abc  "]
)
def test_a_bearer_token_is_found_however_its_scheme_is_written(value: bytes) -> None:
    assert read(value) == Credential("bearer", b"abc")


def test_nothing_brings_nothing() -> None:
    assert read() is None


def test_a_principal_token_comes_before_a_key_and_that_before_a_bearer_token() -> None:
    assert read(b"Basic x", b"k", b"t") == Credential("principal", b"t")
    assert read(b"Basic x", b"k") == Credential("key", b"k")


@pytest.mark.parametrize(
    "value", [b"Basic YTpi", b"Digest x", b"", b"abc", b"Bearerabc", b"Token abc", b"\xff"]
)
def test_another_scheme_is_401_with_a_plain_challenge(value: bytes) -> None:
    with pytest.raises(AuthError) as caught:
        read(value)

    assert caught.value.code == 401
    assert caught.value.challenge == 'Bearer realm="uaitools"'


@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b", b'Bearer "a"', b"Bearer \xe4"]
)
def test_a_bearer_without_exactly_one_token_is_400(value: bytes) -> None:
    with pytest.raises(AuthError) as caught:
        read(value)

    assert caught.value.code == 400
    assert 'error="invalid_request"' in caught.value.challenge


@pytest.mark.parametrize("value", [b"", b"a b", b"\xe4", b"a\tb"])
def test_a_key_that_cannot_be_one_is_401(value: bytes) -> None:
    with pytest.raises(AuthError) as caught:
        read(key=value)

    assert caught.value.code == 401


def test_a_token_has_at_most_8_kib() -> None:
    longest, over = b"x" * LIMIT, b"x" * (LIMIT + 1)

    assert read(b"Bearer " + longest) == Credential("bearer", longest)
    for brought in ({"authorization": b"Bearer " + over}, {"key": over}, {"token": over}):
        with pytest.raises(AuthError, match="over 8192 bytes"):
            read(**brought)


@given(st.binary(max_size=60), st.sampled_from([b"", b"Bearer ", b"bearer  "]))
def test_whatever_is_sent_gives_a_token_or_an_error_that_does_not_repeat_it(
    sent: bytes, scheme: bytes
) -> None:
    said = ""
    try:
        found = read(scheme + sent)
    except AuthError as error:
        said = error.message + error.challenge
    else:
        assert found is not None
        assert found.text
        assert found.text in scheme + sent

    assert len(sent) < 8 or sent.decode("latin-1") not in said


def test_a_credential_does_not_show_its_token() -> None:
    assert "hunter2" not in repr(Credential("key", b"hunter2"))
