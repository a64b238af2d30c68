from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.auth.issuers import SECRET, SERVICE_SECRET, public_pem
from uaitools.auth.config import AuthConfig, JwtConfig
from uaitools.auth.keys import render
from uaitools.config import ConfigError, load
from uaitools.secret import REVEALED

JWKS = 'jwks_url = "https://issuer.example/keys"\nissuer = "i"\naudience = "a"'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that messages name files as users do
    for algorithm in ("RS256", "ES256", "EdDSA"):
        (tmp_path / f"{algorithm}.pem").write_bytes(public_pem(algorithm))
    (tmp_path / "keys.json").write_bytes(render([]))
    (tmp_path / "keys.json").chmod(0o600)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.json").chmod(0o600)
    (tmp_path / "none.pem").write_text("no key")
    (tmp_path / "private.pem").write_text("-----BEGIN PRIVATE KEY-----")
    return tmp_path


def config(toml: str, **environ: str) -> AuthConfig:
    file = Path("uaitools.toml")
    file.write_text(toml)
    return load({"auth": AuthConfig}, file=file, environ=environ).of(AuthConfig)


def jwt(toml: str) -> JwtConfig:
    (only,) = config(f"[auth.jwt]\n{toml}").jwt
    return only


def problem(toml: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config(toml)
    (only,) = caught.value.problems
    return only.removeprefix("uaitools.toml: ")


def test_nothing_is_enabled_by_default() -> None:
    assert not config("").enabled


@pytest.mark.parametrize(
    "toml",
    [
        'keys_file = "keys.json"',
        f'service_secret = "{SERVICE_SECRET}"',
        f'jwt = {{ secret = "{SECRET}" }}',
        f'jwt = [{{ secret = "{SECRET}" }}]',
    ],
)
def test_each_kind_of_credential_enables_authentication(toml: str) -> None:
    assert config(f"[auth]\n{toml}").enabled


@pytest.mark.parametrize(
    ("toml", "accepted"),
    [
        (f'secret = "{SECRET}"', ("HS256",)),
        ('public_key_file = "RS256.pem"', ("RS256",)),
        ('public_key_file = "ES256.pem"', ("ES256",)),
        ('public_key_file = "EdDSA.pem"', ("EdDSA",)),
        (JWKS, ("RS256", "ES256", "EdDSA")),
        (f'{JWKS}\nalgorithms = ["ES256"]', ("ES256",)),
    ],
)
def test_the_key_decides_which_algorithms_are_accepted(
    toml: str, accepted: tuple[str, ...]
) -> None:
    assert jwt(toml).accepted == accepted


def test_the_environment_sets_secrets() -> None:
    environ = {
        "UAITOOLS_AUTH__SERVICE_SECRET": SERVICE_SECRET,
        "UAITOOLS_AUTH__JWT__SECRET": SECRET,
    }

    found = config("", **environ)

    assert found.service_secret is not None
    assert found.service_secret.get_secret_value() == SERVICE_SECRET
    assert found.jwt[0].accepted == ("HS256",)


def test_one_issuer_or_several_are_configured_alike() -> None:
    other = JWKS.replace('"i"', '"j"')

    several = config(f'[[auth.jwt]]\nsecret = "{SECRET}"\nissuer = "i"\n[[auth.jwt]]\n{other}')

    assert [one.issuer for one in several.jwt] == ["i", "j"]
    assert several.jwt[1].audience == ("a",)


WEAK = "must be at least 32 random bytes"


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ('keys_file = "no.json"', "auth.keys_file: no.json: no such file"),
        ('keys_file = "broken.json"', "auth.keys_file: broken.json: not valid JSON"),
        ('service_secret = "short"', f"auth.service_secret: {WEAK}"),
        (f'service_secret = "{"a" * 64}"', f"auth.service_secret: {WEAK}"),
        ("service_secret = 5", "auth.service_secret: must be text"),
        ('jwt = { secret = "short" }', f"auth.jwt.secret: {WEAK}"),
        ("jwt = {}", "auth.jwt: needs exactly one of secret, public_key_file and jwks_url"),
        (
            f'jwt = {{ secret = "{SECRET}", public_key_file = "RS256.pem" }}',
            "auth.jwt: needs exactly one of secret, public_key_file and jwks_url",
        ),
        (
            f'jwt = {{ secret = "{SECRET}", algorithms = ["RS256"] }}',
            "auth.jwt: algorithms: RS256 does not go with a secret, which is for HS256",
        ),
        (
            'jwt = { public_key_file = "RS256.pem", algorithms = ["RS256", "HS256"] }',
            "auth.jwt: algorithms: HS256 does not go with the key in RS256.pem, which is for RS256",
        ),
        (
            'jwt = { public_key_file = "ES256.pem", algorithms = ["RS256"] }',
            "auth.jwt: algorithms: RS256 does not go with the key in ES256.pem, which is for ES256",
        ),
        (
            'jwt = { jwks_url="https://x", issuer="i", audience="a", algorithms=["HS256"] }',
            "auth.jwt: algorithms: HS256 does not go with jwks_url",
        ),
        ('jwt = { algorithms = ["none"] }', "auth.jwt.algorithms[0]: must be 'HS256', 'RS256'"),
        ('jwt = { public_key_file = "no.pem" }', "auth.jwt: public_key_file: no.pem: No such file"),
        (
            'jwt = { public_key_file = "none.pem" }',
            "auth.jwt: public_key_file: none.pem: holds no public key in PEM form",
        ),
        (
            'jwt = { public_key_file = "private.pem" }',
            "auth.jwt: public_key_file: private.pem: holds a private key; give the public one",
        ),
        ('jwt = { jwks_url = "https://x/keys" }', "auth.jwt: jwks_url needs issuer and audience"),
        ('jwt = { jwks_url = "http://x/keys" }', "auth.jwt.jwks_url: must be https:// unless"),
        ('jwt = { jwks_url = "ftp://x/keys" }', "auth.jwt.jwks_url: must be https://HOST"),
        ('jwt = { jwks_url = "https://u:p@x/" }', "auth.jwt.jwks_url: must be https://HOST"),
        ('jwt = { jwks_url = "https://x:port/" }', "auth.jwt.jwks_url: must be https://HOST"),
        ('jwt = { jwks_url = "keys.json" }', "auth.jwt.jwks_url: must be https://HOST"),
        (f'jwt = {{ secret = "{SECRET}", leeway = 301 }}', "auth.jwt.leeway: must be less than"),
        (
            f'jwt = [{{ secret = "{SECRET}" }}, {{ public_key_file = "RS256.pem", issuer = "i" }}]',
            "auth: jwt: several issuers are told apart by issuer; each needs its own",
        ),
        (
            f'service_secret = "{SECRET}"\njwt = {{ secret = "{SECRET}" }}',
            "auth: service_secret: must differ from the secrets of jwt",
        ),
        ('key_file = "x"', 'auth.key_file: unknown key; did you mean "keys_file"?'),
    ],
)
def test_what_could_not_protect_anything_stops_the_start(toml: str, reason: str) -> None:
    found = problem(f"[auth]\n{toml}")

    assert found.startswith(reason)
    assert SECRET not in found


