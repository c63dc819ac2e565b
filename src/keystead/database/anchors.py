"""Which rows a tagged table has, so that one put back, hidden or removed is noticed.

A row's own tag says that Keystead wrote it, not that it is still the newest, nor that it is there.
So each tagged table has one *anchor*: a tagged row with the number of its rows and a digest over
all their tags, changed in the transaction that changes a row. A table is read only when its rows
are those of its anchor. The anchor's revision is also in every signed head, which is kept outside
the database (`audit.heads`), so that rows and anchor cannot be put back together.

Beside it stands, for each row, the revision that was written last; it decides nothing, and names
the row that differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Connection, String, Table, select

from keystead.crypto.sha256 import sha256
from keystead.database.schema import METADATA, NUMBER, OnClone, number, short, tagged_table, text

ANCHORS = tagged_table(
    "keystead_anchor",
    OnClone.KEEP,
    short("table_name", unique=True),
    number("row_count"),
    text("digest"),
)

REVISIONS = Table(
    "keystead_anchored_row",
    METADATA,
    SqlColumn("table_name", String(64), primary_key=True),
    SqlColumn("sys_id", String(32), primary_key=True),
    SqlColumn("revision", NUMBER, nullable=False),
    info={"on_clone": OnClone.KEEP},
)


class Anchor(NamedTuple):
    """The state of one table: its anchor's revision, and the digest over its rows' tags."""

    revision: int
    digest: str


def tagged_tables() -> list[Table]:
    """Every table whose rows are tagged, in order of name; the anchors themselves are not one."""
    found = [t for t in METADATA.tables.values() if "tag" in t.columns and t is not ANCHORS]
    return sorted(found, key=lambda table: table.name)


def digest(tags: Iterable[str]) -> str:
    """The digest over the tags of a table's rows, in whatever order they come."""
    return sha256("\n".join(sorted(tags)).encode()).hex()


def differences(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which rows are not as they were written last, each in a few words."""
    wanted = select(REVISIONS.c.sys_id, REVISIONS.c.revision).where(
        REVISIONS.c.table_name == table.name
    )
    written = {str(row.sys_id): str(row.revision) for row in tx.execute(wanted)}
    found = {str(row["sys_id"]): str(row["revision"]) for row in rows}
    counted = Counter(str(row["sys_id"]) for row in rows)
    named = [f"row {i} is missing" for i in sorted(written.keys() - found.keys())]
    named += [f"row {i} was never written" for i in sorted(found.keys() - written.keys())]
    named += [f"row {i} is there {n} times" for i, n in sorted(counted.items()) if n > 1]
    named += [
        f"row {i} has revision {found[i]}, not {written[i]}"
        for i in sorted(written.keys() & found.keys())
        if found[i] != written[i]
    ]
    return named
