"""A git directory of ours over a clone's objects and refs.

Git does what the configuration, the hooks and the attributes of a repository say: it starts
programs, reads files and fetches what is missing. A view has none of the clone's: only links to
where its objects and refs are, its HEAD, and our configuration. What is not linked is not there:
replaced commits and grafts, borrowed objects, an index, a promise that a remote has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from uaitools.insight.analysis.layout import Layout

# Commits are read from their objects: a commit graph or an index of packs may say otherwise.
_CONFIG: Final = """\
[core]
    repositoryFormatVersion = {version}
    bare = true
    commitGraph = false
    multiPackIndex = false
    packedGitLimit = 256m
[mailmap]
    blob = HEAD:.mailmap
[extensions]
"""


@contextmanager
def view(layout: Layout) -> Iterator[Path]:
    """The directory, as long as the block runs. Its objects have names of SHA-1, see `names`."""
    with TemporaryDirectory(prefix="uaitools-clone-") as made:
        directory = Path(made)
        (directory / "HEAD").write_bytes(layout.head)
        (directory / "objects").mkdir()
        for name in layout.parts:
            (directory / "objects" / name).symlink_to(layout.common / "objects" / name)
        for name in ("refs", "packed-refs", "shallow"):
            if (layout.common / name).exists():
                (directory / name).symlink_to(layout.common / name)
        names(directory, "sha1")
        yield directory


def names(directory: Path, object_format: str) -> None:
    """Say how the clone names its objects: sha1 or sha256."""
    config = _CONFIG.format(version=int(object_format != "sha1"))
    if object_format != "sha1":
        config += f"    objectFormat = {object_format}\n"
    (directory / "config").write_text(config)
