"""Configuration: a TOML file, the environment and flags, in rising order, into frozen models.

One `uaitools.toml` serves all components: settings common to all at the top, a table for each.

    log_level = "info"
    [proxy]
    listen = "127.0.0.1:8081"

`UAITOOLS_PROXY__LISTEN` overrides `proxy.listen` (`__` descends; lists and tables are JSON), and a
flag overrides both. What is wrong is reported all at once, each with the place that said it: a
file, a variable or a flag. pydantic-settings does the layering, but not that, and takes 0.13 s.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from uaitools import log
from uaitools.addresses import Address, ListenAddress, parse_address
from uaitools.problems import Key, dotted, explain

# All that a component needs for its configuration comes from here.
__all__ = [
    "COMPONENTS",
    "Address",
    "Common",
    "ConfigError",
    "Flag",
    "ListenAddress",
    "Model",
    "Settings",
    "load",
    "parse_address",
]

# Tables that a file may have whichever component reads it. Only those that some component does
# read: a `[tls]` that is accepted and protects nothing would be worse than an error.
COMPONENTS = frozenset({"auth", "hub", "insight", "limits", "memory", "proxy", "registry"})
_PREFIX = "UAITOOLS_"
_UNPREFIXED = ("DATABASE_URL", "REDIS_URL")


class ConfigError(Exception):
    """The configuration is wrong. problems: a line each, with source, key and reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Model(BaseModel):
    """What every component's configuration is made of: immutable, and strict about its keys."""

    # Inputs are hidden in the text of errors: a secret may be among them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class Common(Model):
    """Settings of all components, at the top of the file.

    environment: where this runs, in every log line and in /api/status. database_url, redis_url:
    the engines that hold state instead of the embedded ones. data_dir: where those keep files;
    the user's data directory unless given, /var/lib/uaitools for root.
    """

    log_level: log.Level = "info"
    environment: str = "development"
    database_url: str | None = None
    redis_url: str | None = None
    data_dir: Path | None = None

    @property
    def data_directory(self) -> Path:
        """Where components keep files, each in a directory of its own; it may not exist yet."""
        if self.data_dir is not None:
            return self.data_dir
        if os.geteuid() == 0:  # not below a home that nobody else may enter
            return Path("/var/lib/uaitools")
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
        return Path(base) / "uaitools"

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("is postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        if url is not None and not _is_redis(url):
            raise ValueError("is redis://HOST[:PORT][/DATABASE], rediss:// or unix:///PATH")
        return url


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # it is no number
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname)


M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Flag:
    """A command line flag: its name for messages, the key it sets, its value or None if absent."""

    name: str
    key: tuple[str, ...]
    value: object


@dataclass(frozen=True, slots=True)
class Settings:
    """A valid configuration: one model for what is common, and one a component."""

    models: tuple[Model, ...]

    @property
    def common(self) -> Common:
        """The settings of all components."""
        return self.of(Common)

    def of(self, model: type[M]) -> M:
        """The settings that `model` describes. Raises LookupError for one that was not loaded."""
        for loaded in self.models:
            if isinstance(loaded, model):
                return loaded
        raise LookupError(f"{model.__name__} was not loaded")


def load(
    components: Mapping[str, type[Model]],
    *,
    file: Path | None = None,
    environ: Mapping[str, str],
    flags: Iterable[Flag] = (),
) -> Settings:
    """Read and validate the settings of `components`, which are named as their tables.

    file: read if given, and then it has to exist. environ: usually `os.environ`; empty variables
    count as absent. Tables of other known components are accepted unseen. Raises ConfigError.
    """
    layers = _Layers(_read(file) if file else {}, str(file) if file else "configuration")
    for name, value in sorted(environ.items()):  # a table before what stands in it
        layers.add_variable(name, value)
    for flag in flags:
        if flag.value is not None:
            layers.set(flag.key, flag.value, f"flag {flag.name}")
    tables = {name: layers.tree.pop(name, {}) for name in COMPONENTS | components.keys()}
    wanted: list[tuple[tuple[str, ...], type[Model], object]] = [((), Common, layers.tree)]
    wanted += [((name,), model, tables[name]) for name, model in components.items()]
    models: list[Model] = []
    problems: list[str] = []
    for at, model, data in wanted:
        try:
            models.append(model.model_validate(data))
        except ValidationError as error:
            for path, reason in explain(error, model, data, beside=() if at else COMPONENTS):
                key = (*at, *path)
                problems.append(f"{layers.source(key)}: {dotted(key)}: {reason}")
    if problems:
        raise ConfigError(problems)
    return Settings(tuple(models))


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except (OSError, ValueError) as error:
        match error:
            case FileNotFoundError():
                reason = "no such file"
            case OSError():
                reason = f"cannot be read: {error.strerror}"
            case UnicodeDecodeError():
                reason = f"not UTF-8 text, at byte {error.start}"
            case _:
                reason = f"not valid TOML: {error}"
        raise ConfigError([f"{file}: {reason}"]) from error


class _Layers:
    """The merged tree, and what set each value that does not come from the file."""

    def __init__(self, tree: dict[str, Any], name: str) -> None:
        self.tree = tree
        self._name = name
        self._sources: dict[Key, str] = {}

    def set(self, key: tuple[str, ...], value: object, source: str) -> None:
        """Override one value. What is not a table on the way to it gives way to one."""
        table = self.tree
        for part in key[:-1]:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[key[-1]] = value
        below = len(key)
        self._sources = {k: s for k, s in self._sources.items() if k[:below] != key}
        self._sources[key] = source

    def add_variable(self, name: str, value: str) -> None:
        """Override what an environment variable stands for, if it is one of ours."""
        if not value:
            return
        if name in _UNPREFIXED:
            self.set((name.lower(),), value, f"environment {name}")
        elif name.startswith(_PREFIX):
            key = self._spelled(name.removeprefix(_PREFIX).lower().split("__"))
            self.set(key, _parsed(value), f"environment {name}")

    def source(self, key: Key) -> str:
        """What set the value at `key`, or the table it stands in."""
        for end in range(len(key), 0, -1):
            if key[:end] in self._sources:
                return self._sources[key[:end]]
        return self._name

    def _spelled(self, parts: list[str]) -> tuple[str, ...]:
        """The key as the file spells it: no variable can be called `LLM-router`."""
        key: list[str] = []
        table: object = self.tree
        for part in parts:
            names = table if isinstance(table, dict) else {}
            name = next((n for n in names if n.lower().replace("-", "_") == part), part)
            key.append(name)
            table = names.get(name)
        return tuple(key)


def _parsed(value: str) -> object:
    """A list or a table where the text is one in JSON; the model understands other text."""
    if value.startswith(("[", "{")):
        with suppress(orjson.JSONDecodeError):  # an IPv6 address starts with a bracket, too
            return orjson.loads(value)
    return value
