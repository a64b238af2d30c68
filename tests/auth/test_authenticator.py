from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from structlog.testing import capture_logs

from tests.auth.issuers import AUDIENCE, NOW, SECRET, SERVICE_SECRET, claims, signed
from tests.peers.gateways import eventually
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.credential import Credential, Source
from uaitools.auth.errors import AuthError
from uaitools.auth.keyfile import KeyFileError, change
from uaitools.auth.keys import new_key
from uaitools.auth.principal import ANONYMOUS
from uaitools.auth.service_token import ServiceTokens

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def add(path: Path, expires: datetime | None = None) -> str:
    text, record = new_key("ci", scopes=["a"], created=CREATED, expires=expires)
    return change(path, lambda records: ((*records, record), text))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def key(path: Path) -> str:
    return add(path)


@pytest.fixture
def authenticator(path: Path, key: str) -> Authenticator:
    assert key
    return Authenticator(configured(path), audience="memory", clock=lambda: NOW)


def configured(path: Path) -> AuthConfig:
    return AuthConfig.model_validate(
        {
            "keys_file": path,
            "jwt": {"secret": SECRET, "audience": AUDIENCE},
            "service_secret": SERVICE_SECRET,
        }
    )


def ask(authenticator: Authenticator, source: Source, text: str, now: float = NOW) -> str:
    return authenticator.authenticate(Credential(source, text.encode()), now).id


def principal_token(audience: str = "memory") -> str:
    alice = ANONYMOUS.__class__("alice", frozenset(), frozenset(), "jwt")
    return ServiceTokens(SERVICE_SECRET.encode()).issue(alice, audience, NOW)


def test_where_nothing_is_configured_everyone_is_anonymous() -> None:
    authenticator = Authenticator(AuthConfig(), audience="memory")

    assert authenticator.authenticate(None, NOW) is ANONYMOUS
    assert authenticator.authenticate(Credential("key", b"whatever"), NOW) is ANONYMOUS


def test_no_credential_is_401_with_a_plain_challenge(authenticator: Authenticator) -> None:
    with pytest.raises(AuthError) as caught:
        authenticator.authenticate(None, NOW)

    assert (caught.value.code, caught.value.service) == (401, "memory")
    assert caught.value.challenge == 'Bearer realm="uaitools"'


def test_keys_and_tokens_are_accepted_where_they_belong(
    authenticator: Authenticator, key: str
) -> None:
    token = signed("HS256").decode()

    assert ask(authenticator, "key", key) == ask(authenticator, "bearer", key)
    assert ask(authenticator, "bearer", token) == "alice"
    assert ask(authenticator, "principal", principal_token()) == "alice"


@pytest.mark.parametrize("known", [False, True])
def test_what_is_good_in_one_header_is_not_in_another_one(
    authenticator: Authenticator, key: str, known: bool
) -> None:
    jwt, ours = signed("HS256").decode(), principal_token()
    if known:
        ask(authenticator, "bearer", jwt)
        ask(authenticator, "principal", ours)
        ask(authenticator, "key", key)
    wrong: list[tuple[Source, str]] = [
        ("principal", key),
        ("principal", jwt),
        ("key", jwt),
        ("key", ours),
        ("bearer", ours),
    ]

    for source, text in wrong:
        with pytest.raises(AuthError):
            ask(authenticator, source, text)


def test_a_principal_token_for_another_service_is_refused(authenticator: Authenticator) -> None:
    with pytest.raises(AuthError, match="another audience"):
        ask(authenticator, "principal", principal_token("hub"))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("key", "API keys are not accepted here"),
        ("principal", "principal tokens are not accepted here"),
    ],
)
def test_what_is_not_configured_is_not_accepted(source: Source, reason: str) -> None:
    config = AuthConfig.model_validate({"jwt": {"secret": SECRET}})

    with pytest.raises(AuthError, match=reason):
        ask(Authenticator(config, audience="memory"), source, "x")


def test_a_credential_is_judged_once(authenticator: Authenticator, key: str) -> None:
    for _ in range(3):
        ask(authenticator, "key", key)
        ask(authenticator, "bearer", signed("HS256").decode())
        with pytest.raises(AuthError):
            ask(authenticator, "key", key + "x")

    assert (authenticator.verified, authenticator.refused) == (2, 3)
    assert {s.family.name: s.value for s in authenticator.samples()} == {
        "auth_verified_total": 2,
        "auth_refused_total": 3,
    }


def test_a_remembered_key_is_refused_when_it_expires(path: Path) -> None:
    key = add(path, CREATED + timedelta(days=1))
    authenticator = Authenticator(configured(path), audience="memory")
    end = CREATED.timestamp() + 86_400

    ask(authenticator, "key", key, end - 1)
    with pytest.raises(AuthError, match="has expired"):
        ask(authenticator, "key", key, end)


