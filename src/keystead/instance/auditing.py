"""The audit log of a home: its heads are signed here, and compared when the home is opened."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from keystead.audit import export, heads, log, merkle, verification
from keystead.audit.heads import Head, HeadFile, Signer
from keystead.audit.verification import OnProgress, Verified
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, NotFound, Tampered, Unavailable
from keystead.database.anchors import ANCHORS
from keystead.database.port import Database
from keystead.database.schema import METADATA
from keystead.exchange.identity import Identity, from_json, same_fingerprint
from keystead.instance.home import Home
from keystead.keys.hierarchy import Hierarchy


def signer(hierarchy: Hierarchy) -> Signer:
    """What an instance's heads are made with."""
    return Signer(hierarchy.instance_id, hierarchy.signing, hierarchy.integrity)


def sign(home: Home, database: Database, hierarchy: Hierarchy) -> Head:
    """Sign a head if anything changed since the newest; the newest.

    Raises:
        Tampered: when something is not as it was written; then nothing is signed.
    """
    file, own = HeadFile(home.heads_file), signer(hierarchy)
    if not database.is_shared:
        with database.transaction() as tx:
            return heads.make(tx, own, file)
    with database.transaction() as tx, file.locked():
        heads.follow(tx, own, file)
        head = heads.make(tx, own, file, file_follows=True)
    follow(home, database, hierarchy)
    return head


def follow(home: Home, database: Database, hierarchy: Hierarchy) -> None:
    """Take over what other homes of the database have signed.

    Raises:
        Tampered: when that does not continue this home's heads, or one of them is gone.
    """
    file = HeadFile(home.heads_file)
    if database.is_shared:
        with file.locked(), database.snapshot() as tx:
            heads.follow(tx, signer(hierarchy), file)


def sign_changes(home: Home, database: Database, hierarchy: Hierarchy) -> None:
    """Sign a head if the log grew.

    The changes are committed: a full disk or a busy database leaves the head to the next time.

    Raises:
        Tampered: as `sign`.
    """
    with suppress(Unavailable, OSError):
        with database.snapshot() as tx:
            grown = log.size(tx) != heads.newest_size(tx)
        if grown:
            sign(home, database, hierarchy)


def check(home: Home, database: Database, hierarchy: Hierarchy) -> None:
    """Refuse a database that is older than the newest head in the file, and a file cut short.

    The file is read before the database, because others may write both meanwhile.

    Raises:
        Tampered: naming what differs.
    """
    file = HeadFile(home.heads_file)
    if database.is_shared:
        with file.locked(), database.snapshot() as tx:
            _refuse_without_anchors(tx)
            last = heads.follow(tx, signer(hierarchy), file)
            if last:
                heads.compare(tx, hierarchy.integrity, last)
        return
    last = heads.last_of(file, signer(hierarchy))
    with database.snapshot() as tx:
        _refuse_without_anchors(tx)
        if last:
            heads.compare(tx, hierarchy.integrity, last)
        number = heads.newest_number(tx)
    # a head is put into the file first, so one may be there that was not committed
    if last and number < last.number - 1:
        raise Tampered("audit.other", file=file.path, number=last.number)
    if number > (last.number if last else 0):
        last = heads.last_of(file, signer(hierarchy))
        if last is None or number > last.number:
            raise Tampered("audit.file", file=file.path, number=number)


def adopt(tx: Connection, hierarchy: Hierarchy, actor: str) -> None:
    """Give tables that came with a new version their anchors, and the log its tree if it has none.

    Raises:
        Tampered: when a row is not as it was written.
    """
    entries = log.begin(tx) if log.size(tx) == 0 else 0
    rows = hierarchy.integrity.adopt(tx, only_new=True)
    log.record(tx, actor, "audit.adopt", hierarchy.instance_id, entries=entries, rows=rows)


def accept(home: Home, database: Database, hierarchy: Hierarchy, reason: str, actor: str) -> Head:
    """Take the database as it is, after somebody found out why it differs, and sign it anew.

    Rows must still carry valid tags. The file of heads is set aside, and a new one begun.

    Raises:
        Tampered: when a row is not as it was written.
    """
    last = None
    with suppress(Tampered):
        last = heads.last_of(HeadFile(home.heads_file), signer(hierarchy))
    with database.transaction() as tx:
        METADATA.create_all(tx)
        rows = hierarchy.integrity.adopt(tx)
        entries = log.rebuild(tx)
        removed = heads.forget(tx)
        log.record(
            tx,
            actor,
            "audit.accept",
            hierarchy.instance_id,
            reason=reason,
            rows=rows,
            entries=entries,
            heads=removed,
            last_head=last.digest if last else None,
        )
        if home.heads_file.exists():
            aside = home.heads_file.with_name(f"{home.heads_file.name}.{clock.now()}")
            home.heads_file.rename(aside)
    return sign(home, database, hierarchy)


