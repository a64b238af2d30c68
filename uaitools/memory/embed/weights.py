"""The word vectors and the tokenizer of the wordllama package: its files, not its code.

The package itself loads training code and a downloader; its weights are a table of 32,000 tokens
by 256 numbers of 16 bits, 16 MB, and that is all that is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE: Final = "wordllama"
NAME: Final = "l2_supercat_256"
TOKENS: Final = 32_000
DIMENSION: Final = 256
_WEIGHTS: Final = f"weights/{NAME}.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_FIRST: Final = 259  # tokens before are for control and single bytes
_SPACE: Final = 29_871  # the token of a space alone


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A vector for each token, and the tokenizer that knows which tokens a word has."""

    table: NDArray[np.float16]
    tokenizer: Tokenizer

    def __repr__(self) -> str:
        return f"<Weights {NAME} {self.table.shape[0]}x{self.table.shape[1]}>"

    def pieces(self, word: str) -> tuple[int, ...]:
        """The tokens of a word."""
        ids: Sequence[int] = self.tokenizer.encode(word, add_special_tokens=False).ids
        return tuple(token for token in ids if token != _SPACE)


def load() -> Weights:
    """Read both from where the package is installed. Raises OSError, and ValueError for others."""
    from safetensors import safe_open  # noqa: PLC0415 - of an extra, as the next
    from tokenizers import Tokenizer  # noqa: PLC0415

    directory = _directory()
    with safe_open(directory / _WEIGHTS, framework="np") as file:
        table = file.get_tensor("embedding.weight")
    tokenizer = Tokenizer.from_file(str(directory / _TOKENIZER))
    if table.shape != (TOKENS, DIMENSION) or tokenizer.get_vocab_size() != TOKENS:
        raise ValueError(f"{directory} has other weights than {NAME}")
    return Weights(table.astype(np.float16, copy=False), tokenizer)


def likelihood(pieces: Sequence[int]) -> float:
    """The probability of a word of these tokens in any text: of the rarest of them, by its rank.

    Tokens stand in the order in which the tokenizer's training found them, the frequent ones first;
    Zipf's law does the rest: the nth of 32,000 has a part of about 0.1 / n.
    """
    return 0.1 / max(1, max(pieces) - _FIRST + 1)


def _directory() -> Path:
    spec = find_spec(PACKAGE)  # finds it without running any of it
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed")
    return Path(spec.submodule_search_locations[0])
