"""SPDX license expressions, `MIT OR Apache-2.0`. Pure.

Source: SPDX specification 2.3, annex D. Only identifiers that are known here make an expression:
"Proprietary" is a word like any other.
"""

from __future__ import annotations

import re
from typing import Final

KNOWN: Final = frozenset(
    """
    0BSD AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 APSL-2.0
    Artistic-1.0-Perl Artistic-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent
    BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause BSL-1.0 BUSL-1.1 CAL-1.0 CC-BY-3.0 CC-BY-4.0
    CC-BY-NC-4.0 CC-BY-NC-SA-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 CECILL-2.1
    CPAL-1.0 CPL-1.0 ECL-2.0 Elastic-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 GFDL-1.3
    GFDL-1.3-only GFDL-1.3-or-later GPL-1.0-or-later GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0
    GPL-3.0-only GPL-3.0-or-later HPND ICU ISC LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1
    LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later LPPL-1.3c MIT MIT-0
    MIT-CMU MPL-1.1 MPL-2.0 MPL-2.0-no-copyleft-exception MS-PL MS-RL MulanPSL-2.0 NCSA ODbL-1.0
    OFL-1.1 OpenSSL OSL-3.0 PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 Python-2.0.1 QPL-1.0 Ruby
    SSPL-1.0 TCL Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 Vim W3C WTFPL X11 Zlib ZPL-2.1
    """.split()  # noqa: SIM905 - a list of one a line would take a page
)
_BY_CASE: Final = {one.lower(): one for one in KNOWN}
_WORD: Final = re.compile(r"[()]|[A-Za-z0-9.+-]+")
_EXCEPTION: Final = re.compile(r"[A-Za-z0-9.-]+-exception(?:-[\d.]+)?")
_LONGEST: Final = 200


def expression(text: str) -> str | None:
    """The expression that `text` is, with identifiers as SPDX writes them; None if it is none.

    `MIT/Apache-2.0`, as Cargo once wanted it, is read as `OR`.
    """
    words = _words(text.replace("/", " OR "))
    if words is None:
        return None
    return " ".join(words).replace("( ", "(").replace(" )", ")") if _whole(words) else None


def names(text: str) -> frozenset[str]:
    """The licenses of an expression, without what says whether later versions apply."""
    words = _words(text) or []
    return frozenset(family(one) for one in words if one.rstrip("+") in KNOWN)


def family(identifier: str) -> str:
    """`GPL-3.0` of `GPL-3.0-or-later`: what the text of a license tells."""
    return identifier.removesuffix("+").removesuffix("-only").removesuffix("-or-later")


def _words(text: str) -> list[str] | None:
    """Words and parentheses, identifiers as they are written by SPDX; None for other characters."""
    if len(text) > _LONGEST or _WORD.sub("", text).strip():
        return None
    return [_spelt(one) for one in _WORD.findall(text)]


def _spelt(word: str) -> str:
    if word.upper() in {"AND", "OR", "WITH"}:
        return word.upper()
    plus = "+" if word.endswith("+") else ""
    return _BY_CASE.get(word.rstrip("+").lower(), word.rstrip("+")) + plus


def _whole(words: list[str]) -> bool:
    """Whether words are an expression: operands with AND or OR between, in parentheses or not."""
    depth = 0
    operand = True  # is what has to come next
    for place, word in enumerate(words):
        if word in {"AND", "OR"} or (word == "WITH" and _excepts(words, place)):
            fits, operand = not operand, True
        elif word == "(":
            fits, depth = operand, depth + 1
        elif word == ")":
            fits, depth = not operand and depth > 0, depth - 1
        else:
            excepted = place > 0 and words[place - 1] == "WITH"
            fits, operand = operand and (excepted or word.rstrip("+") in KNOWN), False
        if not fits:
            return False
    return not operand and depth == 0


def _excepts(words: list[str], place: int) -> bool:
    after = words[place + 1 : place + 2]
    return bool(after) and _EXCEPTION.fullmatch(after[0]) is not None
