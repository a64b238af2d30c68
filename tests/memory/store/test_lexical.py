"""Search by words, beside the formula as its authors wrote it."""

from __future__ import annotations

import math
from collections import Counter
from statistics import mean
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uaitools.memory.analysis.document import document
from uaitools.memory.analysis.query import distinguishes, identifies, query
from uaitools.memory.analysis.quoting import quoted
from uaitools.memory.analysis.words import words
from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.lexical import EXACT, K1, PRIOR, TELLING, B, Lexical
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statistics import (
    ANONYMOUS,
    CHANCE,
    ENOUGH,
    Statistics,
    Words,
    laplace,
)
from uaitools.memory.wanted import Wanted

TEXTS = (
    "I like tea in the morning",
    "tea tea tea, and then more tea",
    "The deploy of ERR-4432 failed on host db-7",
    "ERR-4433 was mended by a deploy",
    "My dog likes the beach, tea is not for dogs",
    "nothing of that",
    "it's C++ and getUserById that I like",
)


EVERYTHING = Wanted()
USERS = 60  # beyond what chance may take from them


async def remember(scopes: Scopes, *texts: str, user: str = "ann") -> dict[UUID, str]:
    creating = Creating(scopes)
    made = [(await creating.create(Draft(user, text))).memory for text in texts]
    return {one.id: one.content for one in made}


async def search(
    scopes: Scopes, text: str, wanted: Wanted = EVERYTHING
) -> list[tuple[UUID, float]]:
    lexical = Lexical(scopes, Statistics(scopes))
    found = await lexical.search("ann", query(text), wanted, 10)
    return [(one.id, one.score) for one in found]


def bm25(texts: list[str], text: str, mean: float) -> list[tuple[str, float]]:
    """Okapi BM25 as a part of what one text could have, times what it tells; best first.

    At least the share of the identifiers.
    """
    asked = query(text).lexemes
    counts = [Counter(one.lexeme for one in words(each)) for each in texts]
    lengths = [document(each).length for each in texts]
    weights = {}
    for lexeme in asked:
        have = sum(lexeme in count for count in counts)
        idf = math.log(1 + (len(texts) + PRIOR - have + 0.5) / (have + 0.5))
        weights[lexeme] = idf * (EXACT if identifies(lexeme) else 1)
    scores = []
    for each, count, length in zip(texts, counts, lengths, strict=True):
        score = sum(
            weight * count[lexeme] * (1 + K1) / (count[lexeme] + K1 * (1 - B + B * length / mean))
            for lexeme, weight in weights.items()
        )
        if score:
            part = score / (sum(weights.values()) * (1 + K1))
            has = [lexeme in count for lexeme in asked if distinguishes(lexeme)]
            share = sum(has) / max(1, len(has))
            scores.append((each, max(share, part * score / (score + TELLING))))
    return sorted(scores, key=lambda one: -one[1])


@pytest.mark.parametrize(
    "text",
    [
        *("tea", "tea dog", "deploy ERR-4432", "err 4432", "c++ likes", "getuserbyid", "beach x"),
        *("ERR-4432 or ERR-4433 or ERR-4434", "dog-like it's tea"),
    ],
)
async def test_scores_are_those_of_the_formula(scopes: Scopes, text: str) -> None:
    made = await remember(scopes, *TEXTS)
    await remember(scopes, "tea of another user", "tea and ERR-4432", user="bob")
    found = [(made[name], score) for name, score in await search(scopes, text)]
    expected = bm25(list(TEXTS), text, Statistics(scopes).length)
    assert dict(found) == pytest.approx(dict(expected))
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(0 < score <= 1 for _, score in found)


async def test_an_identifier_comes_before_its_parts(scopes: Scopes) -> None:
    made = await remember(scopes, *TEXTS)
    found = [made[name] for name, _ in await search(scopes, "ERR-4432")]
    assert found == [TEXTS[2], TEXTS[3]]


async def test_of_those_with_the_identifier_the_one_with_more_of_the_words_is_first(
    scopes: Scopes,
) -> None:
    texts = ("a leak of memory in C++ today", "C++ is a language", "a leak of memory in a pipe")
    made = await remember(scopes, *texts)
    found = await search(scopes, "memory leak in C++")
    assert [made[name] for name, _ in found] == list(texts)
    assert [score for _, score in found[:2]] == [1.0, 1.0]


async def test_words_that_are_joined_count_as_words(scopes: Scopes) -> None:
    made = await remember(scopes, "I don't know, e-mail me", "my dog has got 3 red balls")
    found = await search(scopes, "don't e-mail 3 dogs with red balls")
    assert [made[name][:2] for name, _ in found] == ["my", "I "]
    assert all(score < 0.5 for _, score in found)


async def test_a_phrase_has_to_be_there(scopes: Scopes) -> None:
    made = await remember(scopes, *TEXTS)
    assert [made[name] for name, _ in await search(scopes, '"tea is not" dogs')] == [TEXTS[4]]
    found = await search(scopes, '"the deploy of ERR-4432"')
    assert [made[name] for name, _ in found] == [TEXTS[2]]
    assert await search(scopes, '"not is tea"') == []


