"""[registry.client], and what importing the client costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from uaitools.registry.client import RegistryClientConfig
from uaitools.registry.client.registries import Registries
from uaitools.registry.config import RegistryConfig

URL = "http://127.0.0.1:8083"


def config(**settings: object) -> RegistryClientConfig:
    return RegistryClientConfig.model_validate({"url": URL, **settings})


def test_one_url_or_several() -> None:
    assert config().url == (URL,)
    assert config(url=[f"{URL}/", "https://r2.example/registry/"]).url == (
        URL,
        "https://r2.example/registry",
    )


def test_a_token_is_shown_by_nothing() -> None:
    found = config(token="s3cret-token")

    assert found.credential == "s3cret-token"
    assert config().credential is None
    assert "s3cret" not in repr(found) + str(found.model_dump()) + found.model_dump_json()
    assert "s3cret" not in repr(Registries(found.url, found.credential))


@pytest.mark.parametrize(
    "settings",
    [
        {"url": []},
        {"url": "127.0.0.1:8083"},
        {"url": "http://user:password@a"},
        {"url": "http://a:99999"},
        {"token": ""},
        {"name": "a b"},
        {"zone": ""},
        {"unknown": 1},
    ],
)
def test_what_is_wrong_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**settings)
    assert "password" not in str(caught.value)


def test_a_registry_accepts_the_table_that_is_meant_for_others() -> None:
    found = RegistryConfig.model_validate({"client": {"url": URL}})

    assert found.client == config()


def test_the_client_needs_neither_a_server_nor_pydantic() -> None:
    code = (
        "import sys; from uaitools.registry.client import Watcher, View, register, Away;"
        "print([m for m in ('aiohttp.web', 'pydantic', 'uaitools.web') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert found.stdout == b"[]\n"


def test_public_names_are_there_and_others_are_not() -> None:
    import uaitools.registry.client as package  # noqa: PLC0415 - its names, one by one

    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError):
        _ = package.Missing
