"""Pages of mass jobs worked out in other processes: the same result, and nothing left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.base.errors import Conflict, Tampered, Unavailable
from keystead.fields.mass_job import MassJob
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.programs.page_pool import ProcessPagePool

PATIENCE = 30


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ProcessPagePool]:
    monkeypatch.setattr(jobs, "PAGE_ROWS", 2)
    made = ProcessPagePool(tmp_path / "home", 2)
    yield made
    made.close()


def children(of: int) -> set[int]:
    found = Path(f"/proc/{of}/task/{of}/children").read_text().split()
    return {int(pid) for pid in found if "spawn_main" in command(int(pid))}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def run(site, pool, kind):
    job_id = site.start(kind)
    jobs.run_stage(site.database, job_id, MassJob(site.database, site.hierarchy, pool).move)
    site.scrub(job_id)
    return site.job(job_id)


def test_a_job_ends_as_it_would_in_one_process(mixed, pool, people):
    done = run(mixed, pool, JobKind.ENCRYPT)
    mixed.rotate()
    again = run(mixed, pool, JobKind.REKEY)

    assert done["done"] == again["done"] == len(people)
    assert done["counts"]["values"] == again["counts"]["values"] > 0
    assert done["counts"]["lost_races"] == again["counts"]["lost_races"] == 0
    for column in mixed.open_all().values():
        assert column.unreadable == column.plain == 0
        assert len(column.by_key) == 1
    assert children(os.getpid())


def test_what_is_refused_there_is_refused_here(sealed, pool):
    sealed.rotate()
    job_id = sealed.start(JobKind.REKEY)
    with sealed.transaction() as tx:
        tx.exec_driver_sql(
            "UPDATE people SET name = replace(name, '~ks1', '~ks2') WHERE id = 'p09'"
        )
    with pytest.raises(Tampered) as refused:
        jobs.run_stage(
            sealed.database, job_id, MassJob(sealed.database, sealed.hierarchy, pool).move
        )
    assert refused.value.code == "value.tampered"
    assert sealed.job(job_id)["error_code"] == "value.tampered"


def test_a_killed_process_stops_the_job_which_can_be_resumed(mixed, pool, people):
    run(mixed, pool, JobKind.ENCRYPT)
    for pid in children(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    mixed.rotate()
    job_id = mixed.start(JobKind.REKEY)
    work = MassJob(mixed.database, mixed.hierarchy, pool)
    with pytest.raises(Unavailable) as stopped:
        jobs.run_stage(mixed.database, job_id, work.move)
    assert stopped.value.code == "job.pages_lost"

    with mixed.transaction() as tx:
        jobs.resume(tx, job_id, "admin")
    jobs.run_stage(mixed.database, job_id, work.move)

    assert mixed.job(job_id)["done"] == len(people)
    assert all(len(column.by_key) == 1 for column in mixed.open_all().values())


SCRIPT = """
import sys, time
from pathlib import Path
from keystead.programs.page_pool import ProcessPagePool

if __name__ == "__main__":
    pool = ProcessPagePool(Path(sys.argv[1]), 2)
    waits = [pool.submit("no such job", [("p01",)], 1) for _ in range(4)]
    for wait in waits:
        try:
            wait()
        except Exception as error:
            print(type(error).__name__, flush=True)
    time.sleep(600)
"""


def test_they_end_with_the_process_that_made_them(site, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(site.folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "NotFound\n"
    left = children(parent.pid)
    assert left
    parent.kill()
    parent.wait()

    end = time.monotonic() + PATIENCE
    while any("spawn_main" in command(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.05)
    assert [pid for pid in left if "spawn_main" in command(pid)] == []


def test_an_error_is_the_same_after_a_journey():
    error = Conflict("key.used_up", key="k", limit=3)
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), there.code, there.facts, there.what, there.todo) == (
        Conflict,
        error.code,
        error.facts,
        error.what,
        error.todo,
    )