async def test_only_what_is_wanted_is_found(scopes: Scopes) -> None:
    creating = Creating(scopes)
    one = (await creating.create(Draft("ann", "green tea", tags=("a",)))).memory
    two = (await creating.create(Draft("ann", "black tea", supersedes=one.id))).memory
    assert [name for name, _ in await search(scopes, "tea")] == [two.id]
    tagged = Wanted(any_tags=["a"], superseded=True)
    assert [name for name, _ in await search(scopes, "tea", tagged)] == [one.id]


@pytest.mark.parametrize("text", ["'", "\\", "a'b\\c", "':*", "!", "a & b | !c <-> d", "((", "$1"])
async def test_what_means_something_to_the_database_is_a_word_like_any(
    scopes: Scopes, text: str
) -> None:
    await remember(scopes, f"before {text} after", "another one")
    found = await search(scopes, f"before {text}")
    assert len(found) == 1


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60), max_size=8
    )
)
async def test_every_text_is_kept_and_found_by_its_own_words(
    scopes: Scopes, texts: list[str]
) -> None:
    async with scopes.everyone() as connection:
        for text in texts:
            made = document(text)
            kept = await connection.fetchval("SELECT $1::text::tsvector", made.lexemes)
            assert (kept == "") == (made.lexemes == "")
            asked = query(text)
            if asked:
                fits = await connection.fetchval(
                    "SELECT $1::text::tsvector @@ $2::text::tsquery", made.lexemes, asked.any
                )
                assert fits, text
            for lexeme in {one.lexeme for one in words(text)}:
                assert await connection.fetchval(
                    "SELECT $1::text::tsvector @@ $2::text::tsquery", made.lexemes, quoted(lexeme)
                ), lexeme


async def test_what_many_users_say_is_known_and_what_few_say_is_not(scopes: Scopes) -> None:
    statistics = Statistics(scopes)
    await statistics.refresh()
    assert statistics.probability("tea") is None
    assert not statistics.known
    creating = Creating(scopes)
    for number in range(4 * USERS):
        user = number % USERS
        text = f"tea number {number} id-{number}" + " secret" * (user < ANONYMOUS / 2)
        await creating.create(Draft(f"user-{user}", text))
    await statistics.refresh()
    assert statistics.known
    assert statistics.probability("tea") == pytest.approx(1.0, abs=0.4)
    assert statistics.probability("secret") is None
    assert statistics.probability("=id-7") is None
    assert 1 <= statistics.length <= 40
    # Of a memory's words one is that which every memory has: embedders count words, not memories.
    each = (statistics.probability("tea") or 0) / statistics.length
    assert Words(statistics).probability("Teas") == pytest.approx(each)
    assert Words(statistics).probability("secret") is None


async def test_who_says_a_word_all_the_time_counts_for_one(scopes: Scopes) -> None:
    statistics = Statistics(scopes)
    statistics.chance = lambda: 0.0
    for number in range(2 * ENOUGH):
        user = "loud" if number < ENOUGH else f"user {number % USERS}"
        text = f"{'mine' if user == 'loud' else 'ours'} {number} {'word ' * (number % 3)}"
        await Creating(scopes).create(Draft(user, text))
    await statistics.refresh()
    assert statistics.probability("mine") is None
    assert statistics.probability("our") == pytest.approx(USERS / (USERS + 1))


async def test_chance_decides_of_a_word_that_hardly_enough_users_have(scopes: Scopes) -> None:
    creating, seen = Creating(scopes), []
    for number in range(ENOUGH):
        text = f"tea {number}" + " juice" * (number < ANONYMOUS)
        await creating.create(Draft(f"user {number}", text))
    statistics = Statistics(scopes)
    for drawn in (0.0, -0.1, 5.0):
        statistics.chance = lambda drawn=drawn: drawn  # type: ignore[misc]
        await statistics.refresh()
        seen.append(statistics.probability("juic"))
    assert seen == [ANONYMOUS / ENOUGH, None, (ANONYMOUS + 5) / ENOUGH]


def test_chance_is_of_laplaces_distribution() -> None:
    drawn = [laplace() for _ in range(20_000)]
    assert mean(drawn) == pytest.approx(0, abs=0.15)
    assert mean(map(abs, drawn)) == pytest.approx(CHANCE, rel=0.06)
    beyond = sum(abs(one) > 3 * CHANCE for one in drawn) / len(drawn)
    assert beyond == pytest.approx(math.exp(-3), rel=0.3)


async def test_what_tells_little_counts_for_little_even_if_it_is_all_that_was_asked(
    scopes: Scopes,
) -> None:
    made = await remember(scopes, *(f"tea number {number}" for number in range(20)), "a red beach")
    [common, *_] = await search(scopes, "tea")
    [rare] = await search(scopes, "red beach")
    assert made[rare[0]] == "a red beach"
    assert rare[1] > 3 * common[1]  # without it they are as good as alike: all that was asked
