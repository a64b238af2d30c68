"""The formula: counts at the bounds of a window into a score, and its terms.

    prior         = PRIOR / (FLOOR + stars / AGE)
    expected      = (PRIOR + earlier_gain) / (prior + earlier_days) * window_actual
    shape         = 1 / (1 / (PRIOR + earlier_gain) + 1 / STEADINESS)
    deviance      = 2 * (gain * log(gain / expected)
                         - (gain + shape) * log((gain + shape) / (expected + shape)))
    surprise      = sqrt(deviance), below 0 where gain < expected
    ratio         = min(MOST_FORKS, (forks + FORK_PRIOR * FORK_STARS) / (stars + FORK_STARS))
    corroboration = min(1, (forks_gain + FORKS_FREE) / (ratio * gain + FORKS_FREE))
    z             = max(0, surprise) * sqrt(corroboration)
    score         = 10 * z / (z + HALF)

Gains below 0 count as 0. `terms` computes it, and docs/insight.md explains the terms.

Where each part comes from:

- The earlier rate is the mean of a gamma posterior over Poisson counts (Gelman et al., "Bayesian
  Data Analysis", 3rd ed., 2.6), so that few counts say little. The prior is worth PRIOR stars and
  takes a repository to have come by its stars evenly in AGE days: what size alone brings is
  expected, also where nothing earlier is known.
- What such a rate predicts for the window is negative binomial; the surprise is the signed root of
  its deviance (McCullagh and Nelder, "Generalized Linear Models", 2nd ed., 1989). With STEADINESS
  without end it is the significance of counts on and off a source, with the prior added to those
  off it (Li and Ma, ApJ 272, 1983, eq. 17).
- Rates vary by themselves, whatever the number of stars: STEADINESS discounts the earlier counts
  (West and Harrison, "Bayesian Forecasting and Dynamic Models", 2nd ed., 1997, 2.3). Therefore a
  gain of 2,000 for 1,000 says hardly more than one of 200 for 100.
- Bought stars come without other activity (He et al., "Six Million (Suspected) Fake Stars on
  GitHub", ICSE 2026): what is not corroborated by forks counts by the root of the part that is.

The score rises with the gain, strictly where the gain is above what is expected: there the surprise
grows faster than the root of the gain, and the root of the corroboration shrinks no faster. It
never rises with the earlier gain, nor, at one ratio of forks, with the stars at the beginning. The
constants are judged, not fitted; VERSION changes with any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VERSION: Final = "1"

PRIOR: Final = 10.0
"""Stars that the prior is worth."""
FLOOR: Final = 1.0
"""Stars a day that are expected of a repository without any."""
AGE: Final = 730.0
"""Days in which a repository of which nothing else is known has come by its stars."""
STEADINESS: Final = 10.0
"""1 / variance of what rates vary by themselves: by about a third."""
FORK_PRIOR: Final = 0.1
"""Forks for a star, before a repository shows its own ratio."""
FORK_STARS: Final = 100.0
"""Stars that this is worth."""
MOST_FORKS: Final = 0.2
"""Forks for a star; no more are asked for of those that are made to be forked."""
FORKS_FREE: Final = 2.0
"""Forks that may be missing without any doubt."""
FORKS_UNKNOWN: Final = 0.5
"""The corroboration where forks are not known: neither none nor all."""
HALF: Final = 5.0
"""The surprise, in standard deviations, that scores 5."""

DECIMALS: Final = 9
"""Of a score. Processors differ in the last bit of a logarithm, which is far below."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of many repositories, an entry each; NaN is unknown.

    stars, forks: at the beginning of the window. gain, forks_gain: in it, and below 0 a loss. days:
    its length. earlier_gain: in the earlier_days before it, both 0 where nothing is known of them.
    """

    stars: Floats
    gain: Floats
    days: Floats
    earlier_gain: Floats
    earlier_days: Floats
    forks: Floats
    forks_gain: Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """What the formula makes of counts; NaN where the stars are not known.

    shrinkage: the prior's part in `expected`, 1 where nothing earlier is known, towards 0 with many
    earlier days. corroboration: NaN where forks are not known, and FORKS_UNKNOWN in the score.
    """

    expected: Floats
    shrinkage: Floats
    surprise: Floats
    forks_expected: Floats
    corroboration: Floats
    score: Floats


def terms(counts: Counts) -> Terms:
    """Scores, 0 to 10, and the terms behind them."""
    gain = np.maximum(counts.gain, 0.0)
    prior = PRIOR / (FLOOR + counts.stars / AGE)
    seen = PRIOR + np.maximum(counts.earlier_gain, 0.0)
    expected = seen / (prior + counts.earlier_days) * counts.days
    shape = seen * STEADINESS / (seen + STEADINESS)
    surprise = _surprise(gain, expected, shape)
    ratio = (counts.forks + FORK_PRIOR * FORK_STARS) / (counts.stars + FORK_STARS)
    forks_expected = np.minimum(ratio, MOST_FORKS) * gain
    corroboration = np.minimum(
        1.0, (np.maximum(counts.forks_gain, 0.0) + FORKS_FREE) / (forks_expected + FORKS_FREE)
    )
    trusted = np.where(np.isnan(corroboration), FORKS_UNKNOWN, corroboration)
    z = np.maximum(surprise, 0.0) * np.sqrt(trusted)
    return Terms(
        expected,
        prior / (prior + counts.earlier_days),
        surprise,
        forks_expected,
        corroboration,
        np.round(10.0 * z / (z + HALF), DECIMALS),
    )


def _surprise(gain: Floats, expected: Floats, shape: Floats) -> Floats:
    """By how many standard deviations a gain is above what is expected, or below."""
    both = (gain + shape) * np.log((gain + shape) / (expected + shape))
    own = gain * np.log(np.where(gain > 0, gain, expected) / expected)
    # Rounding may make a deviance of 0 a little less.
    return np.sign(gain - expected) * np.sqrt(2.0 * np.maximum(own - both, 0.0))
