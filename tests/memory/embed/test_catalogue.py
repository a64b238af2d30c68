"""From the settings to an embedder, and what is said where there is none."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from uaitools.config import ConfigError
from uaitools.memory.embed.catalogue import embedder
from uaitools.memory.embed.config import EmbedSettings, HttpEmbedderSettings

HTTP = {"url": "http://localhost:8080/v1/embeddings", "model": "small", "dimension": 384}


def test_word_vectors_are_what_there_is_without_settings() -> None:
    assert str(embedder(EmbedSettings()).model) == "static/l2_supercat_256-1/256"


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({"use": "hash"}, "hash/1/512"),
        ({"use": "hash", "hash": {"dimension": 128}}, "hash/1/128"),
        ({"use": "http", "http": HTTP}, "http/small-1/384"),
        ({"use": "http", "http": {**HTTP, "revision": 2}}, "http/small-2/384"),
    ],
)
async def test_settings_choose_the_embedder(settings: dict[str, Any], model: str) -> None:
    assert str(embedder(EmbedSettings.model_validate(settings)).model) == model


@pytest.mark.parametrize("package", ["wordllama", "safetensors", "tokenizers"])
def test_a_missing_package_is_named_with_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError) as error:
        embedder(EmbedSettings())

    [problem] = error.value.problems
    assert package in problem
    assert 'pip install "uaitools[embed]"' in problem
    embedder(EmbedSettings(use="hash"))


@pytest.mark.parametrize(
    "settings",
    [
        {"use": "http"},
        {"use": "openai"},
        {"use": "hash", "hash": {"dimension": 8}},
        *(
            {"use": "http", "http": {**HTTP, **wrong}}
            for wrong in (
                {"url": "localhost:8080"},
                {"url": "ftp://host/v1"},
                {"url": "http://user:password@host/v1"},
                {"url": "http://host:port/v1"},
                {"model": ""},
                {"dimension": 0},
                {"key": "two words"},
                {"key": ""},
                {"batch": 0},
                {"attempts": 0},
            )
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EmbedSettings.model_validate(settings)


def test_a_key_is_not_shown() -> None:
    settings = HttpEmbedderSettings.model_validate({**HTTP, "key": "sk-example-0123"})

    assert "sk-example" not in repr(settings) + settings.model_dump_json()
