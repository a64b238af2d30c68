"""The `[memory.embed]` table: what makes vectors of texts."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from uaitools.config import Model
from uaitools.secret import Secret


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is http:// or https://, a host and a path") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is http:// or https://, a host and a path")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("has neither a user nor a fragment; a key goes into `key`")
    return url


def _header(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError("has printable ASCII characters without spaces")
    return key


_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Dimension = Annotated[int, Field(ge=1, le=8_192)]
_ANSWER: Final = 65_536  # numbers in one answer: 3 ms on the event loop


class HttpEmbedderSettings(Model):
    """The `[memory.embed.http]` table: a server with an OpenAI-compatible /v1/embeddings.

    url: where texts are posted, path and all. model: as the server calls it. dimension: of its
    vectors. key: sent as a bearer token. revision: raise it when the model under that name is
    another one than before; everything is embedded anew then. longest: characters of a text; what
    is longer is embedded by its beginning. batch: texts in a request, fewer if their vectors are
    long. concurrency: requests at a time. timeout: seconds a request. attempts: of a request.
    """

    url: Annotated[str, AfterValidator(_address)]
    model: _Name
    dimension: _Dimension
    key: Annotated[Secret, AfterValidator(_header)] | None = None
    revision: Annotated[int, Field(ge=1)] = 1
    longest: Annotated[int, Field(ge=16, le=100_000)] = 8_000
    batch: Annotated[int, Field(ge=1, le=256)] = 64
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    timeout: Annotated[float, Field(gt=0, le=300)] = 10
    attempts: Annotated[int, Field(ge=1, le=10)] = 3

    @property
    def texts(self) -> int:
        """Texts in a request, at most."""
        return max(1, min(self.batch, _ANSWER // self.dimension))


class HashEmbedderSettings(Model):
    """The `[memory.embed.hash]` table. dimension: of the vectors."""

    dimension: Annotated[int, Field(ge=64, le=8_192)] = 512


class EmbedSettings(Model):
    """The `[memory.embed]` table.

    use: `static`, word vectors of an installed package; `http`, a server of your own or of others;
    `hash`, which needs neither and finds words, not meanings. Another one than before embeds
    everything anew.
    """

    use: Literal["static", "http", "hash"] = "static"
    http: HttpEmbedderSettings | None = None
    hash: HashEmbedderSettings = HashEmbedderSettings()

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.use == "http" and self.http is None:
            raise ValueError('use = "http" needs a table memory.embed.http with url and model')
        return self
