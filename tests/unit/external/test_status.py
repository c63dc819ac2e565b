"""What answers mean: a table, and what holds of every sequence of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.base import clock
from keystead.external.provider import Answer
from keystead.external.status import MISSING_SECONDS, TRANSIENT, Heard, Status, heard

START = "2026-03-01T12:00:00.000000Z"
SOON, LATE = clock.later(START, 3600), clock.later(START, 30 * 24 * 3600)
EXPECTED = {
    Answer.ENABLED: Status.ENABLED,
    Answer.DISABLED: Status.DISABLED,
    Answer.PENDING_DELETION: Status.PENDING_DELETION,
    Answer.MISSING: Status.UNAVAILABLE,
    Answer.DENIED: Status.UNAVAILABLE,
    Answer.UNREACHABLE: Status.UNAVAILABLE,
    Answer.THROTTLED: Status.UNAVAILABLE,
    Answer.UNUSABLE: Status.UNAVAILABLE,
    Answer.WRONG: Status.UNAVAILABLE,
}
BEFORE = [
    None,
    *(Heard(status, answer) for answer, status in EXPECTED.items()),
    Heard(Status.PENDING_DELETION, Answer.PENDING_DELETION, LATE),
    Heard(Status.DELETED, Answer.MISSING, None, clock.later(START, -MISSING_SECONDS)),
]
DESCRIBED = {Answer.ENABLED, Answer.DISABLED, Answer.PENDING_DELETION}


@dataclass(frozen=True)
class Step:
    """An answer, the seconds since the one before, and the days until a deletion."""

    answer: Answer
    seconds: int
    days: int | None


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(Answer),
        st.sampled_from([0, 1, 60, MISSING_SECONDS - 1, MISSING_SECONDS, 1800, 8 * 86_400]),
        st.none() | st.sampled_from([7, 30]),
    ),
    max_size=12,
)


@pytest.mark.parametrize("before", BEFORE, ids=str)
@pytest.mark.parametrize("answer", Answer)
def test_every_answer_after_every_status(answer, before):
    now = heard(answer, START, LATE if answer is Answer.PENDING_DELETION else None, before)
    was_missing = before is not None and before.missing_since is not None
    gone = answer is Answer.MISSING and was_missing
    assert now.status is (Status.DELETED if gone else EXPECTED[answer])
    assert now.answer is answer


def test_a_key_is_deleted_when_it_stays_away_or_its_day_has_come():
    away = heard(Answer.MISSING, START)
    at = [clock.later(START, seconds) for seconds in (MISSING_SECONDS - 1, MISSING_SECONDS)]
    found = [heard(Answer.MISSING, moment, None, away).status for moment in at]
    assert found == [Status.UNAVAILABLE, Status.DELETED]
    pending = heard(Answer.PENDING_DELETION, START, SOON)
    assert heard(Answer.MISSING, clock.later(SOON, -1), None, pending).status is Status.UNAVAILABLE
    assert heard(Answer.MISSING, SOON, None, pending).status is Status.DELETED


@pytest.mark.parametrize("answer", sorted({*Answer} - DESCRIBED))
def test_an_announced_day_stands_until_the_key_is_described_otherwise(answer):
    pending = heard(Answer.PENDING_DELETION, START, LATE)
    silent = heard(answer, clock.later(START, 60), None, pending)
    assert silent.deletion_at == LATE
    for described in (Answer.ENABLED, Answer.DISABLED):
        assert heard(described, clock.later(START, 120), None, silent).deletion_at is None


@settings(derandomize=True, deadline=None, max_examples=300)
@given(steps=STEPS)
def test_no_blip_deletes_and_nothing_is_for_good(steps):
    moment, before = START, None
    missing: str | None = None
    announced: str | None = None
    for step in steps:
        moment = clock.later(moment, step.seconds)
        deletion_at = None
        if step.answer is Answer.PENDING_DELETION and step.days is not None:
            deletion_at = clock.later(moment, step.days * 86_400)
        now = heard(step.answer, moment, deletion_at, before)
        announced = deletion_at if step.answer in DESCRIBED else announced
        missing = (missing or moment) if step.answer is Answer.MISSING else None
        if now.status is Status.DELETED:
            assert missing is not None
            stayed = clock.later(missing, MISSING_SECONDS) <= moment
            assert stayed or (announced is not None and announced <= moment)
        else:
            assert now.status is EXPECTED[step.answer]
        # whatever was heard, the next answer decides
        for answer in {*Answer} - {Answer.MISSING}:
            assert heard(answer, moment, None, now).status is EXPECTED[answer]
        # and who looks again at once learns nothing new
        if step.answer in {*TRANSIENT, Answer.MISSING, Answer.DENIED, Answer.WRONG}:
            assert heard(step.answer, moment, deletion_at, now) == now
        before = now
