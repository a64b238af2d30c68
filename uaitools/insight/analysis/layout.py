"""Where a clone keeps its data, and that all of it is its own.

The rules are those of gitrepository-layout(5), followed here and not by git, which would read the
clone's configuration on the way. A link to elsewhere, a device or a pipe among the data is refused:
a clone from a stranger could otherwise show another's files, or never end.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uaitools.insight.analysis.errors import NotAClone
from uaitools.insight.analysis.texts import readable

_SMALL: Final = 4096  # bytes of HEAD, and of a link to a git directory
_CONFIG: Final = 1 << 20
_HEAD: Final = re.compile(rb"(?:ref: (?P<ref>refs/[^\0-\x20\x7f]+)|[0-9a-f]{40}|[0-9a-f]{64})\s*")
_FAN: Final = re.compile(r"[0-9a-f]{2}|pack")  # where objects are, and no alternates


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are. head, config: as they stand in their files.

    parts: the directories with objects, by their names. ref: what HEAD names; None if it is
    detached. shallow: the oldest commits are cut off. borrowed: some objects are another clone's.
    """

    common: Path
    head: bytes
    config: bytes
    parts: tuple[str, ...]
    ref: bytes | None
    shallow: bool
    borrowed: bool


def locate(path: Path, most: int) -> Layout:
    """The layout of the clone at `path`: its top or a worktree of it, or a bare one.

    most: files that may hold its objects and refs. Raises `NotAClone`.
    """
    try:
        top = path.resolve(strict=True)
        own = _git_directory(top)
        return _layout(own, _common(own), most)
    except (OSError, RuntimeError, ValueError) as error:  # also links in a circle, NUL in a name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotAClone(f"{_shown(path)} cannot be read: {reason}") from error


def _layout(own: Path, common: Path, most: int) -> Layout:
    head = _read(own / "HEAD", _SMALL)
    found = _HEAD.fullmatch(head)
    if found is None:
        raise NotAClone(f"{_shown(own)} has a HEAD that names no branch and no commit")
    objects, refs = common / "objects", common / "refs"
    if not (_is_directory(objects) and _is_directory(refs)):
        raise NotAClone(f"{_shown(common)} has no objects or no refs")
    parts = tuple(sorted(one.name for one in objects.iterdir() if _FAN.fullmatch(one.name)))
    _check([refs, *(objects / part for part in parts)], most)
    for name in ("packed-refs", "shallow"):
        _is_file(common / name)
    return Layout(
        common,
        head,
        config=_read(common / "config", _CONFIG) if _is_file(common / "config") else b"",
        parts=parts,
        ref=found["ref"],
        shallow=_is_file(common / "shallow") and (common / "shallow").stat().st_size > 0,
        borrowed=_is_file(objects / "info" / "alternates"),
    )


def _git_directory(top: Path) -> Path:
    own = top / ".git"
    if _is_directory(own):
        return own
    if _is_file(own):
        return _linked(own)
    if _is_file(top / "HEAD") and _is_directory(top / "objects"):
        return top  # bare
    for parent in top.parents:
        if (parent / ".git").exists():
            raise NotAClone(f"{_shown(top)} is a part of a clone; name {_shown(parent)}")
    raise NotAClone(f"{_shown(top)} is no clone of a git repository")


def _linked(link: Path) -> Path:
    """The git directory that the file `.git` names, if that directory names the file as well.

    Git writes both for a worktree. Whoever made a file alone could point it at any clone.
    """
    text = _read(link, _SMALL)
    own = link.parent / os.fsdecode(text.removeprefix(b"gitdir:").strip())
    back = own / "gitdir"
    if text.startswith(b"gitdir:") and _is_file(back):
        named = own / os.fsdecode(_read(back, _SMALL).strip())
        if named.resolve() == link.resolve():
            return own.resolve()
    raise NotAClone(
        f"{_shown(link.parent)} has its data elsewhere, which does not say so; "
        f"name {_shown(own)} if that is meant"
    )


def _common(own: Path) -> Path:
    """Where objects and refs are: of a worktree in the clone that has it among its worktrees."""
    if not _is_file(own / "commondir"):
        return own
    common = (own / os.fsdecode(_read(own / "commondir", _SMALL).strip())).resolve()
    if common / "worktrees" != own.resolve().parent:
        raise NotAClone(f"{_shown(own)} claims to be a worktree of a clone that does not have it")
    return common


def _check(directories: list[Path], most: int) -> None:
    """Raise `NotAClone` unless there are plain files and directories only, and not too many."""
    left = [str(one) for one in directories if _is_directory(one)]
    seen = 0
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > most:
                    raise NotAClone(f"the clone keeps its data in more than {most} files")
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    raise NotAClone(f"{_shown(Path(entry.path))} is a link or no file")


def _is_file(path: Path) -> bool:
    return _mode(path, stat.S_ISREG)


def _is_directory(path: Path) -> bool:
    return _mode(path, stat.S_ISDIR)


def _mode(path: Path, wanted: Callable[[int], bool]) -> bool:
    """Whether it is so; raise `NotAClone` where it is a link, a device or a pipe."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return wanted(mode)
    raise NotAClone(f"{_shown(path)} is a link or no file")


def _read(path: Path, most: int) -> bytes:
    """What a plain file holds. Raises `NotAClone` for more than `most` bytes."""
    # What has become a link or a pipe since it was looked at is neither followed nor waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        held = file.read(most + 1)
    if len(held) > most:
        raise NotAClone(f"{_shown(path)} has more than {most} bytes")
    return held


def _shown(path: Path) -> str:
    return readable(os.fsencode(path))