def test_what_is_remembered_is_bounded_and_wrong_credentials_are_not(path: Path, key: str) -> None:
    assert key
    authenticator = Authenticator(configured(path), audience="memory", remember=100)
    for index in range(1000):
        with pytest.raises(AuthError):
            ask(authenticator, "key", f"uai_{index}")
    assert "known=0" in repr(authenticator)

    for index in range(250):
        ask(authenticator, "bearer", signed("HS256", claims(sub=f"u{index}")).decode())
    assert "known=150" in repr(authenticator)  # 100 old ones and 50 young ones


def test_generations_are_never_the_same_for_two_authenticators(path: Path, key: str) -> None:
    assert key
    made = [Authenticator(configured(path), audience="memory") for _ in range(3)]

    assert len({one.generation for one in made}) == 3


async def test_a_key_that_is_revoked_while_it_runs_is_refused_within_seconds(
    authenticator: Authenticator, path: Path, key: str
) -> None:
    await authenticator.start()
    try:
        ask(authenticator, "key", key)
        generation = authenticator.generation
        change(path, lambda all_: ([r.model_copy(update={"revoked": CREATED}) for r in all_], None))
        other = add(path)

        await eventually(lambda: authenticator.generation != generation)

        with pytest.raises(AuthError, match="the API key has been revoked"):
            ask(authenticator, "key", key)
        assert ask(authenticator, "key", other).startswith("key:")
    finally:
        await authenticator.stop()


async def test_a_reload_judges_everything_by_the_new_configuration(
    authenticator: Authenticator, path: Path, key: str
) -> None:
    await authenticator.start()
    try:
        generation = authenticator.generation
        token = signed("HS256").decode()
        assert ask(authenticator, "bearer", token) == "alice"
        assert ask(authenticator, "key", key)

        await authenticator.reload(AuthConfig.model_validate({"keys_file": path}))

        assert authenticator.generation != generation
        assert ask(authenticator, "key", key)
        for source, text in (("bearer", token), ("principal", principal_token())):
            with pytest.raises(AuthError, match="not accepted here"):
                ask(authenticator, source, text)  # type: ignore[arg-type]

        await authenticator.reload(AuthConfig())
        assert authenticator.authenticate(None, NOW) is ANONYMOUS
    finally:
        await authenticator.stop()


async def test_a_reload_that_fails_changes_nothing(
    authenticator: Authenticator, path: Path, key: str
) -> None:
    config = configured(path).model_copy(
        update={"service_secret": None, "keys_file": path.with_name("no.json")}
    )
    generation = authenticator.generation

    with pytest.raises(KeyFileError):
        await authenticator.reload(config)

    assert authenticator.generation == generation
    assert ask(authenticator, "key", key)
    assert ask(authenticator, "principal", principal_token()) == "alice"


async def test_a_broken_key_file_changes_nothing(
    authenticator: Authenticator, path: Path, key: str
) -> None:
    await authenticator.start()
    try:
        generation = authenticator.generation
        with capture_logs() as logged:
            broken = path.with_suffix(".broken")
            await asyncio.to_thread(broken.write_text, "{")
            await asyncio.to_thread(broken.replace, path)
            await eventually(lambda: logged)

        assert logged[0]["log_level"] == "error"
        assert authenticator.generation == generation
        assert ask(authenticator, "key", key)
    finally:
        await authenticator.stop()


def test_the_token_for_a_service_is_accepted_by_it(path: Path, key: str) -> None:
    gateway = Authenticator(configured(path), audience="proxy")
    memory = Authenticator(configured(path), audience="memory")
    user = gateway.authenticate(Credential("key", key.encode()), NOW)

    token = gateway.principal_token(user, "memory", NOW)

    assert token is not None
    seen = memory.authenticate(Credential("principal", token.encode()), NOW)
    assert (seen.id, seen.scopes) == (user.id, user.scopes)


def test_without_a_secret_there_are_no_principal_tokens() -> None:
    config = AuthConfig.model_validate({"jwt": {"secret": SECRET, "audience": AUDIENCE}})
    authenticator = Authenticator(config, audience="proxy")
    user = authenticator.authenticate(Credential("bearer", signed("HS256")), NOW)

    assert authenticator.principal_token(user, "memory", NOW) is None


def test_what_is_remembered_costs_microseconds(authenticator: Authenticator, key: str) -> None:
    credential = Credential("key", key.encode())
    authenticator.authenticate(credential, NOW)

    def once() -> float:
        began = perf_counter()
        for _ in range(10_000):
            authenticator.authenticate(credential, NOW)
        return (perf_counter() - began) / 10_000

    assert min(once() for _ in range(5)) < 5e-6  # 0.7 us on an idle machine