def verify(
    home: Home, database: Database, hierarchy: Hierarchy, on_progress: OnProgress
) -> Verified:
    """Check the whole log, its heads and the tagged tables of a home."""
    with suppress(Tampered):  # it is found and told below
        follow(home, database, hierarchy)
    with database.snapshot() as tx:
        _refuse_without_anchors(tx)
        return verification.verify(tx, signer(hierarchy), HeadFile(home.heads_file), on_progress)


def check_now(
    home: Home, database: Database, hierarchy: Hierarchy, actor: str, on_progress: OnProgress
) -> Verified:
    """The same, and the log says that it was done, and how much was found.

    A log that is so changed that nothing can be added to it stays as it is.
    """
    verified = verify(home, database, hierarchy, on_progress)
    with suppress(Tampered), database.transaction() as tx:
        found = len(verified.findings)
        log.record(tx, actor, "audit.verify", hierarchy.instance_id, findings=found)
    return verified


def newest(home: Home, hierarchy: Hierarchy) -> Head:
    """The newest signed head of a home.

    Raises:
        NotFound: when none was signed yet.
        Tampered: when the newest is not one that this instance signed.
    """
    head = heads.last_of(HeadFile(home.heads_file), signer(hierarchy))
    if head is None:
        raise NotFound("audit.unsigned", sequence=1)
    return head


def prove(
    home: Home, database: Database, hierarchy: Hierarchy, sequence: int
) -> tuple[Head, dict[str, Any]]:
    """The newest head, and the proof that an entry is under it (RFC 9162, section 2.1.3).

    Raises:
        NotFound: for an entry that is not there, or that no head covers yet.
        Tampered: when the entry, the log or the head is not as it was written.
    """
    head = newest(home, hierarchy)
    with database.snapshot() as tx:
        entry = log.entry(tx, sequence)
        if sequence > head.size:
            raise NotFound("audit.unsigned", sequence=sequence)
        path = merkle.inclusion_proof(log.nodes(tx), sequence - 1, head.size)
    root = bytes.fromhex(head.root)
    merkle.verify_inclusion(sequence - 1, head.size, entry.leaf(), path, root)
    proof = {
        "entry": entry.as_json(),
        "leaf": entry.leaf().hex(),
        "path": [step.hex() for step in path],
        "size": head.size,
        "root": head.root,
        "head": json.loads(head.line),
    }
    return head, proof


def write_export(
    home: Home,
    database: Database,
    hierarchy: Hierarchy,
    identity: Identity,
    to: Path,
    on_progress: OnProgress,
) -> Head:
    """Sign what is there and write the log with its heads into a new file; the newest head.

    Raises:
        Conflict: when the file exists.
        Tampered: when something is not as it was written; then there is no file.
    """
    try:
        with to.open("xb") as out:
            head = sign(home, database, hierarchy)
            file, document = HeadFile(home.heads_file), identity.as_json()
            with database.snapshot() as tx:
                out.writelines(
                    line + b"\n"
                    for line in export.lines(
                        tx, signer(hierarchy), file, head, document, on_progress
                    )
                )
    except FileExistsError:
        raise Conflict("export.exists", file=to) from None
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    return head


def verify_export(file: Path, fingerprint: str, on_progress: OnProgress) -> Verified:
    """Check an exported log by the fingerprint of the instance that made it, without its home.

    Raises:
        Invalid: when the file is no export.
        Denied: when it is from an instance with another fingerprint.
    """

    def public_of(document: object) -> tuple[bytes, str]:
        identity = from_json(document)
        if not same_fingerprint(identity.fingerprint, fingerprint):
            raise Denied("audit.fingerprint", file=file, shown=identity.fingerprint)
        return identity.signing, identity.instance_id

    with file.open("rb") as found:
        return export.verify(found, public_of, on_progress)


def _refuse_without_anchors(tx: Connection) -> None:
    if not inspect(tx).has_table(ANCHORS.name):
        raise Tampered("table.tampered", table=ANCHORS.name, reason="the table is gone")
