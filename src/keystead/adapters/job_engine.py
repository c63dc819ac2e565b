"""Executing jobs with DBOS: durable workflows, one per job and attempt, stages as steps.

The job's row says what is to be done (`jobs`); DBOS says where a killed process was. One process
serves a home, under its lock, so the executor id is the same for every run and DBOS recovers what
a killed one left. Arguments are a job id and a stage name; results are empty.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from keystead.base.errors import KeysteadError, Unavailable
from keystead.database.port import Database
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Stage

# raised when the stages of a kind change, so that a job begun before is not replayed against others
WORKFLOW_VERSION: Final = "1"
_EXECUTOR: Final = "serve"
_POLL_SECONDS = 0.3
_ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
_log = structlog.get_logger()


class NamedStage(NamedTuple):
    """One step of a kind of job."""

    name: str
    run: Stage


Stages = Mapping[JobKind, Sequence[NamedStage]]


class JobEngine:
    """Picks up the jobs of one instance and runs their stages, in this process."""

    def __init__(self, database: Database, stages: Stages, state_file: Path) -> None:
        self._database = database
        self._stages = {kind: {stage.name: stage.run for stage in s} for kind, s in stages.items()}
        self._started: set[str] = set()
        self._stopped: dict[str, KeysteadError] = {}
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="job-poller", daemon=True)
        config: DBOSConfig = {
            "name": "keystead",
            "system_database_url": f"sqlite:///{state_file}",
            "executor_id": _EXECUTOR,
            "application_version": WORKFLOW_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",  # why a job stopped is in its row and in our own log
            "console_log_level": "CRITICAL",
        }
        DBOS(config=config)

        @DBOS.step(name="stage")
        def run_stage(job_id: str, kind: str, stage: str) -> None:
            self._run_stage(job_id, kind, stage)

        @DBOS.workflow(name="job")
        def run_job(job_id: str) -> None:
            with self._database.snapshot() as tx:
                kind = JobKind(jobs.get(tx, job_id)["kind"])
            for stage in self._stages[kind]:
                run_stage(job_id, kind.value, stage)

        self._workflow = run_job

    def start(self) -> None:
        """Recover what a killed process left, then pick up new jobs."""
        DBOS.launch()
        self._poller.start()

    def stop(self) -> None:
        """Stop picking up jobs. What runs goes on until the process ends, and is then recovered."""
        self._stop.set()
        self._poller.join(timeout=5)

    def _poll(self) -> None:
        last = ""
        while not self._stop.wait(_POLL_SECONDS):
            try:
                with self._database.snapshot() as tx:
                    waiting = jobs.waiting(tx)
                for job_id, attempt in waiting:
                    self._take_up(job_id, f"{job_id}-{attempt}")
            except Exception as error:
                reason = jobs.as_refusal(error).what
                if reason != last:  # once, not three times a second: the disk may be full
                    _log.warning("jobs.poll", reason=reason)
                last = reason
            else:
                last = ""

    def _take_up(self, job_id: str, workflow_id: str) -> None:
        """Start a job's workflow; or write down why it stopped, where that could not be written."""
        if workflow_id not in self._started:
            status = DBOS.get_workflow_status(workflow_id)
            if status is not None and status.status in _ENDED:
                self._stopped[workflow_id] = Unavailable("job.interrupted", job=job_id)
                self._started.add(workflow_id)
                return
            with SetWorkflowID(workflow_id):
                DBOS.start_workflow(self._workflow, job_id)
            self._started.add(workflow_id)
        elif workflow_id in self._stopped:
            with self._database.transaction() as tx:
                jobs.fail(tx, jobs.claim(tx, job_id), self._stopped[workflow_id])
            del self._stopped[workflow_id]

    def _run_stage(self, job_id: str, kind: str, stage: str) -> None:
        _log.info("job.stage", job=job_id, kind=kind, stage=stage)
        try:
            jobs.run_stage(self._database, job_id, self._stages[JobKind(kind)][stage])
        except Exception as error:
            refusal = jobs.as_refusal(error)
            self._stopped[str(DBOS.workflow_id)] = refusal
            _log.warning("job.stop", job=job_id, code=refusal.code, what=refusal.what)
            raise refusal from None
