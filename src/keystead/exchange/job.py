"""The job that brings a request's keys here, and starts the rekeying that was asked for."""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.base.errors import Conflict
from keystead.database.port import Database
from keystead.exchange import peers, service
from keystead.exchange.model import Status
from keystead.exchange.peers import PeerChannel
from keystead.fields import mass_job
from keystead.fields import service as fields
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Job, Lease
from keystead.keys.hierarchy import Hierarchy


class ExchangeJob:
    """Runs one exchange. It can be killed anywhere and run again."""

    def __init__(self, database: Database, hierarchy: Hierarchy, channel: PeerChannel) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._channel = channel

    def obtain(self, lease: Lease) -> None:
        """Make the request if there is none yet, obtain its keys, and end the job.

        Raises:
            Unavailable: when the source stays away.
            Denied, Tampered: when what the source sent is refused.
            Conflict: when the request expired before its keys were here.
        """
        with self._database.transaction() as tx:
            job = jobs.get(tx, lease.job_id)
            request_id = job["counts"].get("request_id") or self._make_request(tx, job)
            jobs.write(tx, lease, phase="exchanging", counts={"request_id": request_id})
        request = service.obtain(
            self._database,
            self._hierarchy,
            self._channel,
            request_id,
            lambda tx: jobs.hold(tx, lease),
        )
        if request["status"] == Status.EXPIRED:
            raise Conflict("exchange.expired", request=request_id)
        with self._database.transaction() as tx:
            if request["rekey"] and request["status"] == Status.COMPLETE:
                self._start_rekeying(tx, job)
            moved = request["moved_key_count"]
            counts = {"request_id": request_id, "status": request["status"], "keys": moved}
            jobs.write(tx, lease, counts=counts, done=moved, total=request["total_key_count"])
            jobs.finish(tx, lease)

    def _make_request(self, tx: Connection, job: Job) -> str:
        arguments = job["arguments"]
        if arguments.get("request_id"):
            return str(arguments["request_id"])
        request = service.make_request(
            tx,
            self._hierarchy,
            peers.by_id(tx, self._hierarchy, arguments["peer"]),
            arguments["specifications"],
            clone_id=arguments.get("clone_id"),
            rekey=bool(arguments.get("rekey")),
            actor=job["actor"],
        )
        return str(request["sys_id"])

    def _start_rekeying(self, tx: Connection, job: Job) -> None:
        tables = {c.table for c in fields.configurations(tx, self._hierarchy)}
        for table in sorted(tables):
            mass_job.start(
                tx,
                self._hierarchy,
                JobKind.REKEY,
                table,
                rows_per_second=None,
                actor=job["actor"],
            )
