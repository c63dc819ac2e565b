"""Rows put back, hidden, added or removed behind Keystead's back are named and refused."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.access.tables import POLICIES, USER_ROLES, USERS
from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.database.anchors import ANCHORS, REVISIONS, tagged_tables
from keystead.fields.tables import CONFIGURATIONS
from keystead.instance import auditing
from keystead.keys.tables import KEYS, MODULES, SPECIFICATIONS

FILLED = [MODULES, SPECIFICATIONS, KEYS, POLICIES, USERS, USER_ROLES, CONFIGURATIONS]
CASES = [(t, c) for t in FILLED for c in t.c.keys()]  # noqa: SIM118 - a collection of columns iterates over columns
NAMES = [f"{table.name}.{column}" for table, column in CASES]


def refused(site: Any, table: Any) -> str:
    """Reading the table is refused, by whatever condition; what was said."""
    with pytest.raises(Tampered) as error, site.snapshot() as tx:
        site.integrity.all(tx, table)
    with pytest.raises(Tampered), site.snapshot() as tx:
        site.integrity.one(tx, table, NotFound("key.missing", key="x"), table.c.sys_id == "none")
    with pytest.raises(Tampered), site.transaction() as tx:
        site.integrity.insert(tx, table)
    assert error.value.facts["table"] == table.name
    return str(error.value)


def one_of(site: Any, table: Any) -> dict[str, Any]:
    with site.snapshot() as tx:
        return site.integrity.all(tx, table)[0]


def put(site: Any, table: Any, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    site.sql(f"INSERT OR REPLACE INTO {table.name} VALUES ({marks})", *row.values())


@pytest.mark.parametrize(("table", "column"), CASES, ids=NAMES)
def test_any_column_changed(mixed, table, column):
    row = one_of(mixed, table)
    other = row[column] + 1 if isinstance(row[column], int) else f"{row[column] or ''}x"
    mixed.sql(f"UPDATE {table.name} SET {column} = ? WHERE sys_id = ?", other, row["sys_id"])
    refused(mixed, table)


@pytest.mark.parametrize("table", FILLED, ids=lambda table: table.name)
def test_a_row_deleted(mixed, table):
    row = one_of(mixed, table)
    mixed.sql(f"DELETE FROM {table.name} WHERE sys_id = ?", row["sys_id"])
    assert f"row {row['sys_id']} is missing" in refused(mixed, table)


@pytest.mark.parametrize("table", FILLED, ids=lambda table: table.name)
def test_an_old_valid_row_put_back(mixed, table):
    old = one_of(mixed, table)
    with mixed.transaction() as tx:
        mixed.integrity.update(tx, table, old, "the row")
    mixed.sql(f"DELETE FROM {table.name} WHERE sys_id = ?", old["sys_id"])
    put(mixed, table, old)
    named = f"row {old['sys_id']} has revision {old['revision']}, not {old['revision'] + 1}"
    assert named in refused(mixed, table)


def test_a_row_that_was_removed_put_back(mixed):
    old = one_of(mixed, POLICIES)
    with mixed.transaction() as tx:
        mixed.integrity.delete(tx, POLICIES, old, "the policy")
    assert old not in mixed.sql(f"SELECT * FROM {POLICIES.name}")
    put(mixed, POLICIES, old)
    assert f"row {old['sys_id']} was never written" in refused(mixed, POLICIES)


def test_what_names_the_row_may_be_changed_too_and_the_table_is_refused_still(mixed):
    row = one_of(mixed, POLICIES)
    for name in (POLICIES.name, REVISIONS.name):
        mixed.sql(f"DELETE FROM {name} WHERE sys_id = ?", row["sys_id"])
    assert "which one is not known" in refused(mixed, POLICIES)


@pytest.mark.parametrize("column", ANCHORS.columns.keys())
def test_any_column_of_an_anchor_changed(mixed, column):
    mixed.sql(
        f"UPDATE {ANCHORS.name} SET {column} = {column} || '1' WHERE table_name = ?", KEYS.name
    )
    with pytest.raises(Tampered), mixed.snapshot() as tx:
        mixed.integrity.all(tx, KEYS)


def test_an_anchor_deleted_or_that_of_another_table(mixed):
    mixed.sql(f"DELETE FROM {ANCHORS.name} WHERE table_name = ?", USERS.name)
    assert "anchor is missing" in refused(mixed, USERS)
    mixed.sql(
        f"UPDATE {ANCHORS.name} SET table_name = ? WHERE table_name = ?", USERS.name, KEYS.name
    )
    with pytest.raises(Tampered), mixed.snapshot() as tx:
        mixed.integrity.all(tx, USERS)


def test_table_and_anchor_put_back_together_are_noticed_by_the_head(mixed):
    tables = (POLICIES.name, ANCHORS.name, REVISIONS.name)
    before = {name: mixed.sql(f"SELECT * FROM {name}") for name in tables}
    old = one_of(mixed, POLICIES)
    with mixed.transaction() as tx:
        mixed.integrity.update(tx, POLICIES, old, "the policy", active=0)
    mixed_home = (mixed.instance.home, mixed.database, mixed.hierarchy)
    auditing.sign(*mixed_home)
    for name, rows in before.items():
        mixed.sql(f"DELETE FROM {name}")
        for row in rows:
            mixed.sql(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", *row)
    for refusing in (auditing.check, auditing.sign):
        with pytest.raises(Tampered) as error:
            refusing(*mixed_home)
        assert error.value.code == "audit.behind"
        assert f"{POLICIES.name} was put back" in str(error.value)


def test_what_is_taken_back_leaves_the_table_as_it_was(mixed):
    row = one_of(mixed, USERS)
    with mixed.transaction() as tx:
        mixed.integrity.insert(tx, USERS, user_name="late")
        mixed.integrity.update(tx, USERS, row, "the user")
        tx.rollback()
    assert one_of(mixed, USERS) == row
    with pytest.raises(Conflict), mixed.transaction() as tx:
        mixed.integrity.update(tx, USERS, {**row, "revision": 7}, "the user")
    with pytest.raises(Conflict), mixed.transaction() as tx:
        mixed.integrity.delete(tx, USERS, {**row, "revision": 7}, "the user")
    assert one_of(mixed, USERS) == row


def test_many_changes_in_one_transaction_are_one_state(mixed):
    with mixed.transaction() as tx:
        made = [mixed.integrity.insert(tx, USERS, user_name=f"u{n}") for n in range(5)]
        for sys_id in made[:3]:
            row = mixed.integrity.all(tx, USERS, USERS.c.sys_id == sys_id)[0]
            changed = mixed.integrity.update(tx, USERS, row, "it", user_name=f"{sys_id} again")
            mixed.integrity.delete(tx, USERS, changed, "it")
    with mixed.snapshot() as tx:
        held = {row["sys_id"] for row in mixed.integrity.all(tx, USERS)}
        for table in tagged_tables():
            mixed.integrity.check(tx, table)
    assert held & set(made) == set(made[3:])
