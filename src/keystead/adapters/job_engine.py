"""Executing jobs with DBOS: a workflow for each claim of a job, its stages as steps.

The job's row says all that must outlive a process: who holds it, under which fence, how many stages
have ended (`jobs`). DBOS runs what this process holds; its state is this process's own and goes
with it. Arguments are a job id, a fence and the place of a stage; results are empty.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from keystead.base.errors import KeysteadError
from keystead.database.port import Database
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Lease, Stage

_POLL_SECONDS = 0.3
FENCED: Final = "job.fenced"
_log = structlog.get_logger()


class NamedStage(NamedTuple):
    """One step of a kind of job."""

    name: str
    run: Stage


Stages = Mapping[JobKind, Sequence[NamedStage]]


class JobEngine:
    """Takes up free jobs of one instance for a process, and runs their stages in it."""

    def __init__(
        self, database: Database, stages: Stages, process_id: str, state_file: Path
    ) -> None:
        self._database = database
        self._stages = stages
        self._process_id = process_id
        self._passed_over: set[str] = set()
        self._started: set[Lease] = set()
        self._stopped: dict[Lease, KeysteadError] = {}
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="job-poller", daemon=True)
        config: DBOSConfig = {
            "name": "keystead",
            "system_database_url": f"sqlite:///{state_file}",
            "executor_id": process_id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",  # why a job stopped is in its row and in our own log
            "console_log_level": "CRITICAL",
        }
        DBOS(config=config)

        @DBOS.step(name="stage")
        def run_stage(job_id: str, fence: int, kind: str, place: int) -> None:
            self._run_stage(Lease(job_id, fence), self._stages[JobKind(kind)][place])

        @DBOS.workflow(name="job")
        def run_job(job_id: str, fence: int) -> None:
            with self._database.snapshot() as tx:
                job = jobs.get(tx, job_id)
            kind = JobKind(job["kind"])
            for place in range(jobs.stages_done(job), len(self._stages[kind])):
                run_stage(job_id, fence, kind.value, place)

        self._workflow = run_job

    def start(self) -> None:
        """Begin to take up jobs: new ones, and those whose process is dead."""
        DBOS.launch()
        self._poller.start()

    def stop(self) -> None:
        """Stop taking up jobs. What runs goes on until the process ends; another takes it up."""
        self._stop.set()
        self._poller.join(timeout=5)

    def _poll(self) -> None:
        last = ""
        while not self._stop.wait(_POLL_SECONDS):
            try:
                self._look()
            except Exception as error:
                reason = jobs.as_refusal(error).what
                if reason != last:  # once, not three times a second: the disk may be full
                    _log.warning("jobs.poll", reason=reason)
                last = reason
            else:
                last = ""

    def _look(self) -> None:
        for lease in list(self._stopped):
            self._write_down(lease)
        with self._database.snapshot() as tx:
            free, held = jobs.free(tx), jobs.held_by(tx, self._process_id)
        # one at a time, and who is busy lets the others look first
        if free and (not held or free[0] in self._passed_over):
            with self._database.transaction() as tx:
                taken = jobs.take(tx, free[0], self._process_id)
            if taken is not None:
                _log.info("job.take", job=taken.job_id, fence=taken.fence)
                held.append(taken)
        self._passed_over = set(free)
        for lease in held:
            if lease not in self._started:
                with SetWorkflowID(f"{lease.job_id}-{lease.fence}"):
                    DBOS.start_workflow(self._workflow, lease.job_id, lease.fence)
                self._started.add(lease)

    def _run_stage(self, lease: Lease, stage: NamedStage) -> None:
        _log.info("job.stage", job=lease.job_id, fence=lease.fence, stage=stage.name)
        try:
            jobs.run_leased(self._database, lease, stage.run)
        except Exception as error:
            refusal = jobs.as_refusal(error)
            if refusal.code == FENCED:
                _log.warning(FENCED, job=lease.job_id, fence=lease.fence, stage=stage.name)
            else:
                self._stopped[lease] = refusal
                _log.warning("job.stop", job=lease.job_id, code=refusal.code, what=refusal.what)
            raise refusal from None

    def _write_down(self, lease: Lease) -> None:
        """Write why a job stopped, where that could not be written at once."""
        with self._database.transaction() as tx:
            if lease in jobs.held_by(tx, self._process_id):
                jobs.fail(tx, lease, self._stopped[lease])
        del self._stopped[lease]
