"""Words of a text as Weaviate takes them, and BM25 over them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

# A part of its list "en".
STOPWORDS: Final = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "in", "is"}
) | {
    *("it", "no", "not", "of", "on", "or", "that", "the", "they", "this", "to", "was", "with"),
}
K1: Final = 1.2
B: Final = 0.75
Key = TypeVar("Key")


def tokens(text: str, tokenization: str) -> list[str]:
    """The tokens of a text; no stopword is removed."""
    match tokenization:
        case "word":
            return [word for word in re.split(r"[\W_]+", text.lower()) if word]
        case "lowercase":
            return text.lower().split()
        case "whitespace":
            return text.split()
        case "field":
            return [text.strip()]
    raise ValueError(f"unknown tokenization {tokenization!r}")


def bm25(query: Sequence[str], documents: Mapping[Key, Sequence[str]]) -> dict[Key, float]:
    """Scores of the documents that have a word of the query.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond".
    """
    wanted = [word for word in dict.fromkeys(query) if word not in STOPWORDS]
    counts = {key: Counter(words) for key, words in documents.items()}
    mean = sum(map(len, documents.values())) / max(1, len(documents)) or 1.0
    scores: dict[Key, float] = {}
    for word in wanted:
        having = [key for key in documents if counts[key][word]]
        rarity = math.log(1 + (len(documents) - len(having) + 0.5) / (len(having) + 0.5))
        for key in having:
            often = counts[key][word]
            length = 1 - B + B * len(documents[key]) / mean
            gained = rarity * often * (K1 + 1) / (often + K1 * length)
            scores[key] = scores.get(key, 0.0) + gained
    return scores
