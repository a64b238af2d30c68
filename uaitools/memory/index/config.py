"""Which index, and where it is."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.secret import Secret

ROOM: Final = 32 << 20  # bytes: the vectors of some 26,000 memories with 256 dimensions
GRPC: Final = 50_051  # where Weaviate speaks gRPC unless told otherwise
Kind = Literal["local", "pgvector", "weaviate"]


class IndexConfig(Model):
    """The settings of the vector index.

    kind: `local` scans in this process, `pgvector` in the database, `weaviate` asks a server;
    without it weaviate where there is a URL for it, else local. room: bytes of vectors that are
    kept in this process. weaviate_url: http:// or https://HOST[:PORT], its REST interface.
    weaviate_grpc: HOST:PORT of the other one, where it is not the same host with 50051.
    weaviate_collection: what its collections are called, with the model behind; those of other
    models are removed, so no two services share it. search_timeout, write_timeout: seconds.
    """

    kind: Kind | None = None
    room: Annotated[int, Field(ge=1 << 20, le=1 << 36)] = ROOM
    weaviate_url: str | None = None
    weaviate_grpc: str | None = None
    weaviate_key: Secret | None = None
    weaviate_collection: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,99}$")] = (
        "UaitoolsMemory"
    )
    search_timeout: Annotated[float, Field(gt=0, le=60)] = 2.0
    write_timeout: Annotated[float, Field(gt=0, le=600)] = 10.0

    @property
    def chosen(self) -> Kind:
        """The index that these settings ask for."""
        return self.kind or ("weaviate" if self.weaviate_url else "local")

    @property
    def weaviate_rest(self) -> tuple[str, int]:
        """Host and port of the REST interface."""
        parts = urlsplit(self.weaviate_url or "")
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def weaviate_rpc(self) -> tuple[str, int]:
        """Host and port of the gRPC interface, which has the same protection as the other."""
        parts = urlsplit(f"//{self.weaviate_grpc}") if self.weaviate_grpc else None
        if parts is None:
            return self.weaviate_rest[0], GRPC
        return parts.hostname or "", parts.port or GRPC

    @field_validator("weaviate_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if url is not None and not _is_origin(url):
            raise ValueError("is http://HOST[:PORT] or https://HOST[:PORT]")
        return url

    @field_validator("weaviate_grpc")
    @classmethod
    def _address(cls, address: str | None) -> str | None:
        if address is not None and not _is_origin(f"http://{address}", port=True):
            raise ValueError("is HOST:PORT")
        return address

    @model_validator(mode="after")
    def _complete(self) -> IndexConfig:
        if self.kind == "weaviate" and self.weaviate_url is None:
            raise ValueError("kind weaviate needs weaviate_url")
        if self.weaviate_url and self.weaviate_rest == self.weaviate_rpc:
            raise ValueError("weaviate_grpc is the address of weaviate_url; it has one of its own")
        return self


def _is_origin(url: str, *, port: bool = False) -> bool:
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:  # it is no number
        return False
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    there = bool(parts.hostname) and (given is not None or not port)
    return parts.scheme in ("http", "https") and plain and there
