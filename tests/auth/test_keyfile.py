"""The key file on a real file system, changed by processes at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from uaitools.auth.errors import Refused
from uaitools.auth.keyfile import KeyFile, KeyFileError, change, read
from uaitools.auth.keys import KeyRecord, new_key, render

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, name: str = "ci") -> str:
    """Put a new key into the file; its text."""
    text, record = new_key(name, scopes=["a"], created=CREATED)
    return change(path, lambda records: ((*records, record), text))


def known(file: KeyFile, text: str) -> bool:
    try:
        file.keys.find(text.encode(), 0)
    except Refused:
        return False
    return True


# -- writing --------------------------------------------------------------------------------


def test_a_new_file_is_for_its_owner_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        add(path)
    finally:
        os.umask(umask)

    assert [file.stat().st_mode & 0o777 for file in path.parent.iterdir()] == [0o600]


def test_a_change_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    add(path)
    before = path.read_bytes()

    def wrong(records: tuple[KeyRecord, ...]) -> tuple[tuple[KeyRecord, ...], None]:
        return (*records, *records), None

    def failing(_records: tuple[KeyRecord, ...]) -> tuple[tuple[KeyRecord, ...], None]:
        raise LookupError

    with pytest.raises(ValueError, match="two keys have one id"):
        change(path, wrong)
    with pytest.raises(LookupError):
        change(path, failing)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_file_is_not_overwritten(path: Path) -> None:
    path.write_text("{")

    with pytest.raises(KeyFileError, match="not valid JSON"):
        add(path)

    assert path.read_text() == "{"


def test_what_a_crash_left_behind_is_in_nobodys_way(path: Path) -> None:
    path.with_name(".keys.json.new").write_text("half of")

    add(path)

    assert len(read(path)) == 1


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    add(target)
    path.symlink_to(target)

    add(path)

    assert path.is_symlink()
    assert len(read(target)) == 2


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"no/keys\.json: cannot be locked: No such file"):
        add(tmp_path / "no" / "keys.json")


ADDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
for number in range(20):
    text, record = new_key(f"{sys.argv[2]}-{number}", created=datetime.now(UTC))
    change(Path(sys.argv[1]), lambda records: ((*records, record), None))
    print(text, flush=True)
"""


def test_keys_that_processes_add_at_the_same_time_are_all_kept_and_never_half_seen(
    path: Path,
) -> None:
    first = add(path)
    file = KeyFile(path)
    stop = threading.Event()
    seen: list[int] = []

    def watch() -> None:
        while not stop.is_set():
            file.poll()
            assert known(file, first)
            seen.append(len(read(path)))

    with capture_logs() as logged:
        watcher = threading.Thread(target=watch)
        watcher.start()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", ADDING, str(path), str(number)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            for number in range(4)
        ]
        texts = [line for process in processes for line in process.communicate()[0].split()]
        stop.set()
        watcher.join()
        file.poll()

    assert [process.returncode for process in processes] == [0] * 4
    assert len(texts) == len(read(path)) - 1 == 80
    assert all(known(file, text) for text in texts)
    assert seen == sorted(seen)
    assert {line["event"] for line in logged} == {"key file read again"}


# -- reading --------------------------------------------------------------------------------


def test_a_file_is_read_again_when_it_has_changed(path: Path) -> None:
    first = add(path)
    file = KeyFile(path)
    assert not file.poll()

    second = add(path)

    assert not known(file, second)
    assert file.poll()
    assert known(file, first)
    assert known(file, second)
    assert not file.poll()


def test_a_revoked_key_is_refused_after_the_next_look(path: Path) -> None:
    text = add(path)
    file = KeyFile(path)
    change(path, lambda all_: ([r.model_copy(update={"revoked": CREATED}) for r in all_], None))

    assert file.poll()
    assert not known(file, text)


def test_a_broken_file_keeps_the_last_good_keys_and_is_logged_once_a_change(path: Path) -> None:
    text = add(path)
    file = KeyFile(path)
    good = path.read_bytes()

    with capture_logs() as logged:
        for broken in ("{", "[]", "{  "):
            path.write_text(broken)
            assert [file.poll() for _ in range(3)] == [False] * 3
            assert known(file, text)
        path.unlink()
        assert [file.poll() for _ in range(3)] == [False] * 3
        assert known(file, text)
        path.write_bytes(good)
        path.chmod(0o600)
        assert file.poll()

    wrong = "key file is wrong, the last good keys stay"
    assert [line["event"] for line in logged] == [wrong] * 4 + ["key file read again"]
    assert logged[0]["reason"].startswith(f"{path}: not valid JSON")
    assert logged[3]["reason"] == f"{path}: no such file"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.parent, "no such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "not a file"),
        (lambda path: (path.write_bytes(render([])), path.chmod(0o602)), "everyone can write it"),
        (lambda path: path.write_text('{"version": 1}'), "keys: is missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    path: Path, make: object, reason: str
) -> None:
    assert callable(make)
    make(path)

    with pytest.raises(KeyFileError, match=reason) as caught:
        KeyFile(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_whose_mode_was_wrong_is_read_when_that_is_mended(path: Path) -> None:
    text = add(path)
    file = KeyFile(path)
    change(path, lambda _records: ((), None))
    path.chmod(0o666)
    assert not file.poll()
    assert known(file, text)

    path.chmod(0o600)

    assert file.poll()
    assert not known(file, text)
