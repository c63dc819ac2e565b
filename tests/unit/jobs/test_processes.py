"""Who counts as dead, and who gets a free job."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.base.errors import Conflict, NotFound
from keystead.jobs import processes
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.processes import BEAT_SECONDS, Process, Role, Watch

ACTOR = "test"
PATIENCE = 10.0
ONE, TWO = "1" * 32, "2" * 32


def process(process_id: str, beat: int = 0) -> Process:
    return Process(process_id, Role.WORKER, "host", "/home", 1, "2026-01-01", beat)


class Watching:
    """A watch whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.gone: set[str] = set()
        self.watch = Watch(lambda p: p.sys_id in self.gone, PATIENCE, lambda: self.now)

    def dead(self, beat: int, after: float = BEAT_SECONDS) -> bool:
        self.now += after
        return bool(self.watch.dead([process(ONE, beat)]))


class TestWatch:
    def test_a_beat_that_stands_still_for_as_long_as_the_patience(self) -> None:
        watching = Watching()
        watching.dead(7)
        looks = 1
        while not watching.dead(7):
            looks += 1
        assert looks * BEAT_SECONDS == PATIENCE

    def test_a_beat_that_moves_begins_anew(self) -> None:
        watching = Watching()
        assert not any(watching.dead(beat // 4) for beat in range(100))
        assert watching.watch.has_beaten(process(ONE))
        assert not watching.watch.has_beaten(process(TWO))

    def test_a_pause_of_the_watcher_is_not_held_against_the_watched(self) -> None:
        watching = Watching()
        watching.dead(7)
        assert not watching.dead(7, after=3_600)
        assert not watching.dead(8, after=3_600)

    def test_one_whose_lock_is_free_is_dead_at_once(self) -> None:
        watching = Watching()
        watching.gone.add(ONE)
        assert watching.dead(7)


class TestJobs:
    @pytest.fixture
    def job_id(self, site: Any) -> str:
        with site.transaction() as tx:
            processes.add(tx, process(ONE))
            processes.add(tx, process(TWO))
            return jobs.create(tx, JobKind.REKEY, "people", {}, ACTOR)

    def test_one_process_gets_it(self, site: Any, job_id: str) -> None:
        with site.transaction() as tx:
            lease = jobs.take(tx, job_id, ONE)
            assert jobs.take(tx, job_id, TWO) is None
            assert (jobs.free(tx), jobs.held_by(tx, ONE)) == ([], [lease])

    def test_what_a_dead_one_held_is_free_and_it_writes_no_more(
        self, site: Any, job_id: str
    ) -> None:
        with site.transaction() as tx:
            late = jobs.take(tx, job_id, ONE)
            processes.remove(tx, ONE)
            assert jobs.free(tx) == [job_id]
            assert jobs.take(tx, job_id, ONE) is None  # it counts as dead
            lease = jobs.take(tx, job_id, TWO)
        before = site.everything()

        def work(held: jobs.Lease) -> None:
            with site.transaction() as tx:
                jobs.write(tx, held, done=5)

        def refuse(_held: jobs.Lease) -> None:
            raise NotFound("key.not_held", key="k")

        def idle(_held: jobs.Lease) -> None:
            pass

        for stage in (work, refuse, idle):
            with pytest.raises(Conflict) as caught:
                jobs.run_leased(site.database, late, stage)
            assert caught.value.code == "job.fenced"
        assert site.everything() == before
        jobs.run_leased(site.database, lease, work)
        assert (site.job(job_id)["state"], site.job(job_id)["done"]) == ("running", 5)

    def test_stages_that_ended_are_counted_until_it_is_resumed(
        self, site: Any, job_id: str
    ) -> None:
        for _ in range(2):
            jobs.run_stage(site.database, job_id, lambda _lease: None)
        assert jobs.stages_done(site.job(job_id)) == 2
        with site.transaction() as tx:
            jobs.fail(tx, jobs.claim(tx, job_id), NotFound("key.not_held", key="k"))
            jobs.resume(tx, job_id, ACTOR)
            assert jobs.free(tx) == [job_id]
        assert jobs.stages_done(site.job(job_id)) == 0

    def test_one_of_a_version_without_holders_is_free(self, site: Any, job_id: str) -> None:
        with site.transaction() as tx:
            jobs.claim(tx, job_id)
            assert jobs.free(tx) == [job_id]
