"""`python -m uaitools keys` as its users run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from uaitools.__main__ import main
from uaitools.auth.errors import Refused
from uaitools.auth.keyfile import KeyFile, read

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uaitools", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )


def keys(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "keys", *arguments, **environ)


HERE = ("--keys-file", "keys.json")


def test_a_new_key_is_printed_once_and_works(folder: Path) -> None:
    made = keys(
        folder, "new", "--name", "ci", "--scope", "a:b", "--scope", "c", "--role", "r", *HERE
    )

    assert made.returncode == 0
    text = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"uai_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", text)
    assert text not in made.stderr
    assert text not in (folder / "keys.json").read_text()
    principal = KeyFile(folder / "keys.json").keys.find(text.encode(), 0)
    assert principal.scopes == frozenset({"a:b", "c"})
    assert principal.roles == frozenset({"r"})


def test_keys_are_listed_without_their_secrets_and_revoked(folder: Path) -> None:
    first = keys(folder, "new", "--name", "first", "--scope", "a", *HERE).stdout.strip()
    second = keys(folder, "new", "--name", "second", "--expires", "90d", *HERE).stdout.strip()

    revoked = keys(folder, "revoke", first.split("_")[1], *HERE)
    listed = keys(folder, "list", *HERE)

    assert (revoked.returncode, listed.returncode, listed.stderr) == (0, 0, "")
    head, one, two = listed.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "STATE", "SCOPES", "ROLES", "CREATED", "EXPIRES"]
    assert one.split()[:5] == [first.split("_")[1], "first", "revoked", "a", "-"]
    assert one.split()[-1] == "never"
    assert two.split()[:5] == [second.split("_")[1], "second", "valid", "-", "-"]
    assert first.split("_", 2)[2] not in listed.stdout
    file = KeyFile(folder / "keys.json")
    with pytest.raises(Refused, match="revoked"):
        file.keys.find(first.encode(), 0)
    file.keys.find(second.encode(), 0)


def test_a_whole_key_can_be_revoked_and_is_not_repeated(folder: Path) -> None:
    text = keys(folder, "new", "--name", "ci", *HERE).stdout.strip()

    ended = keys(folder, "revoke", text, *HERE)

    assert ended.returncode == 0
    assert read(folder / "keys.json")[0].revoked is not None
    assert text not in ended.stdout + ended.stderr


def test_revoking_twice_keeps_the_first_time(folder: Path) -> None:
    text = keys(folder, "new", "--name", "ci", *HERE).stdout.strip()
    keys(folder, "revoke", text, *HERE)
    before = read(folder / "keys.json")

    assert keys(folder, "revoke", text, *HERE).returncode == 0
    assert read(folder / "keys.json") == before


def test_the_file_is_found_in_the_configuration_also_before_it_exists(folder: Path) -> None:
    (folder / "uaitools.toml").write_text(
        "[auth]\nkeys_file = 'mine.json'\nservice_secret = 'x'\n[proxy]\nanything = 1\n"
    )
    config = ("--config", "uaitools.toml")

    assert keys(folder, "new", "--name", "ci", *config).returncode == 0
    assert (folder / "mine.json").exists()
    by_variable = keys(folder, "list", UAITOOLS_AUTH__KEYS_FILE="mine.json")
    assert "ci" in by_variable.stdout


@pytest.mark.parametrize(
    ("expires", "shown"),
    [
        ("2999-01-01", "2999-01-01 00:00Z"),
        ("2999-01-01T12:00:00+02:00", "2999-01-01 10:00Z"),
        ("2999-01-01T12:00:00Z", "2999-01-01 12:00Z"),
    ],
)
def test_an_expiry_is_a_span_or_a_date_in_utc(folder: Path, expires: str, shown: str) -> None:
    ended = keys(folder, "new", "--name", "ci", "--expires", expires, *HERE)

    assert f"valid until {shown}" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "usage: python -m uaitools keys"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("new", *HERE), "required: --name"),
        (("new", "--name", "", *HERE), "name must be 1 to 128"),
        (("new", "--name", "a\nb", *HERE), "name must be 1 to 128"),
        (("new", "--name", "a", "--scope", "b c", *HERE), "scopes[0] must be 1 to 128"),
        (("new", "--name", "a", "--expires", "soon", *HERE), "must be like 90d, 12h or 2027-01-01"),
        (("new", "--name", "a", "--expires", "0d", *HERE), "must be like 90d"),
        (("new", "--name", "a", "--expires", "999999w", *HERE), "must be like 90d"),
        (("new", "--name", "a", "--expires", "2020-01-01", *HERE), "must be in the future"),
        (("list",), "no key file given; name it with --keys-file FILE"),
        (("list", "--config", "no.toml"), "no.toml: no such file"),
        (("list", "--config", "empty.toml"), "empty.toml has no auth.keys_file"),
        (("list", *HERE, "--config", "x"), "not allowed with"),
    ],
)
def test_what_is_not_understood_ends_with_2(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    (folder / "empty.toml").touch()

    with chdir(folder), pytest.raises(SystemExit, match="2"):
        raise SystemExit(main(["keys", *arguments]))

    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err
    assert not (folder / "keys.json").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("list", "--keys-file", "no.json"), "no.json: no such file"),
        (("revoke", "abc", "--keys-file", "no.json"), "no.json: no such file"),
        (("new", "--name", "a", "--keys-file", "no/keys.json"), "cannot be locked: No such file"),
        (("list", "--keys-file", "broken.json"), "broken.json: not valid JSON"),
        (("new", "--name", "a", "--keys-file", "broken.json"), "broken.json: not valid JSON"),
        (("revoke", "abc", "--keys-file", "empty.json"), "no key has this id"),
    ],
)
def test_what_cannot_be_done_ends_with_1(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "empty.json").write_text('{"version": 1, "keys": []}')
    for file in ("broken.json", "empty.json"):
        (folder / file).chmod(0o600)

    with chdir(folder):
        assert main(["keys", *arguments]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err


def test_without_a_subcommand_it_says_what_there_is(folder: Path) -> None:
    nothing, asked = run(folder), run(folder, "--help")

    assert (nothing.returncode, nothing.stdout, asked.returncode, asked.stderr) == (2, "", 0, "")
    assert nothing.stderr == asked.stdout
    assert "python -m uaitools keys" in asked.stdout
