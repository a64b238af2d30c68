"""From the settings to an embedder. What it needs is imported when it is the one."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from uaitools.config import ConfigError

if TYPE_CHECKING:
    from uaitools.memory.embed.config import EmbedSettings
    from uaitools.memory.embed.port import Embedder
    from uaitools.memory.embed.statistics import Frequencies


def embedder(settings: EmbedSettings, frequencies: Frequencies | None = None) -> Embedder:
    """The embedder that `settings` describe; start it.

    frequencies: of words in the store's own texts, for those that weigh words. Raises ConfigError
    where a package is missing, with what to install.
    """
    if settings.use == "http":
        _need("http", ("numpy",), "memory")
        from uaitools.memory.embed.http import HttpEmbedder  # noqa: PLC0415

        assert settings.http is not None
        return HttpEmbedder(settings.http)
    if settings.use == "hash":
        _need("hash", ("numpy",), "memory")
        from uaitools.memory.embed.hash import HashEmbedder  # noqa: PLC0415

        return HashEmbedder(settings.hash.dimension, frequencies)
    _need("static", ("numpy", "safetensors", "tokenizers", "wordllama"), "embed")
    from uaitools.memory.embed.static import StaticEmbedder  # noqa: PLC0415

    return StaticEmbedder(frequencies)


def _need(use: str, packages: Iterable[str], extra: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        needed = " and ".join(missing)
        raise ConfigError(
            [f'memory.embed.use: {use} needs {needed}: pip install "uaitools[{extra}]"']
        )