def test_the_text_of_a_public_key_is_no_secret() -> None:
    pem = public_pem("RS256").decode()

    assert problem(f"[auth.jwt]\nsecret = '''{pem}'''").startswith("auth.jwt.secret: is a key")


def test_a_loopback_key_set_needs_no_tls() -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert jwt(JWKS.replace("https://issuer.example", f"http://{host}:9000")).jwks_url


SECRETIVE = f"""
[auth]
service_secret = "{SERVICE_SECRET}"
jwt = {{ secret = "{SECRET}" }}
"""


WITHOUT = """
import sys
import uaitools.auth.config, uaitools.web
print(*(name for name in sys.modules if name.startswith("uaitools.auth.")))
"""
LOADING = """
import sys
from uaitools.auth.config import AuthConfig
import uaitools.auth.authenticator, uaitools.auth.middleware, uaitools.web
uaitools.auth.authenticator.Authenticator(AuthConfig(keys_file=sys.argv[1]), audience="memory")
print(*{"jwt", "cryptography", "uaitools.proxy"} & sys.modules.keys())
"""


def test_who_accepts_everyone_loads_little() -> None:
    command = [sys.executable, "-c", WITHOUT]

    loaded = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )

    parts = ("config", "credential", "errors", "jws", "middleware", "principal")
    assert set(loaded.stdout.split()) == {f"uaitools.auth.{part}" for part in parts}


def test_who_accepts_keys_alone_does_not_load_what_tokens_need(folder: Path) -> None:
    command = [sys.executable, "-c", LOADING, str(folder / "keys.json")]

    loaded = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )

    assert loaded.stdout.split() == []


def test_secrets_are_shown_nowhere_but_where_they_are_asked_for() -> None:
    found = config(SECRETIVE)

    shown = f"{found!r} {found} {found.model_dump()} {found.model_dump(mode='json')}"
    shown += found.model_dump_json()
    assert SECRET not in shown
    assert SERVICE_SECRET not in shown
    revealed = found.model_dump(mode="json", context=REVEALED)
    assert AuthConfig.model_validate(revealed) == found
    assert revealed["jwt"][0]["secret"] == SECRET


def test_a_changed_secret_is_a_changed_configuration() -> None:
    assert config(SECRETIVE) != config(SECRETIVE.replace(SERVICE_SECRET, SERVICE_SECRET + "x"))


@pytest.mark.parametrize(
    "wrong", [f'jwt = "{SECRET}"', f'jwt = ["{SECRET}"]', f'jwt = {{ secret = "{SECRET}", x = 1 }}']
)
def test_a_secret_in_the_wrong_place_is_not_repeated(wrong: str) -> None:
    assert SECRET not in problem(f"[auth]\n{wrong}")


def test_a_traceback_of_the_validation_shows_no_secret() -> None:
    with pytest.raises(ValueError, match="AuthConfig") as caught:
        AuthConfig.model_validate({"service_secret": SERVICE_SECRET, "jwt": {"secret": "hunter2"}})

    assert "hunter2" not in str(caught.value)
    assert SERVICE_SECRET not in str(caught.value)
