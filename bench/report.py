"""What a benchmark found: `var/bench/NAME.json`, and the same as a table.

The file is a list of objects with exactly `name`, `ours`, `rival`, `ratio`, `goal`, `met`, `unit`.
`ours` and `rival` are medians in `unit`; `ratio` is the median of ours / rival over the pairs. A
figure that is there for comparison says so as its goal, and counts as met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parents[1] / "var" / "bench"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured on both sides."""

    name: str
    ours: float
    rival: float
    ratio: float
    goal: str
    met: bool
    unit: str


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of a figure: in words, and as a test of `ours` and `ratio`."""

    text: str
    holds: Callable[[float, float], bool]


def ratio_at_most(limit: float) -> Goal:
    """For what should be small, such as time."""
    return Goal(f"ratio <= {limit}", lambda _, ratio: ratio <= limit)


def ratio_at_least(limit: float) -> Goal:
    """For what should be large, such as a rate."""
    return Goal(f"ratio >= {limit}", lambda _, ratio: ratio >= limit)


def ratio_above(limit: float) -> Goal:
    """For a rate that should beat the rival's."""
    return Goal(f"ratio > {limit}", lambda _, ratio: ratio > limit)


def ours_at_most(limit: float, unit: str) -> Goal:
    """For a bound on the product alone."""
    return Goal(f"ours <= {limit:g} {unit}", lambda ours, _: ours <= limit)


def ours_at_least(limit: float, unit: str) -> Goal:
    """For a rate of the product alone."""
    return Goal(f"ours >= {limit:g} {unit}", lambda ours, _: ours >= limit)


COMPARISON = Goal("none, for comparison", lambda _ours, _ratio: True)


def figure(name: str, pairs: Sequence[tuple[float, float]], goal: Goal, unit: str) -> Figure:
    """The figure of (ours, rival) pairs, each pair measured one right after the other."""
    ours = median(ours for ours, _ in pairs)
    rival = median(rival for _, rival in pairs)
    ratio = median(ours / rival for ours, rival in pairs)
    return Figure(
        name,
        round(ours, 3),
        round(rival, 3),
        round(ratio, 3),
        goal.text,
        goal.holds(ours, ratio),
        unit,
    )


def publish(name: str, figures: Sequence[Figure]) -> None:
    """Write the figures to their file, and print them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps([asdict(f) for f in figures], indent=2) + "\n", encoding="utf-8")
    headings = ("figure", "ours", "rival", "unit", "ratio", "goal", "met")
    rows = [
        (f.name, f"{f.ours:,}", f"{f.rival:,}", f.unit, f"{f.ratio:.2f}", f.goal, _YES_NO[f.met])
        for f in figures
    ]
    widths = [max(len(line[at]) for line in (headings, *rows)) for at in range(len(headings))]
    for line in (headings, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    print(f"written to {file}")


_YES_NO = {True: "yes", False: "NO"}
