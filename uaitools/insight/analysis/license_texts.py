"""Texts of licenses into SPDX identifiers: what is known for certain, or nothing. Pure.

A text is a license if it begins and ends as the license does and has as many words between; what
stands around it is little. One that was changed, or has more in it, is not recognised: a clause
more makes it another license. Lines that only say whose the copyright is do not count.

A license of the GNU family does not say whether later versions apply: `GPL-3.0` is all that its
text tells, and `GPL-3.0-only` or `-or-later` has to be declared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_AROUND: Final = 32  # words: a title, "all rights reserved"
_WORDS: Final = re.compile(r"[a-z0-9]+")
_HOLDER: Final = re.compile(
    r"\W*(?:copyright\b(?! (?:notice|holder|owner|law|license|interest)s?)|\(c\)|©)"
)

_PERMISSION: Final = (
    "permission is hereby granted free of charge to any person obtaining a copy of this"
)
_USE: Final = "permission to use copy modify and"
_FORMS: Final = "redistribution and use in source and binary forms"
_DAMAGE: Final = "advised of the possibility of such damage"
_END: Final = "end of terms and conditions"


@dataclass(frozen=True, slots=True)
class _Text:
    """How a license begins and ends, and how many words that are. has: words it has besides."""

    spdx: str
    begins: str
    ends: str
    least: int
    most: int
    has: str = ""

    def fits(self, text: str, words: int) -> bool:
        """Whether `text`, words with a blank around each, is this license and little else."""
        start = text.find(f" {self.begins} ")
        end = text.rfind(f" {self.ends} ")
        if start < 0 or end < start or f" {self.has}" not in text:
            return False
        held = text.count(" ", start, end) + len(self.ends.split())
        return self.least <= held <= self.most and words - held <= _AROUND


# Numbers of words as counted in the licenses' own texts; more than one where a license is found
# with its appendix and without, or names whoever it is of.
_GPL2: Final = "gnu general public license version 2 june 1991"
_GPL3: Final = "gnu general public license version 3 29 june 2007"
_LGPL21: Final = "gnu lesser general public license version 2 1 february 1999"
_AGPL: Final = "gnu affero general public license version 3 19 november 2007"
_LGPL3: Final = "gnu lesser general public license version 3 29 june 2007"
_MPL: Final = "mozilla public license version 2 0"
_PUBLIC: Final = "this is free and unencumbered software released into the public domain"
_AS_IS: Final = "this software is provided as is without any express or implied warranty"
_APACHE: Final = "apache license version 2 0 january 2004"
_TEXTS: Final = (
    _Text("MIT", _PERMISSION, "dealings in the software", 161, 165, "the above copyright notice"),
    _Text("MIT-0", _PERMISSION, "dealings in the software", 136, 140),
    _Text("BSD-3-Clause", _FORMS, _DAMAGE, 206, 220, "endorse or promote"),
    _Text("BSD-2-Clause", _FORMS, _DAMAGE, 182, 190),
    _Text("ISC", _USE, "performance of this software", 109, 114, "appear in all copies"),
    _Text("0BSD", _USE, "performance of this software", 96, 100),
    _Text("Apache-2.0", _APACHE, "limitations under the license", 1585, 1602),
    _Text("Apache-2.0", _APACHE, _END, 1415, 1423),
    _Text("Apache-2.0", _APACHE, "such warranty or additional liability", 1410, 1418),
    _Text("GPL-2.0", _GPL2, "public license instead of this license", 2965, 2985),
    _Text("GPL-2.0", _GPL2, _END, 2495, 2515),
    _Text("GPL-3.0", _GPL3, "why not lgpl html", 5652, 5672),
    _Text("GPL-3.0", _GPL3, _END, 5210, 5230),
    _Text("LGPL-2.1", _LGPL21, "that s all there is to it", 4375, 4400),
    _Text("LGPL-2.1", _LGPL21, _END, 4055, 4075),
    _Text("LGPL-3.0", _LGPL3, "choose that version for the library", 1226, 1236),
    _Text("AGPL-3.0", _AGPL, "www gnu org licenses", 5530, 5555),
    _Text("AGPL-3.0", _AGPL, _END, 5170, 5195),
    _Text("MPL-2.0", _MPL, "defined by the mozilla public license v 2 0", 2405, 2425),
    _Text("CC0-1.0", "cc0 1 0 universal", "this cc0 or use of the work", 1075, 1095),
    _Text("Unlicense", _PUBLIC, "dealings in the software", 189, 193),
    _Text("BSL-1.0", "boost software license version 1 0", "dealings in the software", 211, 217),
    _Text("Zlib", _AS_IS, "removed or altered from any source distribution", 131, 135),
)
RECOGNISED: Final = frozenset(one.spdx for one in _TEXTS)


def license_of(text: str) -> str | None:
    """The SPDX identifier of the license that `text` is; None if it is none of `RECOGNISED`."""
    lines = (line for line in text.lower().splitlines() if _HOLDER.match(line) is None)
    words = _WORDS.findall(" ".join(lines))
    joined = f" {' '.join(words)} "
    return next((one.spdx for one in _TEXTS if one.fits(joined, len(words))), None)
