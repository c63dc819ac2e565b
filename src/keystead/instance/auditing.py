"""The audit log of a home: its heads are signed here, and compared when the home is opened."""

from __future__ import annotations

from sqlalchemy import inspect

from keystead.audit import heads, log
from keystead.audit.heads import Head, HeadFile, Signer
from keystead.base import clock
from keystead.base.errors import Tampered
from keystead.database.anchors import ANCHORS
from keystead.database.port import Database
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
    with database.transaction() as tx:
        return heads.make(tx, signer(hierarchy), HeadFile(home.heads_file))


def check(home: Home, database: Database, hierarchy: Hierarchy) -> None:
    """Refuse a database that is older than the newest head in the file, and a file cut short.

    The file is read before the database, because others may write both meanwhile.

    Raises:
        Tampered: naming what differs.
    """
    file = HeadFile(home.heads_file)
    last = heads.last_of(file, signer(hierarchy))
    with database.snapshot() as tx:
        if last:
            heads.compare(tx, hierarchy.integrity, last)
        number = heads.newest_number(tx)
    if number > (last.number if last else 0):
        last = heads.last_of(file, signer(hierarchy))
        if last is None or number > last.number:
            raise Tampered("audit.file", file=file.path, number=number)


def adopt(home: Home, database: Database, hierarchy: Hierarchy, actor: str) -> None:
    """Give a home that was made before there were anchors its anchors, its tree and its first head.

    Does nothing to a home that has them.

    Raises:
        Tampered: when a row is not as it was written, or the anchors were there once.
    """
    with database.snapshot() as tx:
        if inspect(tx).has_table(ANCHORS.name):
            return
    if home.heads_file.exists():
        raise Tampered("table.tampered", table=ANCHORS.name, reason="the table is gone")
    with database.transaction() as tx:
        database.create_own_tables(tx)
        entries = log.begin(tx)
        rows = hierarchy.integrity.adopt(tx)
        log.record(tx, actor, "audit.adopt", hierarchy.instance_id, entries=entries, rows=rows)
    sign(home, database, hierarchy)


def accept(home: Home, database: Database, hierarchy: Hierarchy, reason: str, actor: str) -> Head:
    """Take the database as it is, after somebody found out why it differs, and sign it anew.

    Rows must still carry valid tags. The file of heads is set aside, and a new one begun.

    Raises:
        Tampered: when a row is not as it was written.
    """
    with database.transaction() as tx:
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
        )
        if home.heads_file.exists():
            aside = home.heads_file.with_name(f"{home.heads_file.name}.{clock.now()}")
            home.heads_file.rename(aside)
    return sign(home, database, hierarchy)
