"""What needs a key is found wherever it stands, or the key is taken to be needed."""

from __future__ import annotations

import pytest

from keystead.base.errors import Conflict, NotFound
from keystead.fields import census
from keystead.keys import service as keys


@pytest.fixture
def old_key(rotated):
    return rotated.keys_of("standard")[0]["sys_id"]


def change(site, *statements):
    with site.transaction() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


def needed(site, key_id):
    with site.snapshot() as tx:
        return census.needs(site.database, site.hierarchy)(tx, key_id)


def refused(site, key_id):
    needs = census.needs(site.database, site.hierarchy)
    with site.transaction() as tx:
        row = keys.key(tx, site.hierarchy, key_id)
        with pytest.raises(Conflict) as caught:
            keys.destroy(tx, site.hierarchy, row, needs, "admin")
    assert caught.value.code == "key.needed"


def test_a_renamed_column(rotated, old_key):
    before = needed(rotated, old_key)
    change(rotated, "ALTER TABLE people RENAME COLUMN salary TO pay")
    after = needed(rotated, old_key)

    assert after["people.pay"] == before["people.salary"] > 1
    assert after["people.salary, which is not there"] == 1
    refused(rotated, old_key)
    with pytest.raises(NotFound) as caught, rotated.snapshot() as tx:
        census.count(tx, rotated.database, rotated.hierarchy)
    assert caught.value.code == "column.missing"


def test_a_renamed_table_with_another_in_its_place(rotated, old_key):
    before = needed(rotated, old_key)
    change(
        rotated,
        "ALTER TABLE people RENAME TO people_2025",
        "CREATE TABLE people AS SELECT * FROM people_2025 WHERE 0",
    )
    after = needed(rotated, old_key)
    assert after == {where.replace("people.", "people_2025."): n for where, n in before.items()}
    refused(rotated, old_key)


def test_a_copy_of_a_table(rotated, old_key):
    change(rotated, "CREATE TABLE copy AS SELECT id, salary AS other FROM people")
    found = needed(rotated, old_key)
    assert found["copy.other"] == found["people.salary"]


def test_a_dropped_table(rotated, old_key):
    change(rotated, "DROP TABLE people")
    assert needed(rotated, old_key)["people.salary, which is not there"] == 1
    refused(rotated, old_key)


def test_clear_text_in_a_sealed_column(sealed):
    active = sealed.keys_of("standard")[0]["sys_id"]
    sealed.rotate()
    sealed.rekey()
    assert needed(sealed, active) == {}
    change(sealed, "UPDATE people SET salary = 'clear' WHERE id = 'p01'")
    assert needed(sealed, active) == {"people.salary": 1}
    refused(sealed, active)


def test_tables_are_read_once_in_a_transaction(rotated, old_key, monkeypatch):
    counted = []
    count = rotated.database.count_by_prefix

    def noted(tx, table, column, *rest):
        counted.append((table, column))
        return count(tx, table, column, *rest)

    monkeypatch.setattr(rotated.database, "count_by_prefix", noted)
    needs = census.needs(rotated.database, rotated.hierarchy)
    with rotated.snapshot() as tx:
        first = needs(tx, old_key)
        assert needs(tx, old_key) == first
        assert needs(tx, "of no key") == {}
    assert len(counted) == len(set(counted))
    assert sum(table == "people" for table, _ in counted) == 7
    change(rotated, "DELETE FROM people")
    with rotated.snapshot() as tx:
        assert needs(tx, old_key) == {}
