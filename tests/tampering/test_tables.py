"""Whatever somebody writes into a table of ours by direct SQL: what uses it is refused.

He can write the database, and has no key. The cases come from the tables themselves: a new table
is tried as soon as it is declared, and fails here until something that uses it is named.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Column, Integer, Table
from tests.tampering.world import USES, World
from tests.unit.exchange.pairs import Refused

from keystead.audit.tables import AUDIT, HEADS, NODES
from keystead.base.errors import Tampered
from keystead.database.anchors import ANCHORS, REVISIONS, tagged_tables
from keystead.database.schema import METADATA
from keystead.instance import auditing

TABLES = tagged_tables()
COLUMNS = [(table, column) for table in TABLES for column in table.columns]
UNTAGGED = {
    REVISIONS.name: "names the row that differs; decides nothing (test_audit_and_anchors)",
    AUDIT.name: "leaves of a Merkle tree under signed heads (test_audit_and_anchors)",
    NODES.name: "the hashes of that tree (test_audit_and_anchors)",
    HEADS.name: "signed, and kept in a file as well (test_audit_and_anchors)",
    "keystead_instance_key": "bound to instance and purpose by its wrapping (test_untagged)",
    "keystead_process": "says who is there; nobody's word for what may be read or signed",
    "sys_attachment": "facts are sealed and bound to their row (unit/records/test_attached)",
    "sys_attachment_doc": "a stream that is bound to its attachment (the same tests)",
    "keystead_schedule_run": "when registered operations ran; each can be run again at any time",
    "keystead_job": "asks for work; what the work may do stands in tagged rows (test_untagged)",
    "keystead_census": "figures for people to read; nothing is decided by them",
    "keystead_module_key_rejection": "for people to read; decides nothing (test_untagged)",
    "keystead_seen_message": "a message received again does nothing again (test_untagged)",
}
ONE_ROW = {"keystead_destroy_quorum"}
GROWS = {AUDIT.name, NODES.name, "keystead_seen_message"}


def others(column: Column[Any], value: Any) -> list[Any]:
    """What else might stand in a column: other values, near ones, and ones of another type."""
    nothing = [None] if column.nullable else []
    if isinstance(column.type, Integer):
        near = value + 1 if isinstance(value, int) else 0
        return [*nothing, near, "x"]
    return [*nothing, "", f"{value}x", str(value).encode()]


def refused(world: World, table: Table, row: object = None) -> str:
    """What uses the table is refused and names it, and the row if that is known; what was said."""
    with pytest.raises(Tampered) as error:
        USES[table.name](world)
    assert error.value.facts["table"] == table.name
    if error.value.code == "row.tampered" and row is not None:
        assert error.value.facts["row"] == row
    return error.value.what


def told(world: World, table: Table) -> None:
    """Verifying names the table, and nothing is signed any more."""
    verified = auditing.verify(
        world.home, world.database, world.hierarchy, lambda _phase, _done, _of: None
    )
    assert table.name in {finding.where for finding in verified.findings}
    with pytest.raises(Tampered):
        auditing.sign(world.home, world.database, world.hierarchy)


def contents(world: World) -> dict[str, list[Any]]:
    tables = [t for name, t in METADATA.tables.items() if name not in GROWS]
    held: dict[str, list[Any]] = {table.name: world.rows(table) for table in tables}
    return {**held, "people": world.node.rows("people")}


def test_every_table_is_tagged_or_has_a_reason() -> None:
    tagged = {table.name for table in TABLES} | {ANCHORS.name}
    assert set(METADATA.tables) - tagged == set(UNTAGGED)
    assert set(USES) == {table.name for table in TABLES}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_untouched_it_is_used(world: World, table: Table) -> None:
    assert (len(world.rows(table)) >= 2) == (table.name not in ONE_ROW)
    USES[table.name](world)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[str(column) for _, column in COLUMNS])
def test_a_column_changed(world: World, table: Table, column: Column[Any]) -> None:
    world.loosen(table)
    rows = world.rows(table)
    row, other = rows[0], rows[-1]
    before = contents(world)
    changes = 0
    for value in (*others(column, row[column.name]), other[column.name]):
        with suppress(Refused):
            world.set(table, row, **{column.name: value})
        found = [r for r in world.rows(table) if r not in rows]
        if found:  # the database may have made of it what was there
            changes += 1
            refused(world, table, found[0]["sys_id"])
            if value == other[column.name]:
                told(world, table)
            world.set(table, found[0], **row)
    assert changes
    assert contents(world) == before


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_older_row_put_back(world: World, table: Table) -> None:
    for row in world.rows(table):
        with world.database.transaction() as tx:
            newer = world.integrity.update(tx, table, row, "the row")
        world.set(table, newer, **row)
        assert f"row {row['sys_id']} has revision" in refused(world, table)
        world.set(table, row, **newer)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_deleted_and_all_of_them(world: World, table: Table) -> None:
    for row in world.rows(table):
        world.sql(f'DELETE FROM "{table.name}" WHERE sys_id = ?', row["sys_id"])
        assert f"row {row['sys_id']} is missing" in refused(world, table)
        world.put(table, row)
    world.sql(f'DELETE FROM "{table.name}"')
    assert "is missing" in refused(world, table)
    world.sql(f'DELETE FROM "{REVISIONS.name}"')
    refused(world, table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_doubled(world: World, table: Table) -> None:
    """Under another id, and as it is, where the table was made to take it."""
    world.loosen(table)
    for row in world.rows(table):
        copy = {**row, "sys_id": "f" * 32}
        world.put(table, copy)
        refused(world, table, "f" * 32)
        world.sql(f'DELETE FROM "{table.name}" WHERE sys_id = ?', "f" * 32)
        world.put(table, row)
        assert f"row {row['sys_id']} is there 2 times" in refused(world, table)
        world.node.past.remove_one(table.name, "sys_id", row["sys_id"])


@pytest.mark.parametrize(
    "table", [t for t in TABLES if t.name not in ONE_ROW], ids=lambda table: table.name
)
def test_two_rows_in_each_others_place(world: World, table: Table) -> None:
    world.loosen(table)
    one, two, *_ = world.rows(table)
    world.set(table, one, **{**two, "sys_id": "neither"})
    world.set(table, two, **{**one, "sys_id": two["sys_id"]})
    world.set(table, {**two, "sys_id": "neither"}, sys_id=one["sys_id"])
    assert world.rows(table) != [one, two]
    refused(world, table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_that_another_instance_tagged(world: World, table: Table) -> None:
    """Its tag is right, by another key and for another instance."""
    theirs = world.net.third
    with theirs.db.transaction() as tx:
        row = world.rows(table)[0]
        fields = {n: v for n, v in row.items() if n not in ("revision", "tag")}
        for old in theirs.hierarchy.integrity.all(tx, table):
            theirs.hierarchy.integrity.delete(tx, table, old, "the row")
        theirs.hierarchy.integrity.insert(tx, table, **fields)
        ((tag),) = [r["tag"] for r in theirs.hierarchy.integrity.all(tx, table)]
    world.set(table, row, revision=1, tag=tag)
    refused(world, table, row["sys_id"])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_table_gone_or_without_a_column(world: World, table: Table) -> None:
    world.loosen(table)
    last = [c.name for c in table.columns if c.name not in ("sys_id", "revision", "tag")][-1]
    world.sql(f'ALTER TABLE "{table.name}" DROP COLUMN "{last}"')
    for _ in range(2):
        with pytest.raises(Tampered) as error:
            USES[table.name](world)
        assert error.value.facts["table"] == table.name
        world.sql(f'DROP TABLE IF EXISTS "{table.name}"')


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_bytes_that_are_no_text(world: World, table: Table) -> None:
    name = next(c.name for c in table.columns if not isinstance(c.type, Integer))
    world.loosen(table)
    world.node.past.spoil(table.name, name)
    with pytest.raises(Tampered) as error:
        USES[table.name](world)
    assert error.value.facts["table"] == table.name
