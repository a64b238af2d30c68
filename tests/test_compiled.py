"""The compiled build: what it names exists and can compile, and, when it runs, that it is used."""

import ast
import importlib
import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["hooks"]["mypyc"]
COMPILED = [path.removeprefix("/") for path in HOOK["include"]]
# Set by `make test-compiled`, which runs the data plane's tests against the compiled modules. Not
# with our prefix: the program refuses variables with it that are no setting.
UNDER_TEST = "TEST_COMPILED" in os.environ

from_sources = pytest.mark.skipif(UNDER_TEST, reason="the sources are not at hand")


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_bytes())


def test_an_ordinary_build_compiles_nothing() -> None:
    assert HOOK["enable-by-default"] is False


@from_sources
@pytest.mark.parametrize("path", COMPILED)
def test_a_compiled_module_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@from_sources
def test_everything_pure_about_messages_and_traffic_is_compiled() -> None:
    pure = [
        str(path.relative_to(ROOT))
        for folder in ("uaitools/traffic", "uaitools/proxy/http1")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    ]

    assert sorted(set(pure) - set(COMPILED)) == []


_NONE = ("Generic", "Protocol")


@from_sources
@pytest.mark.parametrize("path", COMPILED)
def test_a_compiled_module_has_no_async_generator_and_one_base_a_class(path: str) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.AsyncFunctionDef):
            assert not [n for n in ast.walk(node) if isinstance(n, ast.Yield)], node.name
        elif isinstance(node, ast.ClassDef):
            # Generic[V] and Protocol are no bases at run time.
            bases = [base for base in node.bases if ast.unparse(base).split("[")[0] not in _NONE]
            assert len(bases) <= 1, node.name


@from_sources
@pytest.mark.parametrize("path", COMPILED)
def test_a_compiled_module_has_no_pydantic_model(path: str) -> None:
    imported = {node.module for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)}

    assert not {module for module in imported if module and module.startswith("pydantic")}


@pytest.mark.skipif(not UNDER_TEST, reason="for `make test-compiled`")
@pytest.mark.parametrize("path", COMPILED)
def test_the_compiled_module_is_the_one_that_runs(path: str) -> None:
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))

    assert str(module.__file__).endswith(".so")
