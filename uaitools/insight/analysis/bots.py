"""Which authors are programs. Pure.

An author is a bot whose name, or the part of whose address before the `@`, ends with `[bot]` as
GitHub writes its applications, ends with `-bot`, `_bot` or `(bot)`, or is one of `KNOWN`. A person
may be called Bot: a blank before it does not count. A program under a person's name is not seen.
"""

from __future__ import annotations

import re
from typing import Final

KNOWN: Final = frozenset(
    {
        "allcontributors",
        "bors",
        "copybara-service",
        "dependabot",
        "dependabot-preview",
        "github-actions",
        "gitlab-bot",
        "greenkeeper",
        "greenkeeperio-bot",
        "homu",
        "k8s-ci-robot",
        "mergify",
        "pre-commit-ci",
        "pyup-bot",
        "renovate",
        "renovate-bot",
        "semantic-release-bot",
        "snyk-bot",
        "travis ci",
        "weblate",
        "whitesource-renovate",
    }
)
_ENDS: Final = re.compile(r"(?:\[bot\]|[-_]bot|\(bot\))$")
_NUMBER: Final = re.compile(r"^\d+\+")  # 49699333+dependabot[bot]@users.noreply.github.com


def is_bot(name: str, email: str) -> bool:
    """Whether an author is a program, by the rule above."""
    account = _NUMBER.sub("", email.partition("@")[0])
    return any(
        one in KNOWN or _ENDS.search(one) is not None
        for one in (name.strip().casefold(), account.strip().casefold())
    )
