"""Where a repository keeps what it says of itself, by convention. Pure.

Every pattern is of a whole path in lower case. The first that fits is what a file is.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal[
    "readme",
    "license",
    "contributing",
    "conduct",
    "changelog",
    "security",
    "ci",
    "updates",
    "lock",
    "manifest",
    "binary",
]

_HOME: Final = r"(?:\.github/|\.gitlab/|docs?/)?"
_PROSE: Final = r"(?:[._-][\w.-]*)?"
_MARKUP: Final = r"(?:\.(?:md|markdown|rst|txt|adoc|org))?"
_CHANGES: Final = r"changelog|changes|history|news|release[_-]?notes"
_TOP: Final = r"(?:[^/]+/)?"  # at the top, or in a directory there

_RULES: Final[tuple[tuple[Kind, str, str], ...]] = (
    ("ci", "GitHub Actions", r"\.github/workflows/[^/]+\.ya?ml"),
    ("ci", "GitLab CI", r"\.gitlab-ci\.ya?ml"),
    ("ci", "CircleCI", r"\.circleci/config\.ya?ml"),
    ("ci", "Travis CI", r"\.travis\.ya?ml"),
    ("ci", "Jenkins", r"(?:\.?ci/|\.jenkins/)?jenkinsfile(?:\.[\w-]+)?"),
    ("ci", "Azure Pipelines", r"\.?azure-pipelines(?:[\w-]*\.ya?ml|/[^/]+\.ya?ml)"),
    ("ci", "AppVeyor", r"\.?appveyor\.ya?ml"),
    ("ci", "Bitbucket Pipelines", r"bitbucket-pipelines\.ya?ml"),
    ("ci", "Drone", r"\.drone\.(?:ya?ml|jsonnet|star)"),
    ("ci", "Woodpecker", r"\.woodpecker(?:\.ya?ml|/[^/]+\.ya?ml)"),
    ("ci", "Buildkite", r"\.buildkite/pipeline[\w.-]*\.ya?ml"),
    ("ci", "Cirrus CI", r"\.cirrus\.(?:ya?ml|star)"),
    ("ci", "sourcehut", r"\.build\.yml|\.builds/[^/]+\.yml"),
    ("ci", "Forgejo Actions", r"\.forgejo/workflows/[^/]+\.ya?ml"),
    ("ci", "Gitea Actions", r"\.gitea/workflows/[^/]+\.ya?ml"),
    ("ci", "Semaphore", r"\.semaphore/semaphore\.ya?ml"),
    ("ci", "TeamCity", r"\.teamcity/(?:pom\.xml|settings\.kts)"),
    ("ci", "Google Cloud Build", r"cloudbuild\.(?:ya?ml|json)"),
    ("ci", "AWS CodeBuild", r"buildspec\.ya?ml"),
    ("ci", "Zuul", r"\.?zuul\.ya?ml|\.zuul\.d/[^/]+\.ya?ml"),
    ("updates", "Dependabot", r"\.github/dependabot\.ya?ml"),
    ("updates", "Renovate", r"(?:\.github/|\.gitlab/)?renovate\.json5?|\.renovaterc(?:\.json5?)?"),
    ("lock", "npm", rf"{_TOP}(?:package-lock|npm-shrinkwrap)\.json"),
    ("lock", "Yarn", rf"{_TOP}yarn\.lock"),
    ("lock", "pnpm", rf"{_TOP}pnpm-lock\.yaml"),
    ("lock", "Bun", rf"{_TOP}bun\.lockb?"),
    ("lock", "Deno", rf"{_TOP}deno\.lock"),
    ("lock", "uv", rf"{_TOP}uv\.lock"),
    ("lock", "Poetry", rf"{_TOP}poetry\.lock"),
    ("lock", "PDM", rf"{_TOP}pdm\.lock"),
    ("lock", "Pipenv", rf"{_TOP}pipfile\.lock"),
    ("lock", "pylock", rf"{_TOP}pylock(?:\.[\w-]+)?\.toml"),
    ("lock", "Cargo", rf"{_TOP}cargo\.lock"),
    ("lock", "Go", rf"{_TOP}go\.sum"),
    ("lock", "Bundler", rf"{_TOP}(?:gemfile|gems)\.lock"),
    ("lock", "Composer", rf"{_TOP}composer\.lock"),
    ("lock", "Mix", rf"{_TOP}mix\.lock"),
    ("lock", "pub", rf"{_TOP}pubspec\.lock"),
    ("lock", "Swift", rf"{_TOP}package\.resolved"),
    ("lock", "Gradle", rf"{_TOP}gradle\.lockfile"),
    ("lock", "NuGet", rf"{_TOP}packages\.lock\.json"),
    ("lock", "Nix", rf"{_TOP}flake\.lock"),
    ("manifest", "Python", r"pyproject\.toml|setup\.(?:py|cfg)|requirements[\w.-]*\.txt|pipfile"),
    ("manifest", "JavaScript", r"package\.json|deno\.jsonc?"),
    ("manifest", "Rust", r"cargo\.toml"),
    ("manifest", "Go", r"go\.mod"),
    ("manifest", "Ruby", r"gemfile|[\w.-]+\.gemspec"),
    ("manifest", "PHP", r"composer\.json"),
    ("manifest", "JVM", r"pom\.xml|build\.gradle(?:\.kts)?|build\.sbt"),
    ("manifest", "Elixir", r"mix\.exs"),
    ("manifest", "Dart", r"pubspec\.yaml"),
    ("manifest", "Swift", r"package\.swift"),
    ("license", "license", rf"(?:mit-)?(?:un)?licen[cs]es?{_PROSE}|copying{_PROSE}|licenses/[^/]+"),
    ("readme", "readme", rf"{_HOME}readme{_PROSE}"),
    ("contributing", "contributing", rf"{_HOME}contributing{_PROSE}"),
    ("conduct", "code of conduct", rf"{_HOME}code[_-]of[_-]conduct{_PROSE}"),
    ("changelog", "changelog", rf"{_HOME}(?:{_CHANGES}){_PROSE}"),
    ("security", "security policy", rf"{_HOME}security(?:[_-]policy)?{_MARKUP}"),
    ("security", "security.txt", r"\.well-known/security\.txt"),
)  # fmt: skip
_BINARY: Final = re.compile(
    r"\.(?:exe|dll|dylib|so(?:\.\d+)*|o|a|lib|obj|class|jar|war|ear|pyc|pyo|whl|egg|deb|rpm|msi|apk"
    r"|crx|dex|node|wasm|iso)$"
)
_WRAPPER: Final = "gradle/wrapper/gradle-wrapper.jar"  # every Gradle project is to commit it
_NAMED: Final = re.compile("|".join(f"({pattern})" for _, _, pattern in _RULES))
_TEST: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|specs?|__tests__|e2e|t)/"
    r"|(?:^|/)(?:test_[^/]*|[^/]*_tests?|[^/]*_spec|[^/]*\.(?:test|spec|cy))\.\w+$"
)
_TEST_CASED: Final = re.compile(
    r"(?:^|/)[A-Z][^/]*(?:Tests?|Spec|IT)\.(?:java|kt|scala|cs|swift|php)$"
)
_CODE: Final = frozenset({"license", "readme", "contributing", "conduct", "changelog", "security"})
"""Kinds of prose; a program of such a name is none."""


def kind(path: str, *, code: bool) -> tuple[Kind, str] | None:
    """What a file is for, and of which system or tool. path: lower case. code: it is a program."""
    found = _NAMED.fullmatch(path)
    if found is not None and found.lastindex is not None:
        what, label, _ = _RULES[found.lastindex - 1]
        return None if code and what in _CODE else (what, label)
    binary = _BINARY.search(path)
    if binary is None or path.endswith(_WRAPPER) or _TEST.search(path) is not None:
        return None
    return "binary", binary[0].lstrip(".")


def is_test(path: str) -> bool:
    """Whether a program is a test, as its place or its name says. path: as it is written."""
    return _TEST.search(path.lower()) is not None or _TEST_CASED.search(path) is not None


def systems(what: Kind) -> tuple[str, ...]:
    """The systems or tools that are known of a kind, for saying what was looked for."""
    return tuple(dict.fromkeys(label for one, label, _ in _RULES if one == what))
