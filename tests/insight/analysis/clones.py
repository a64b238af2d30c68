"""Real repositories, made with git, and what git itself says of them."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

AS_OF = datetime(2026, 6, 30, 12, tzinfo=UTC)
NOW = int(AS_OF.timestamp())
DAY = 86_400

Person = tuple[bytes, bytes]
ANN: Person = (b"Ann", b"ann@example.org")
BEN: Person = (b"Ben", b"ben@example.org")
CEM: Person = (b"Cem", b"cem@example.org")


def git(
    path: Path, *arguments: str, sent: bytes = b"", settings: Mapping[str, str] | None = None
) -> bytes:
    """What plain git says, with nothing of this machine's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_AUTHOR_DATE": f"{NOW} +0000",
        "GIT_COMMITTER_DATE": f"{NOW} +0000",
        **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
        **(settings or {}),
    }
    done = subprocess.run(
        ["git", "-C", str(path), *arguments],
        input=sent,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Commit:
    """files: by path; None deletes. merges: marks of other commits of the same call, from 1."""

    files: Mapping[bytes, bytes | None] = field(default_factory=dict)
    who: Person = ANN
    at: int = NOW - DAY
    merges: Sequence[int] = ()
    modes: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Clone:
    """A repository at `path`, whose default branch is main."""

    path: Path

    @classmethod
    def made(cls, path: Path, *options: str) -> Clone:
        path.mkdir(parents=True, exist_ok=True)
        git(path, "init", "--quiet", "--initial-branch=main", *options)
        return cls(path)

    def commit(self, *commits: Commit, branch: str = "main") -> Clone:
        """Add commits to a branch, one after the other."""
        stream = bytearray()
        for mark, one in enumerate(commits, start=1):
            stream += b"commit refs/heads/%b\nmark :%d\n" % (branch.encode(), mark)
            name, email = one.who
            for role in (b"author", b"committer"):
                stream += b"%b %b <%b> %d +0000\n" % (role, name, email, one.at)
            stream += b"data 2\nx\n\n"
            if mark == 1 and self.has(branch):
                stream += b"from refs/heads/%b^0\n" % branch.encode()
            for merged in one.merges:
                stream += b"merge :%d\n" % merged
            for path, data in one.files.items():
                stream += _change(path, data, one.modes.get(path, b"100644"))
        self.git("fast-import", "--quiet", "--force", "--date-format=raw", sent=bytes(stream))
        return self

    def has(self, branch: str) -> bool:
        return bool(self.git("for-each-ref", f"refs/heads/{branch}"))

    def object(self, kind: str, data: bytes) -> str:
        """The name of an object that is kept as it is, whatever git thinks of it."""
        options = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
        return self.git(*options, sent=data).decode().strip()

    def raw_commit(self, data: bytes) -> str:
        """Make main be a commit of these bytes."""
        name = self.object("commit", data)
        (self.path / ".git" / "refs" / "heads").mkdir(parents=True, exist_ok=True)
        (self.path / ".git" / "refs" / "heads" / "main").write_text(f"{name}\n")
        return name

    def git(self, *arguments: str, sent: bytes = b"") -> bytes:
        return git(self.path, *arguments, sent=sent)

    def configure(self, text: str) -> None:
        with (self.path / ".git" / "config").open("a") as config:
            config.write(text)

    def tag(self, name: str, at: int = NOW, *options: str) -> None:
        git(self.path, "tag", *options, name, settings={"GIT_COMMITTER_DATE": f"{at} +0000"})


def _change(path: bytes, data: bytes | None, mode: bytes) -> bytes:
    quoted = b'"%b"' % b"".join(b"\\%03o" % byte for byte in path)
    if data is None:
        return b"D %b\n" % quoted
    if mode == b"160000":
        return b"M 160000 %b %b\n" % (data, quoted)
    return b"M %b inline %b\ndata %d\n%b\n" % (mode, quoted, len(data), data)


def shortlog(path: Path) -> Counter[tuple[str, str]]:
    """Commits by name and address, as `git shortlog -sne HEAD` counts them."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in git(path, "shortlog", "-sne", "HEAD").decode().splitlines():
        number, _, who = line.strip().partition("\t")
        name, _, email = who.removesuffix(">").rpartition(" <")
        counts[name, email] += int(number)
    return counts


def count(path: Path) -> int:
    return int(git(path, "rev-list", "--count", "HEAD"))
