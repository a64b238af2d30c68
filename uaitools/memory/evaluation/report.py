"""Scores as a table for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from uaitools.memory.evaluation.labelled import Labelled
from uaitools.memory.evaluation.measures import Estimate
from uaitools.memory.evaluation.scoring import MODES, Answered, Scores

_CONTENT: Final = 90  # characters of a memory that are shown


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation. embedder, index: with which it was made. misses: that are to be listed."""

    labelled: Labelled
    embedder: str
    index: str
    k: int
    scores: Scores
    misses: Sequence[Answered]


def text(report: Report) -> str:
    """For people."""
    labelled, scores = report.labelled, report.scores
    users = len({one.user_id for one in labelled.memories})
    what = (
        f"{len(labelled.memories)} memories of {users} users, {len(labelled.questions)} questions"
    )
    parts = [
        f"{what}; {report.embedder}, {report.index} index; {report.k} memories a question\n",
        _estimates(scores.modes, "{}", "{0.mean:.3f} [{0.low:.3f}, {0.high:.3f}]"),
        "what hybrid has more, question by question\n",
        _estimates(scores.gains, "than {}", "{0.mean:+.3f} [{0.low:+.3f}, {0.high:+.3f}]"),
        "in brackets: 95 % intervals, for other questions of the same kinds (bootstrap)\n",
    ]
    if len(scores.kinds) > 1:
        rows = [["MRR by kind", "questions", *MODES]] + [
            [about, str(kind.questions), *(f"{kind.mrr[mode]:.3f}" for mode in MODES)]
            for about, kind in scores.kinds.items()
        ]
        parts.append(_table(rows))
    if report.misses:
        parts.append("answered worst by hybrid\n" + "".join(_missed(report, report.misses)))
    return "\n".join(parts)


def json(report: Report) -> str:
    """For machines."""
    scores = asdict(report.scores)
    document = {
        "memories": len(report.labelled.memories),
        "questions": len(report.labelled.questions),
        "embedder": report.embedder,
        "index": report.index,
        "k": report.k,
        "modes": scores["modes"],
        "gains": scores["gains"],
        "kinds": scores["kinds"],
        "misses": [_document(one) for one in report.misses],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _estimates(of: Mapping[Any, Mapping[str, Estimate]], name: str, form: str) -> str:
    measures = list(next(iter(of.values())))
    rows = [["", *measures]] + [
        [name.format(mode), *(form.format(each[measure]) for measure in measures)]
        for mode, each in of.items()
    ]
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _missed(report: Report, missed: Iterable[Answered]) -> Iterable[str]:
    contents = {one.id: one.content for one in report.labelled.memories}
    for one in missed:
        yield f"\n{one.question.id}  {one.question.query}\n"
        ranks = ", ".join(f"{mode} {one.rank(mode) or '-'}" for mode in MODES)
        yield f"  its place: {ranks}\n"
        for name in sorted(one.relevant):
            yield f"  wanted  {name}: {_short(contents[name])}\n"
        for name in one.found["hybrid"][:1]:
            yield f"  first   {name}: {_short(contents[name])}\n"


def _short(content: str) -> str:
    plain = " ".join(content.split())
    return plain if len(plain) <= _CONTENT else f"{plain[: _CONTENT - 3]}..."


def _document(one: Answered) -> dict[str, Any]:
    return {
        "id": one.question.id,
        "query": one.question.query,
        "relevant": sorted(one.relevant),
        "ranks": {mode: one.rank(mode) for mode in MODES},
        "found": one.found["hybrid"],
    }
