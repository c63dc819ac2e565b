"""Scheduled jobs: registered operations, when they run, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.base import clock
from keystead.base.errors import Invalid, NotFound, Tampered
from keystead.instance import scheduled, schedules
from keystead.instance.scheduled import Done
from keystead.instance.schedules import (
    APPLY_RULES,
    CLEAR_ATTACHMENTS,
    REGISTERED,
    RETRY_SECONDS,
    VERIFY_AUDIT,
    WATCH_EXTERNAL_KEYS,
    Job,
)
from keystead.programs import instance as program

ACTOR = "test"
NOW = "2026-05-01T12:00:00.000000Z"


def job(site: Any, name: str = VERIFY_AUDIT.name) -> Job:
    with site.snapshot() as tx:
        return schedules.find(tx, site.integrity, name)


def change(site: Any, name: str = VERIFY_AUDIT.name, **fields: Any) -> Job:
    with site.transaction() as tx:
        return schedules.change(tx, site.integrity, name, ACTOR, **fields)


def request(site: Any, name: str = VERIFY_AUDIT.name) -> None:
    with site.transaction() as tx:
        schedules.request(tx, site.integrity, name, ACTOR)


def due(site: Any) -> set[str]:
    return {one.operation.name for one in scheduled.due_jobs(site.instance)}


def made(**fields: Any) -> Job:
    before = clock.later(NOW, -60)
    usual = {"requested_at": None, "started_at": before, "ended_at": before, "failed": False}
    return Job(VERIFY_AUDIT, **{"minutes": 60, "active": True, "result": "x", **usual, **fields})


def test_each_registered_operation_can_run_and_no_other() -> None:
    assert set(scheduled._RUNS) == set(REGISTERED)
    assert len({one.sys_id for one in REGISTERED.values()}) == len(REGISTERED)


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (made(), 59 * 60),
        (made(started_at=clock.later(NOW, -3600)), 0),
        (made(started_at=clock.later(NOW, -9999)), 3600 - 9999),
        (made(started_at=None, ended_at=None), None),
        (made(active=False), None),
        (made(active=False, requested_at=NOW), 0),
        (made(requested_at=NOW), 0),
        (made(failed=True), RETRY_SECONDS - 60),
        (made(failed=True, minutes=2), 60),
        (made(ended_at=None), RETRY_SECONDS - 60),
    ],
)
def test_when_a_job_runs_next(job: Job, seconds: int | None) -> None:
    assert job.next_run == (None if seconds is None else clock.later(NOW, seconds))
    never_ran = job.started_at is None
    assert job.is_due(NOW) is (never_ran if seconds is None else seconds <= 0)


@given(st.integers(-(10**6), 10**6), st.integers(1, schedules.LONGEST_MINUTES), st.booleans())
def test_an_active_job_runs_within_its_interval(started: int, minutes: int, failed: bool) -> None:
    one = made(started_at=clock.later(NOW, started), minutes=minutes, failed=failed)
    assert one.is_due(clock.later(NOW, minutes * 60)) or started > 0
    assert one.is_due(NOW) or started <= 0, "a moment that has not come is no run"


def test_without_a_row_a_job_is_as_it_is_registered(site: Any) -> None:
    with site.snapshot() as tx:
        found = schedules.listed(tx, site.integrity)
    assert [(one.operation, one.minutes, one.active) for one in found] == [
        (CLEAR_ATTACHMENTS, 1, True),
        (VERIFY_AUDIT, 1440, True),
        (WATCH_EXTERNAL_KEYS, 30, True),
        (APPLY_RULES, 1, True),
    ]
    assert due(site) == set(REGISTERED)


def test_what_is_decided_about_a_job_counts_and_is_recorded(site: Any) -> None:
    change(site, minutes=7)
    changed = change(site, active=False)
    assert (changed.minutes, changed.active, job(site)) == (7, False, changed)
    assert due(site) == set(REGISTERED) - {VERIFY_AUDIT.name}
    found = site.sql("SELECT subject, detail FROM keystead_audit WHERE action = 'schedule.set'")
    assert [(subject, json.loads(detail)) for subject, detail in found] == [
        (VERIFY_AUDIT.name, {"minutes": 7, "active": 1}),
        (VERIFY_AUDIT.name, {"minutes": 7, "active": 0}),
    ]


def test_only_registered_operations_are_scheduled(site: Any) -> None:
    for act in (change, request, job):
        with pytest.raises(NotFound):
            act(site, "os.system")
    for minutes in (0, -1, schedules.LONGEST_MINUTES + 1):
        with pytest.raises(Invalid):
            change(site, minutes=minutes)
    assert site.sql("SELECT * FROM sysauto_script") == []
    assert site.sql("SELECT * FROM keystead_schedule_run") == []


def test_a_run_is_kept_with_its_result(site: Any) -> None:
    done = scheduled.run(site.instance, VERIFY_AUDIT)
    assert done.code is None
    kept = job(site)
    assert (kept.failed, kept.result) == (False, done.result)
    assert kept.started_at is not None
    assert kept.ended_at is not None
    assert VERIFY_AUDIT.name not in due(site)


def test_what_was_asked_for_runs_although_the_job_is_not_active(site: Any) -> None:
    change(site, active=False)
    scheduled.run(site.instance, VERIFY_AUDIT)
    request(site)
    assert VERIFY_AUDIT.name in due(site)
    scheduled.run(site.instance, VERIFY_AUDIT)
    assert VERIFY_AUDIT.name not in due(site)
    assert job(site).requested_at is None


def test_what_is_asked_for_while_it_runs_is_done_again(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(_instance: Any) -> Done:
        request(site)
        return Done("done")

    monkeypatch.setitem(scheduled._RUNS, VERIFY_AUDIT.name, meanwhile)
    scheduled.run(site.instance, VERIFY_AUDIT)
    assert VERIFY_AUDIT.name in due(site)


@pytest.mark.parametrize("error", [NotFound("user.missing", user="ada"), ValueError("secret")])
def test_a_failed_run_is_a_result_and_is_tried_again(
    site: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(_instance: Any) -> Done:
        raise error

    monkeypatch.setitem(scheduled._RUNS, VERIFY_AUDIT.name, failing)
    done = scheduled.run(site.instance, VERIFY_AUDIT)
    kept = job(site)
    assert kept.failed
    assert done.code in ("user.missing", "ValueError")
    assert kept.result is not None
    assert "secret" not in kept.result
    again = kept.next_run
    assert again is not None
    assert again < clock.after(RETRY_SECONDS + 1)
    monkeypatch.undo()
    scheduled.run(site.instance, VERIFY_AUDIT)
    assert not job(site).failed


def test_a_killed_run_is_run_again(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(_instance: Any) -> Done:
        raise Killed

    monkeypatch.setitem(scheduled._RUNS, VERIFY_AUDIT.name, killed)
    request(site)
    with pytest.raises(Killed):
        scheduled.run(site.instance, VERIFY_AUDIT)
    assert VERIFY_AUDIT.name in due(site), "what was asked for was forgotten"


def test_the_check_of_the_audit_log_finds_what_was_changed(site: Any) -> None:
    site.sql("UPDATE keystead_audit SET actor = 'nobody' WHERE sequence = 2")
    done = scheduled.run(site.instance, VERIFY_AUDIT)
    assert done.code == "audit.differs"
    assert job(site).failed


def test_a_decision_that_was_changed_is_not_followed(site: Any) -> None:
    change(site, minutes=7)
    site.sql("UPDATE sysauto_script SET active = 0")
    with pytest.raises(Tampered):
        due(site)


@pytest.mark.parametrize("leads", [False, True])
def test_the_process_that_leads_runs_what_is_due(
    site: Any, monkeypatch: pytest.MonkeyPatch, leads: bool
) -> None:
    monkeypatch.setattr(program, "SECONDS_BETWEEN_LOOKS", 0.01)
    looks = 0

    class Presence(SimpleNamespace):
        @property
        def leads(self) -> bool:
            nonlocal looks
            looks += 1
            return leads

    async def serve() -> None:
        running = asyncio.create_task(program._run_scheduled(site.instance, Presence()))
        while looks < 5 or (leads and due(site)):
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(asyncio.wait_for(serve(), 60))
    ran = site.sql("SELECT count(*) FROM keystead_schedule_run WHERE ended_at IS NOT NULL")
    assert ran == [(len(REGISTERED) if leads else 0,)]
