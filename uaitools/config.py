"""Configuration: a TOML file, the environment and flags, in rising order, into frozen models.

One `uaitools.toml` serves all components: settings common to all at the top, a table for each.

    log_level = "info"
    [proxy]
    listen = "127.0.0.1:8081"

`UAITOOLS_PROXY__LISTEN` overrides `proxy.listen` (`__` descends; lists and tables are JSON), and a
flag overrides both. What is wrong is reported all at once, each with the place that said it: a
file, a variable or a flag. pydantic-settings does the layering, but not that, and takes 0.13 s.
"""

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic_core import ErrorDetails

from uaitools import log

# Tables that a file may have whichever component reads it.
COMPONENTS = frozenset({"proxy", "registry", "hub", "memory", "insight", "auth"})
_PREFIX = "UAITOOLS_"
_UNPREFIXED = ("DATABASE_URL", "REDIS_URL")

# pydantic's type errors by the first word of their code, and what to write instead.
_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
}
_TYPE_ERRORS = ("_type", "_parsing", "_from_float")
# Values that are not repeated in messages.
_SECRET = re.compile(r"secret|password|token|key|_url$")
_ADDRESS = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<host>[\w.-]+)):(?P<port>[0-9]{1,5})", re.ASCII)

Key = tuple[str | int, ...]


class ConfigError(Exception):
    """The configuration is wrong. problems: a line each, with source, key and reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Model(BaseModel):
    """What every component's configuration is made of: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Common(Model):
    """Settings of all components, at the top of the file.

    environment: where this runs, for logs and metrics. database_url, redis_url: the engines that
    hold state instead of the embedded ones.
    """

    log_level: log.Level = "info"
    environment: str = "development"
    database_url: str | None = None
    redis_url: str | None = None


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
            for path, reason in _explain(error, model, data):
                key = (*at, *path)
                problems.append(f"{layers.source(key)}: {_dotted(key)}: {reason}")
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


def _explain(error: ValidationError, model: type[Model], data: object) -> list[tuple[Key, str]]:
    """The key and the reason of each problem, in our words and without pydantic's detours."""
    found = [(_key(one, data), one) for one in error.errors(include_url=False)]
    keys = [key for key, _ in found]
    reasons: dict[Key, list[str]] = {}
    for key, one in found:
        # A union complains once for each of its forms. What is wrong inside the form that was
        # meant says more than that the value has not the type of another one.
        inside = any(len(other) > len(key) and other[: len(key)] == key for other in keys)
        if not (inside and one["type"].endswith("_type")):
            reasons.setdefault(key, []).append(_reason(key, one, model))
    return [(key, ", or ".join(dict.fromkeys(texts))) for key, texts in reasons.items()]


def _key(error: ErrorDetails, data: object) -> Key:
    """Where the problem is in the data; pydantic's location also names the forms of a union."""
    key: list[str | int] = []
    for part in error["loc"]:
        match data:
            case dict() if part in data:
                data = data[part]
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                continue
        key.append(part)
    return (*key, error["loc"][-1]) if error["type"] == "missing" else tuple(key)


def _reason(key: Key, error: ErrorDetails, model: type[Model]) -> str:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown(key, model)
    if kind in ("value_error", "assertion_error"):
        return error["msg"].partition(", ")[2]
    expected = _EXPECTED.get(kind.partition("_")[0]) if kind.endswith(_TYPE_ERRORS) else None
    must = f"must be {expected}" if expected else error["msg"].replace("Input should", "must", 1)
    secret = bool(key) and _SECRET.search(str(key[-1]))
    if secret or not isinstance(value, str | int | float):
        return must
    return f"{must}, got {json.dumps(value, ensure_ascii=False)[:80]}"


def _unknown(key: Key, model: type[Model]) -> str:
    known = _fields(model, key[:-1]) | (COMPONENTS if model is Common else frozenset())
    close = difflib.get_close_matches(str(key[-1]), known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(known))}"
    return f"unknown key; {hint}"


def _fields(annotation: Any, key: Key) -> frozenset[str]:
    """The keys that the model at `key` below an annotation knows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not key:
            return frozenset(annotation.model_fields)
        field = annotation.model_fields.get(str(key[0]))
        return _fields(field.annotation, key[1:]) if field else frozenset()
    transparent = get_origin(annotation) in (Union, UnionType, Annotated)
    below = key if transparent else key[1:]
    return frozenset().union(*(_fields(part, below) for part in get_args(annotation)))


def _dotted(key: Key) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on. host: a name or an IP address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than localhost may be anywhere."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def parse_address(text: object) -> Address:
    """Read `127.0.0.1:8081`, `localhost:0` (any free port) or `[::1]:80`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        example = "127.0.0.1:8081, 0.0.0.0:8081 or [::1]:8081"
        raise ValueError(f"must be HOST:PORT, for example {example}, got {text!r}")
    host, port = match["v6"] or match["host"], int(match["port"])
    if port > 65535:
        raise ValueError(f"the port must be at most 65535, got {port}")
    if match["v6"]:
        ipaddress.IPv6Address(host)  # raises ValueError with its reason
    return Address(host, port)


def _address(value: object) -> Address:
    return value if isinstance(value, Address) else parse_address(value)


ListenAddress = Annotated[Address, PlainValidator(_address)]
"""The type of a model's field that is written `HOST:PORT`."""
