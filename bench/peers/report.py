"""The comparison as a table, as JSON and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.peers.proxies import BASE
from bench.peers.rounds import Outcome, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHOD: Final = (
    "CPU microseconds, user + system, of the proxy's process per request or event; every proxy "
    "pinned to one core, upstream and load on another; proxies in turn within each round; the "
    "median over the rounds, its smallest and largest; ratios within a round, their median"
)
_COLUMNS: Final = (
    f"  {'proxy':<18} {'CPU us':>8} {'min':>8} {'max':>8} {'kernel':>7}"
    f" {'ratio':>7} {'min':>6} {'max':>6} {'per s':>9} {'core':>5} {'errors':>7}"
)


def table(outcome: Outcome) -> str:
    """One scenario: a line a proxy, cheapest first, and what was left out."""
    scenario = outcome.scenario
    lines = [f"{scenario.title}: CPU us per {scenario.unit}, ratio to {BASE}", _COLUMNS]
    rows = sorted(outcome.rows, key=lambda row: row.middle("cpu_us"))
    lines += [_line(row, outcome.base) for row in rows]
    lines += [f"  skipped {name}: {reason}" for name, reason in outcome.skipped.items()]
    lines += [f"  BROKEN {name}: {reason}" for name, reason in outcome.broken.items()]
    return "\n".join(lines) + "\n"


def _line(row: Row, base: Row | None) -> str:
    ratios = row.ratios(base) if base is not None else []
    compared = (
        f"{median(ratios):7.2f} {min(ratios):6.2f} {max(ratios):6.2f}" if ratios else " " * 21
    )
    return (
        f"  {row.proxy:<18} {row.middle('cpu_us'):8.2f} {min(row.cpu_us):8.2f}"
        f" {max(row.cpu_us):8.2f} {row.middle('system'):7.0%} {compared}"
        f" {row.middle('rate'):9,.0f} {row.middle('busy'):5.0%}"
        f" {sum(sample.errors for sample in row.samples):7d}"
    )


def document(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Everything that was measured, round by round."""
    return {"scenarios": {outcome.scenario.name: _scenario(outcome) for outcome in outcomes}}


def _scenario(outcome: Outcome) -> dict[str, object]:
    base = outcome.base
    proxies = {}
    for row in outcome.rows:
        ratios = row.ratios(base) if base is not None else []
        proxies[row.proxy] = {
            "cpu_us": round(row.middle("cpu_us"), 3),
            "ratio": round(median(ratios), 3) if ratios else None,
            "rounds": [
                {
                    "cpu_us": round(sample.cpu_us, 3),
                    "kernel_share": round(sample.system, 3),
                    "per_second": round(sample.rate),
                    "core_busy": round(sample.busy, 3),
                    "errors": sample.errors,
                }
                for sample in row.samples
            ],
        }
    return {
        "title": outcome.scenario.title,
        "unit": outcome.scenario.unit,
        "proxies": proxies,
        "skipped": outcome.skipped,
        "broken": outcome.broken,
    }


def draw(figure: Figure, outcomes: Sequence[Outcome]) -> None:
    """A panel a scenario: bars of the medians, whiskers over all rounds, ratios beside them."""
    panels = figure.subplots(1, len(outcomes), squeeze=False)[0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        rows = sorted(outcome.rows, key=lambda row: row.middle("cpu_us"), reverse=True)
        for at, row in enumerate(rows):
            middle = row.middle("cpu_us")
            spread = [[middle - min(row.cpu_us)], [max(row.cpu_us) - middle]]
            colour = "#c2410c" if row.proxy.startswith("uaitools") else "#94a3b8"
            axes.barh(at, middle, color=colour, xerr=spread, capsize=2, height=0.65)
            text = f"{middle:.3g}"
            if outcome.base is not None:
                text += f" ({median(row.ratios(outcome.base)):.2f}x)"
            axes.annotate(
                text,
                (max(row.cpu_us), at),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(rows)), [row.proxy for row in rows], fontsize=8)
        axes.set_title(outcome.scenario.title, fontsize=9)
        axes.set_xlabel(f"CPU us per {outcome.scenario.unit} (x {BASE})", fontsize=8)
        axes.margins(x=0.45)
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
