from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.analysis.conventions import Kind, is_test, kind
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.files import Files, Tree
from uaitools.insight.analysis.languages import language

NAME = b"a" * 40


def tree(*entries: tuple[str, int | None], mode: bytes = b"100644") -> Files:
    made = Tree(100)
    for path, size in entries:
        held = b"BAD" if size is None else b"%d" % size
        made.add(b"%b blob %b %7b\t%b" % (mode, NAME, held, path.encode()))
    return made.files()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("README", "readme"),
        ("readme.zh-CN.md", "readme"),
        (".github/README.md", "readme"),
        ("LICENSE", "license"),
        ("LICENCE.txt", "license"),
        ("COPYING.LESSER", "license"),
        ("UNLICENSE", "license"),
        ("LICENSES/MIT.txt", "license"),
        ("CONTRIBUTING.rst", "contributing"),
        ("docs/CODE_OF_CONDUCT.md", "conduct"),
        ("NEWS", "changelog"),
        ("CHANGES.rst", "changelog"),
        ("SECURITY.md", "security"),
        (".github/SECURITY.md", "security"),
        ("docs/security.rst", "security"),
        (".well-known/security.txt", "security"),
        (".github/workflows/ci.yml", "ci"),
        (".gitlab-ci.yml", "ci"),
        ("Jenkinsfile", "ci"),
        (".circleci/config.yml", "ci"),
        (".github/dependabot.yml", "updates"),
        ("renovate.json5", "updates"),
        ("uv.lock", "lock"),
        ("web/package-lock.json", "lock"),
        ("go.sum", "lock"),
        ("pyproject.toml", "manifest"),
        ("requirements-dev.txt", "manifest"),
        ("bin/tool.exe", "binary"),
        ("lib/x.so.1.2", "binary"),
        ("src/readme.md", None),
        ("src/LICENSE", None),
        ("licenses.py", None),
        ("security.py", None),
        ("history.go", None),
        ("docs/security/index.md", None),
        (".github/workflows/sub/ci.yml", None),
        ("a/b/uv.lock", None),
        ("gradle/wrapper/gradle-wrapper.jar", None),
        ("tests/data/x.exe", None),
        ("a.py", None),
    ],
)
def test_files_are_known_by_where_they_are(path: str, what: Kind | None) -> None:
    named = kind(path.lower(), code=language(path.lower()) is not None)

    assert (named and named[0]) == what


@pytest.mark.parametrize(
    "path",
    ["tests/x.py", "a/test/b.c", "src/test/java/A.java", "test_a.py", "a/b_test.go", "x.spec.ts",
     "x.test.jsx", "__tests__/a.js", "spec/a.rb", "a_spec.rb", "src/FooTest.java", "FooTests.cs",
     "e2e/a.ts"],
)  # fmt: skip
def test_tests_are_known_by_their_places_and_names(path: str) -> None:
    assert is_test(path)


@pytest.mark.parametrize(
    "path",
    ["contest.py", "src/latest.ts", "attest/a.go", "testing.py", "protest/a.py", "Latest.java"],
)
def test_other_programs_are_no_tests(path: str) -> None:
    assert not is_test(path)


def test_languages_are_counted_by_bytes_without_what_others_wrote() -> None:
    told = tree(
        ("a.py", 100), ("b.py", 50), ("c.go", 70), ("vendor/x.go", 900), ("app.min.js", 800),
        ("data.json", 999), ("x_pb2.py", 77), ("Makefile", 5), (".py", 4),
    )  # fmt: skip

    assert told.languages is not None
    assert [(one.name, one.files, one.bytes) for one in told.languages] == [
        ("Python", 2, 150),
        ("Go", 1, 70),
        ("Makefile", 1, 5),
    ]
    assert (told.files, told.vendored, told.bytes) == (9, 3, 3005)
    assert told.largest is not None
    assert told.largest.path == "data.json"


def test_bytes_that_are_not_there_are_unknown_and_not_none() -> None:
    told = tree(("a.py", 100), ("b.py", None))

    assert (told.bytes, told.languages, told.unsized, told.code) == (None, None, 1, 2)


def test_of_each_kind_the_first_are_kept_and_all_are_counted() -> None:
    told = tree(*((f"bin/{number:02}.exe", 1) for number in range(50)))

    assert told.count("binary") == 50
    assert [one.path for one in told.of("binary")][:2] == ["bin/00.exe", "bin/01.exe"]
    assert len(told.of("binary")) == 20


@given(st.text(alphabet="readmelicns-_.[]/ 0v", max_size=80))
def test_any_path_is_of_some_kind_or_none(path: str) -> None:
    assert kind(path, code=False) is None or path


@pytest.mark.parametrize(
    "start", ["readme", "license", "security", "changes", "a/", "x.so", "test_"]
)
@pytest.mark.parametrize("rest", ["-", "_", ".", ".1", "a/", "-a", "[^"])
def test_a_long_path_is_soon_done_with(start: str, rest: str) -> None:
    path = start + rest * (60_000 // len(rest)) + "\n"

    assert kind(path, code=False) is None or not is_test(path)


@pytest.mark.parametrize("entry", [b"", b"100644 blob x\ta", b"100644 blob x 5", b"\ta"])
def test_what_is_no_file_is_refused(entry: bytes) -> None:
    with pytest.raises(Unreadable):
        Tree(9).add(entry)
