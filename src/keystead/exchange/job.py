"""Asking for keys: the request, and the job that brings them and starts the rekeying asked for."""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.base.errors import Conflict
from keystead.database.port import Database
from keystead.exchange import peers, service
from keystead.exchange.model import Status
from keystead.exchange.peers import Peer, PeerChannel
from keystead.fields import mass_job
from keystead.fields import service as fields
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Job, Lease
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


def request(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    spec_ids: list[str],
    *,
    rekey: bool = False,
    actor: str,
) -> tuple[str, str]:
    """Write a pending request for the keys of specifications, and the job that asks the source.

    Returns the ids of both.

    Raises:
        NotFound: for a specification that is not there.
    """
    for spec_id in spec_ids:
        keys.specification_of(tx, hierarchy, spec_id)
    made = service.make_request(
        tx, hierarchy, peer, spec_ids, clone_id=None, rekey=rekey, actor=actor
    )
    return made["sys_id"], refresh(tx, hierarchy, made["sys_id"], actor)


def refresh(tx: Connection, hierarchy: Hierarchy, request_id: str, actor: str) -> str:
    """Make the job that asks the source about a request; its id.

    Raises:
        NotFound: when there is no such request.
    """
    row = service.get(tx, hierarchy, request_id)
    arguments = {"request_id": request_id}
    return jobs.create(tx, JobKind.EXCHANGE, row["peer_id"], arguments, actor)


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
