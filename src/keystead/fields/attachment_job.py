"""Attachments in a mass job: plain ones are encrypted, encrypted ones have their key rewrapped.

Encrypting writes new content beside the old, opens it again, and exchanges the two in one
transaction; the old content is taken away afterwards. Rekeying wraps the attachment's own key by
the pinned module key, opens it again, and leaves the content as it is (ADR 0016). Each attachment
is done or not done, so a killed job goes on with those that are left.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from keystead.attachments import service as attachments
from keystead.attachments.incoming import Incoming
from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.fields import service
from keystead.fields.model import Configuration
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Job, Lease
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import Meter, Use

_AT_ONCE: Final = 100
_PHASES: Final = {
    JobKind.ENCRYPT: "encrypting attachments",
    JobKind.REKEY: "rekeying attachments",
}


class AttachmentMoves:
    """Moves the attachments of one job's table."""

    def __init__(self, database: Database, hierarchy: Hierarchy, meter: Meter) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._meter = meter

    def move(self, lease: Lease) -> None:
        """Move all that are left, if the job was made for them.

        Raises:
            Tampered, NotFound: when one cannot be opened.
            Conflict: when the job was taken over or cancelled, or a key is used up.
        """
        with self._database.snapshot() as tx:
            job = jobs.get(tx, lease.job_id)
            if pinned(tx, self._hierarchy, job) is None:
                return
        after: str | None = ""
        while after is not None:
            if job["kind"] == JobKind.ENCRYPT:
                after = self._encrypt_next(lease, job["subject"], after)
            else:
                after = self._rewrap_next(lease, job["subject"], after)

    def _encrypt_next(self, lease: Lease, table: str, after: str) -> str | None:
        with self._database.transaction() as tx:
            row = attachments.next_plain(tx, table, after)
            if row is None:
                return None
            _note(tx, lease, 0)
            copy = attachments.begin_again(tx, row)
        try:
            self._encrypt(lease, row, copy)
        except (Conflict, Tampered):
            if self._stands(row):
                raise
            # it was removed meanwhile, or is of a record with another key now: look again
            return after
        return str(row["sys_id"])

    def _encrypt(self, lease: Lease, row: Fields, copy: Fields) -> None:
        key = wrap.new_key()

        def keep(tx: Connection) -> None:
            attachments.touch(tx, copy)
            _note(tx, lease, 0)

        facts = attachments.facts_of(row, None)
        incoming = Incoming(self._database, copy, row["sys_id"], key, keep)
        for chunk in attachments.chunks(attachments.source(self._database, row, None)):
            incoming.write(chunk)
        if (incoming.finish(), incoming.size) != (facts.sha256, row["size_bytes"]):
            raise attachments.tampered(row)
        with Use(self._meter) as use, self._database.transaction() as tx:
            key_row = self._key(tx, lease)
            use.take(tx, key_row["sys_id"], 1)
            fields = attachments.wrapped_by(tx, self._hierarchy, key_row, key, row["sys_id"])
            sealed = attachments.sealed_facts(row, key, facts)
            if attachments.facts_of({**row, "facts": sealed}, key) != facts:
                raise attachments.tampered(row)
            attachments.replace(tx, row, copy, **fields, facts=sealed)
            _note(tx, lease, 1)

    def _stands(self, row: Fields) -> bool:
        """Whether an attachment is still as it was read."""
        with self._database.snapshot() as tx:
            try:
                return attachments.get(tx, row["sys_id"]) == row
            except NotFound:
                return False

    def _rewrap_next(self, lease: Lease, table: str, after: str) -> str | None:
        with Use(self._meter) as use, self._database.transaction() as tx:
            key_row = self._key(tx, lease)
            key_id = str(key_row["sys_id"])
            rows = attachments.next_under_another(tx, table, after, key_id, _AT_ONCE)
            if not rows:
                return None
            use.take(tx, key_id, len(rows))
            for row in rows:
                attachments.rewrap(tx, self._hierarchy, row, key_row)
            _note(tx, lease, len(rows))
        return str(rows[-1]["sys_id"])

    def _key(self, tx: Connection, lease: Lease) -> Fields:
        """The module key that the job is pinned to."""
        job = jobs.get(tx, lease.job_id)
        found = pinned(tx, self._hierarchy, job)
        if found is None:
            raise Tampered("row.tampered", row=job["sys_id"], table="keystead_job")
        configuration, key_id = found
        active = keys.active_key(tx, self._hierarchy, configuration.spec_id)
        if active["sys_id"] != key_id:
            raise Tampered("row.tampered", row=job["sys_id"], table="keystead_job")
        return active


def pinned(tx: Connection, hierarchy: Hierarchy, job: Job) -> tuple[Configuration, str] | None:
    """The configuration of attachments that a job works on, and the id of the key it moves to."""
    for configuration in service.attachments(tx, hierarchy, job["subject"]):
        if configuration.sys_id in job["arguments"]["keys"]:
            return configuration, str(job["arguments"]["keys"][configuration.sys_id])
    return None


def _note(tx: Connection, lease: Lease, moved: int) -> None:
    job = jobs.get(tx, lease.job_id)
    counts = {**job["counts"], "attachments": job["counts"].get("attachments", 0) + moved}
    jobs.write(tx, lease, phase=_PHASES[JobKind(job["kind"])], counts=counts)
