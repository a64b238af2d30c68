"""Asks git for facts of a clone, and says what it could not tell."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from uaitools.insight.analysis import history, licenses, releases
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.facts import Facts, Head, Limitation, Why
from uaitools.insight.analysis.files import Files, Found, Tree
from uaitools.insight.analysis.git import Git
from uaitools.insight.analysis.history import Commits, History
from uaitools.insight.analysis.layout import Layout
from uaitools.insight.analysis.licenses import License
from uaitools.insight.analysis.objects import Objects
from uaitools.insight.analysis.records import Records
from uaitools.insight.analysis.releases import Releases, Tags
from uaitools.insight.analysis.settings import Settings
from uaitools.insight.analysis.texts import readable

T = TypeVar("T")

_SHALLOW = "the clone is shallow: commits, authors, cadence and releases are unknown"
_PARTIAL = "the clone is partial: files that it does not have are not fetched"
_BORROWED = "the clone borrows objects of another one, which are not read"
_UNTAGGED = "the clone was made without tags: releases are unknown"
_DETACHED = "HEAD is detached: what is checked out is analysed, whatever branch it is of"


class Reading:
    """The questions to one clone, one after the other; what fails is unknown."""

    def __init__(
        self, git: Git, layout: Layout, settings: Settings, as_of: int, config: AnalysisConfig
    ) -> None:
        self._git = git
        self._layout = layout
        self._settings = settings
        self._as_of = as_of
        self._config = config
        self._limitations: list[Limitation] = []

    def __repr__(self) -> str:
        return f"<Reading of {self._layout.common.name} limitations={len(self._limitations)}>"

    async def facts(self) -> Facts:
        """All that the clone tells. Raises `Unreadable` if that is not even what HEAD is."""
        self._limit(self._layout.borrowed, "borrowed", _BORROWED)
        self._limit(self._settings.partial, "partial", _PARTIAL)
        head = await self._head()
        told = Facts(self._as_of, head, None, None, None, None, ())
        if head.commit is not None:
            self._limit(head.branch is None, "detached", _DETACHED)
            files = await self._known("files", self._files(head.commit))
            told = replace(
                told,
                head=replace(head, at=await self._known("the last commit", self._at(head.commit))),
                history=await self._history(head.commit),
                releases=await self._releases(),
                files=files,
                license=await self._known("the license", self._license(files)) if files else None,
            )
        return replace(told, limitations=tuple(self._limitations))

    async def _head(self) -> Head:
        ref = self._layout.ref
        branch = None if ref is None else readable(ref.removeprefix(b"refs/heads/"))
        try:
            said = await self._git.output("rev-parse", "--verify", "--quiet", "HEAD")
        except Unreadable as error:
            if error.status != 1:
                raise
            self._limit(True, "empty", f"no commit is found on {branch or 'HEAD'}")
            return Head(None, branch, None)
        return Head(said.decode("ascii", "replace").strip(), branch, None)

    async def _at(self, commit: str) -> int | None:
        said = await self._git.output("log", "--no-walk", "--format=%ct", commit)
        return int(said) if said.strip().isdigit() else None

    async def _history(self, commit: str) -> History | None:
        if self._layout.shallow:
            self._limit(True, "shallow", _SHALLOW)
            return None
        told = await self._known("commits", self._commits(commit))
        if told is not None and told.undated + told.ahead:
            odd = f"{told.undated} commits without a date and {told.ahead} after the day of asking"
            self._limit(True, "undated", f"{odd} are in no window")
        return told

    async def _commits(self, commit: str) -> History:
        counted = Commits(self._as_of, self._config.authors)
        records = Records(history.FIELDS, counted.add)
        await self._git.stream("log", "-z", f"--format={history.FORMAT}", commit, take=records.feed)
        records.close()
        return counted.history()

    async def _releases(self) -> Releases | None:
        if self._layout.shallow:
            return None
        if not self._settings.tags:
            self._limit(True, "untagged", _UNTAGGED)
            return None
        return await self._known("releases", self._tags())

    async def _tags(self) -> Releases:
        counted = Tags(self._as_of, self._config.tags)
        records = Records(1, lambda line: counted.add(line[0]), end=b"\n")
        form = f"--format={releases.FORMAT}"
        await self._git.stream("for-each-ref", form, "refs/tags", take=records.feed)
        records.close()
        return counted.releases()

    async def _files(self, commit: str) -> Files:
        counted = Tree(self._config.files)
        records = Records(1, lambda entry: counted.add(entry[0]))
        await self._git.stream(
            "ls-tree", "-r", "-z", "-l", "--full-tree", commit, take=records.feed
        )
        records.close()
        return counted.files()

    async def _license(self, files: Files) -> License:
        """The license, of those files that are there and no longer than is read."""
        texts = files.of("license")
        manifests = [one for one in files.of("manifest") if licenses.declares(one.path)]
        held = await self._contents([*texts, *manifests])
        return licenses.licensed(
            {one.path: held[one.object] for one in texts if one.object in held},
            {one.path: held[one.object] for one in manifests if one.object in held},
            unread=tuple(one.path for one in texts if one.object not in held),
        )

    async def _contents(self, files: list[Found]) -> dict[str, bytes]:
        wanted = {
            one.object for one in files if one.bytes is not None and one.bytes <= self._config.text
        }
        if not wanted:
            return {}
        objects = Objects()
        sent = "".join(f"{name}\n" for name in sorted(wanted)).encode()
        await self._git.stream("cat-file", "--batch", take=objects.feed, sent=sent)
        objects.close()
        return objects.found

    async def _known(self, what: str, asked: Awaitable[T]) -> T | None:
        """What is asked; None, and a limitation, if it cannot be read."""
        try:
            return await asked
        except Unreadable as error:
            self._limit(True, "unreadable", f"{what} cannot be read: {error.message}")
            return None

    def _limit(self, holds: bool, why: Why, says: str) -> None:
        if holds:
            self._limitations.append(Limitation(why, says))
