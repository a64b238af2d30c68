from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.analysis.license_samples import COMMON, ISC, MIT, TEXTS
from uaitools.insight.analysis.expressions import KNOWN, expression, names
from uaitools.insight.analysis.license_texts import RECOGNISED, license_of
from uaitools.insight.analysis.licenses import License, Told, licensed

APACHE = TEXTS["Apache-2.0"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_license_is_recognised_by_its_text(name: str) -> None:
    assert license_of(TEXTS[name]) == name
    assert license_of(TEXTS[name].replace("\n", "\r\n").upper()) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("GPL-2", "GPL-2.0"),
        ("GPL-3", "GPL-3.0"),
        ("LGPL-2.1", "LGPL-2.1"),
        ("LGPL-3", "LGPL-3.0"),
        ("MPL-2.0", "MPL-2.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("Apache-2.0", "Apache-2.0"),
        ("GPL-1", None),
        ("LGPL-2", None),
        ("Artistic", None),
    ],
)
def test_a_license_that_debian_keeps_is_recognised(file: str, name: str | None) -> None:
    if not (COMMON / file).exists():
        pytest.skip(f"there is no {COMMON / file} here")

    assert license_of((COMMON / file).read_text()) == name


@pytest.mark.parametrize("name", TEXTS)
def test_a_license_with_a_clause_more_is_none(name: str) -> None:
    words = TEXTS[name].split()
    middle = len(words) // 2
    clause = "The Software shall be used for Good and not for Evil, by persons of good will"
    more = [*words[:middle], *(clause.split() * 2), *words[middle:]]

    assert license_of(" ".join(more)) is None


def test_a_license_with_a_condition_after_it_is_none() -> None:
    condition = """
"Commons Clause" License Condition v1.0. The Software is provided to you by the Licensor under
the License, as defined below, subject to the following condition. Without limiting other conditions
in the License, the grant of rights under the License will not include the right to Sell it.
"""
    assert license_of(MIT + condition) is None


@pytest.mark.parametrize("text", ["", "All rights reserved.", MIT + ISC, MIT[:700], APACHE[500:]])
def test_what_is_no_license_or_several_is_none(text: str) -> None:
    assert license_of(text) is None


@given(st.text())
def test_any_other_text_is_no_license(text: str) -> None:
    assert license_of(text) is None


def test_all_that_is_recognised_is_known_as_an_expression() -> None:
    assert RECOGNISED <= KNOWN


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT or ISC) and Zlib", "(MIT OR ISC) AND Zlib"),
        ("GPL-2.0+", "GPL-2.0+"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
    ],
)
def test_an_expression_is_spelt_as_spdx_does(text: str, told: str) -> None:
    assert expression(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Proprietary",
        "MIT License",
        "UNLICENSED",
        "SEE LICENSE IN LICENSE.md",
        "MIT OR",
        "OR MIT",
        "(MIT",
        "MIT)",
        "MIT ISC",
        "()",
        "MIT WITH",
        "MIT WITH ISC",
        "MIT; drop table",
        "MIT " * 100,
    ],
)
def test_what_is_no_expression_is_none(text: str) -> None:
    assert expression(text) is None


OPERANDS = st.recursive(
    st.sampled_from(sorted(KNOWN)),
    lambda one: st.tuples(one, st.sampled_from(["AND", "OR"]), one).map(
        lambda made: f"({' '.join(made)})"
    ),
    max_leaves=5,
)


@given(OPERANDS)
def test_every_expression_stands_and_names_its_licenses(text: str) -> None:
    if len(text) <= 200:
        assert expression(text) == text
        assert names(text)


@given(st.text(alphabet="()MIT ORANDWITH-+0.", max_size=40))
def test_an_expression_read_again_is_the_same(text: str) -> None:
    told = expression(text)
    assert told is None or expression(told) == told


def told(files: dict[str, str], manifests: dict[str, str] | None = None) -> License:
    return licensed(
        {path: text.encode() for path, text in files.items()},
        {path: text.encode() for path, text in (manifests or {}).items()},
    )


def test_a_license_is_told_by_its_text() -> None:
    assert told({"LICENSE": MIT}) == License("MIT", "", (Told("LICENSE", "text", "MIT"),))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[project]\nlicense = "MIT"'),
        ("pyproject.toml", '[project]\nlicense = {text = "MIT"}'),
        ("pyproject.toml", '[tool.poetry]\nlicense = "mit"'),
        ("package.json", '{"license": "MIT"}'),
        ("Cargo.toml", '[package]\nlicense = "MIT"'),
    ],
)
def test_a_license_is_declared_by_a_manifest(path: str, text: str) -> None:
    assert told({}, {path: text}).spdx == "MIT"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[project]\nlicense = {file = "LICENSE"}'),
        ("pyproject.toml", "[project]\nlicense = 3"),
        ("pyproject.toml", "project = 3"),
        ("pyproject.toml", "a = " + "[" * 5000),
        ("package.json", '{"license": "UNLICENSED"}'),
        ("package.json", '{"license": {"type": "MIT"}}'),
        ("package.json", "[" * 5000),
        ("package.json", "[]"),
        ("Cargo.toml", "\0"),
    ],
)
def test_a_manifest_that_declares_none_tells_nothing(path: str, text: str) -> None:
    found = told({}, {path: text})

    assert (found.spdx, found.told) == (None, ())
    assert found.why


def test_a_declaration_says_what_a_text_cannot() -> None:
    if not (COMMON / "GPL-3").exists():
        pytest.skip("there is no text of the GPL here")
    text = (COMMON / "GPL-3").read_text()

    assert told({"COPYING": text}).spdx == "GPL-3.0"
    declared = '{"license": "GPL-3.0-or-later"}'
    assert told({"COPYING": text}, {"package.json": declared}).spdx == "GPL-3.0-or-later"


@pytest.mark.parametrize(
    ("files", "manifests"),
    [
        ({}, {}),
        ({"LICENSE": "do what you will"}, {}),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, {}),
        ({"LICENSE": MIT, "LICENSE.other": "more conditions"}, {}),
        ({"LICENSE": MIT}, {"package.json": '{"license": "ISC"}'}),
        ({}, {"package.json": '{"license": "ISC"}', "Cargo.toml": '[package]\nlicense="MIT"'}),
    ],
)
def test_what_does_not_fit_together_is_unknown_and_says_why(
    files: dict[str, str], manifests: dict[str, str]
) -> None:
    found = told(files, manifests)

    assert found.spdx is None
    assert found.why


def test_two_licenses_and_which_applies_are_told_by_a_declaration() -> None:
    both = {"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}
    declared = {"Cargo.toml": '[package]\nlicense = "MIT/Apache-2.0"'}

    assert told(both, declared).spdx == "MIT OR Apache-2.0"


@pytest.mark.parametrize("line", ["// {}", "/* {} */", "# {}\n\n" + MIT, "{}\n{}", "<!-- {} -->"])
def test_an_identifier_in_a_license_file_counts(line: str) -> None:
    text = line.replace("{}", "SPDX-License-Identifier: MIT")

    assert told({"LICENSE": text}).told == (Told("LICENSE", "identifier", "MIT"),)


def test_a_license_file_that_cannot_be_read_leaves_it_open() -> None:
    assert licensed({"LICENSE": MIT.encode()}, {}, unread=("COPYING",)).spdx is None
    assert licensed({}, {}, unread=("COPYING",)).told == ()
