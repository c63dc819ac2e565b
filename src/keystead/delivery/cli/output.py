"""What commands print: tables or JSON on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keystead.base.errors import KeysteadError


def emit(data: Any, as_json: bool, human: str | Callable[[], str]) -> None:
    """Print `data` as JSON, or the text for people."""
    if as_json:
        print(json.dumps(data, ensure_ascii=False, indent=2, default=str), flush=True)  # noqa: T201
    else:
        text = human if isinstance(human, str) else human()
        if text:
            print(text, flush=True)  # noqa: T201


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> str:
    """Rows under headings, in columns; `empty` says what to do when there are none."""
    shown = [["" if v is None else _one_line(str(v)) for v in row] for row in rows]
    if not shown:
        return empty
    widths = [
        max(_width(heading), *(_width(row[i]) for row in shown))
        for i, heading in enumerate(headings)
    ]
    lines = [headings, ["─" * width for width in widths], *shown]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def complain(error: KeysteadError, as_json: bool) -> None:
    """Say what happened and what to do, on standard error."""
    if as_json:
        facts = {
            "error": error.code,
            "family": error.family,
            "what": error.what,
            "todo": error.todo,
        }
        print(json.dumps(facts, ensure_ascii=False), file=sys.stderr)  # noqa: T201
    else:
        print(f"keystead: {_one_line(error.what)}", file=sys.stderr)  # noqa: T201
        if error.todo:
            print(f"  {_one_line(error.todo)}", file=sys.stderr)  # noqa: T201


@contextmanager
def progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar with rate and time left; call it with phase, done and total (0: not known)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Done(ProgressColumn):
        def render(self, task: Task) -> Text:
            total = f"/{task.total:,.0f}" if task.total else ""
            return Text(f"{task.completed:,.0f}{total}" if task.completed or total else "")

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            rate = task.finished_speed or task.speed
            return Text(f"{rate:,.0f} {unit}/s" if rate else "")

    class Left(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = task.time_remaining
            if task.finished or task.total is None or left is None:
                return Text("")
            minutes, seconds = divmod(int(left), 60)
            return Text(f"{minutes}:{seconds:02} left")

    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=28),
        Done(),
        Rate(),
        TimeElapsedColumn(),
        Left(),
    )
    bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=8)
    tasks: dict[str, Any] = {}

    def update(phase: str, done: int, total: int) -> None:
        if not tasks:
            bar.start()
        if phase not in tasks:
            for earlier in tasks.values():
                bar.stop_task(earlier)
            tasks[phase] = bar.add_task(phase, total=None)
        bar.update(tasks[phase], completed=done, total=total or None)

    try:
        yield update
    finally:
        if tasks:
            bar.stop()


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "·" for c in text)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
