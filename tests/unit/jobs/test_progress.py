"""How far a job is, how fast it goes, and when it will be done."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.jobs.model import JobState
from keystead.jobs.progress import ends_at, percent, rate

START, NOW = "2026-03-01T12:00:00.000000Z", "2026-03-01T12:00:10.000000Z"


def job(**facts: Any) -> dict[str, Any]:
    usual = {"state": JobState.RUNNING, "started_at": START, "finished_at": None}
    return {**usual, "done": 500, "total": 2_000, **facts}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, (25, 50, "2026-03-01T12:00:40.000000Z")),
        ({"done": 2_000}, (100, 200, NOW)),
        ({"done": 0}, (0, None, None)),
        ({"total": 0, "done": 0}, (None, None, None)),
        ({"started_at": None, "done": 0, "state": JobState.NEW}, (0, None, None)),
        ({"started_at": NOW}, (25, None, NOW)),
        ({"state": JobState.FAILED}, (25, 50, None)),
        (
            {"state": JobState.DONE, "done": 2_000, "finished_at": "2026-03-01T12:00:05.000000Z"},
            (100, 400, None),
        ),
        # rows that were added meanwhile
        ({"done": 2_500}, (100, 250, None)),
        # a row in ten seconds, and too many to come for any calendar
        ({"done": 1, "total": 2**62}, (0, 0, None)),
    ],
)
def test_progress(facts, expected):
    one = job(**facts)
    assert (percent(one), rate(one, NOW), ends_at(one, NOW)) == expected
