"""The source's side of a clone: one consistent snapshot, streamed page by page to the target.

A copy that is interrupted here starts again under a new attempt number, since its snapshot is gone;
one that is interrupted at the target goes on where the target stopped. The source never changes.
"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection

from keystead.access import exchange_policies as access
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Tampered, Unavailable
from keystead.clone import inventory, plan, preflight
from keystead.clone.inventory import Inventory
from keystead.clone.model import Action, KeyOption, Side, State, next_state
from keystead.clone.preflight import Told
from keystead.clone.tables import CLONES
from keystead.crypto import sign
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.exchange import peers
from keystead.exchange.peers import Peer, PeerChannel
from keystead.external import standing
from keystead.fields import census
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind, JobState
from keystead.jobs.service import Lease, Pace
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

PREFLIGHT: Final = "clone.preflight"
STATE: Final = "clone.state"
BEGIN: Final = "clone.begin"
ROWS: Final = "clone.rows"
COMMIT: Final = "clone.commit"


def make_plan(
    database: Database,
    hierarchy: Hierarchy,
    channel: PeerChannel,
    target: str,
    option: KeyOption,
    actor: str,
) -> Fields:
    """Plan a clone into the paired instance of that name or id, which is asked whether it could.

    Raises:
        NotFound: when it is not paired.
        Conflict: when it is not empty, or the plan is refused.
        Unavailable: when it does not answer.
    """
    with database.snapshot() as tx:
        peer = peers.by_name(tx, hierarchy, target)
        standing.standings(tx, hierarchy)  # providers are asked before the transaction
    told = ask(channel, peer)
    with database.transaction() as tx:
        return plan.make(tx, database, hierarchy, peer, option, actor, told)


def request(
    tx: Connection,
    hierarchy: Hierarchy,
    clone_id: str,
    actor: str,
    rows_per_second: int | None = None,
) -> str:
    """Ask for a planned clone to be run: its job, and the policies that let its keys travel once.

    Returns the job's id; that of the same clone's unfinished job when there is one.

    Raises:
        IllegalTransition: when the clone is committed.
        Tampered: when the plan's signature is not valid any more.
    """
    clone = plan.get(tx, hierarchy, clone_id)
    state = next_state(clone_id, State(clone["state"]), Action.RUN)
    content = _content(hierarchy, clone)
    before = _unended_job(tx, clone, actor)
    if before is not None:
        return before
    jobs.refuse_while_busy(tx, "The instance", JobKind.ENCRYPT, JobKind.REKEY, JobKind.CLONE)
    end_policies(tx, hierarchy, clone["peer_id"])
    if content["keys"] != KeyOption.WITHHELD:
        target = peers.by_id(tx, hierarchy, clone["peer_id"])
        for spec in keys.all_specifications(tx, hierarchy):
            access.allow_exchange(
                tx,
                hierarchy.integrity,
                module_id=spec["module_id"],
                spec_id=spec["sys_id"],
                target_instance=target.instance_id,
                target_fingerprint=target.identity.fingerprint,
                key_ids=keys.openable(tx, hierarchy, spec["sys_id"]),
                clone_id=clone_id,
            )
    job_id = jobs.create(tx, JobKind.CLONE, clone_id, {"rows_per_second": rows_per_second}, actor)
    hierarchy.integrity.update(tx, CLONES, clone, "the clone", state=state, job_id=job_id)
    log.record(tx, actor, "clone.run", clone_id)
    return job_id


def cancel(tx: Connection, hierarchy: Hierarchy, clone_id: str, actor: str) -> None:
    """Give up a clone whose job was cancelled: no key travels for it. It can be run again.

    Raises:
        IllegalTransition: when it is committed.
    """
    clone = plan.get(tx, hierarchy, clone_id)
    state = next_state(clone_id, State(clone["state"]), Action.CANCEL)
    hierarchy.integrity.update(tx, CLONES, clone, "the clone", state=state)
    end_policies(tx, hierarchy, clone["peer_id"])
    log.record(tx, actor, "clone.cancel", clone_id)


def cancel_job(tx: Connection, hierarchy: Hierarchy, job_id: str, actor: str) -> None:
    """End a job of any kind that is not done; with that of a clone, the clone is given up.

    Raises:
        IllegalTransition: when it is done or cancelled.
    """
    jobs.cancel(tx, job_id, actor)
    job = jobs.get(tx, job_id)
    if job["kind"] == JobKind.CLONE:
        cancel(tx, hierarchy, job["subject"], actor)


def end_policies(tx: Connection, hierarchy: Hierarchy, target_id: str) -> None:
    """End what clones into a target that were never committed would still let it receive."""
    condition = (
        (CLONES.c.peer_id == target_id)
        & (CLONES.c.side == Side.SOURCE)
        & (CLONES.c.state != State.COMMITTED)
    )
    begun = {row["sys_id"] for row in hierarchy.integrity.all(tx, CLONES, condition)}
    access.end_exchange_policies(tx, hierarchy.integrity, begun)


def ask(channel: PeerChannel, target: Peer) -> Told:
    """Ask the target whether it could receive a clone; what it says of its external keys.

    Raises:
        Conflict: when it is not empty.
    """
    return preflight.told(channel.send(target, PREFLIGHT, {}).get("external"))


class CloneJob:
    """Runs the copy of one clone."""

    def __init__(self, database: Database, hierarchy: Hierarchy, channel: PeerChannel) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._channel = channel

    def copy(self, lease: Lease) -> None:
        """Copy everything to the target's staging tables and let it commit.

        Raises:
            Tampered: when nobody asked for this job.
            Conflict: when the source changed since the plan, or the copy differs.
            Unavailable: when the target stays away.
        """
        with self._database.transaction() as tx:
            clone = plan.get(tx, self._hierarchy, jobs.get(tx, lease.job_id)["subject"])
            # jobs are not tagged, so it is the clone that says which one copies it
            if (clone["job_id"], clone["state"]) != (lease.job_id, State.RUNNING):
                raise Tampered("row.tampered", row=lease.job_id, table=jobs.JOBS.name)
            clone = self._hierarchy.integrity.update(
                tx, CLONES, clone, "the clone", attempt=clone["attempt"] + 1
            )
            target = peers.by_id(tx, self._hierarchy, clone["peer_id"])
            pace = Pace(jobs.get(tx, lease.job_id)["arguments"]["rows_per_second"])
            jobs.write(tx, lease, phase="preparing")
        again = clone["attempt"] > 1
        if not (again and self._is_committed(clone, target)):
            self._send(lease, clone, target, pace)
        self._finish(lease, clone)

    def _is_committed(self, clone: Fields, target: Peer) -> bool:
        """Whether the target put the copy in place: its answer may never have come here."""
        found = self._channel.send(target, STATE, {"clone_id": clone["sys_id"]})
        return found.get("state") == State.COMMITTED

    def _send(self, lease: Lease, clone: Fields, target: Peer, pace: Pace) -> None:
        content = _content(self._hierarchy, clone)
        with self._database.snapshot() as tx:
            taken = inventory.take(tx, self._database, self._hierarchy)
            _refuse_stale(content, taken)
            begun = self._channel.send(
                target, BEGIN, {**self._head(clone), "plan": clone["plan"], "inventory": taken}
            )
            if begun.get("state") != State.STAGING:
                raise Unavailable("peer.answer", peer=target.identity.name)
            option, told = KeyOption(content["keys"]), preflight.told(begun.get("external"))
            preflight.refuse_blocked(preflight.cases(tx, self._hierarchy, option, told))
            self._stream(tx, lease, clone, target, taken, pace)
            with self._database.transaction() as writing:
                jobs.write(writing, lease, phase="committing")
            self._channel.send(target, COMMIT, self._head(clone))

    def _stream(
        self,
        tx: Connection,
        lease: Lease,
        clone: Fields,
        target: Peer,
        taken: Inventory,
        pace: Pace,
    ) -> None:
        total = sum(counted["rows"] for counted in taken["counts"].values())
        done = sequence = 0
        for at, table in enumerate(inventory.tables_of(taken)):
            names = [c.name for c in table.columns]
            started = time.monotonic()
            for rows in census.pages(tx, self._database, table, names, pace.page_rows):
                width = len(table.primary_key)
                self._channel.send(
                    target,
                    ROWS,
                    {
                        **self._head(clone),
                        "sequence": sequence,
                        "table": at,
                        "rows": [row[width:] for row in rows],
                    },
                )
                sequence += 1
                done += len(rows)
                with self._database.transaction() as writing:
                    jobs.write(writing, lease, phase="copying", done=done, total=total)
                pace.keep(len(rows), started)
                started = time.monotonic()

    def _finish(self, lease: Lease, clone: Fields) -> None:
        with self._database.transaction() as tx:
            clone = plan.get(tx, self._hierarchy, clone["sys_id"])
            state = next_state(clone["sys_id"], State(clone["state"]), Action.COMMIT)
            self._hierarchy.integrity.update(
                tx, CLONES, clone, "the clone", state=state, committed_at=clock.now()
            )
            job = jobs.get(tx, lease.job_id)
            jobs.write(tx, lease, done=job["total"])
            jobs.finish(tx, lease)
            log.record(tx, job["actor"], "clone.commit", clone["sys_id"])

    def _head(self, clone: Fields) -> dict[str, Any]:
        return {"clone_id": clone["sys_id"], "attempt": clone["attempt"]}


def _content(hierarchy: Hierarchy, clone: Fields) -> plan.Plan:
    public = sign.public_of(hierarchy.signing)
    return plan.read(clone["plan"], public, hierarchy.instance_id, clone["peer_id"])


def _unended_job(tx: Connection, clone: Fields, actor: str) -> str | None:
    """The clone's job when it can go on; a failed one is resumed, a cancelled one has ended."""
    if clone["job_id"] is None:
        return None
    job = jobs.get(tx, str(clone["job_id"]))
    if job["state"] == JobState.CANCELLED:
        return None
    if job["state"] == JobState.FAILED:
        jobs.resume(tx, job["sys_id"], actor)
    return str(job["sys_id"])


def _refuse_stale(content: plan.Plan, taken: Inventory) -> None:
    if content["tables"] != taken["counts"]:
        raise Conflict("clone.stale", reason="its rows or values changed")
    if content["inventory_hash"] != plan.inventory_hash(taken):
        raise Conflict("clone.stale", reason="its tables, modules or policies changed")
