"""What lists show: declared fields only, references that resolve, and nothing secret."""

from __future__ import annotations

import itertools
import json

import pytest

from keystead.access.authority import READERS, Actor
from keystead.access.roles import CATALOGUE, SECURITY
from keystead.audit import log
from keystead.base.errors import Denied, NotFound
from keystead.dictionary import guard
from keystead.dictionary.model import Kind
from keystead.dictionary.registry import TABLES
from keystead.instance import auditing

# columns of Keystead's own tables of which nothing may be shown
SECRET = ("material", "private", "bundle", "receipt", "document", "plan", "envelope", "digest",
          "tag", "password", "wrapped", "credentials", "key_ids", "inventory", "arguments",
          "cursor")  # fmt: skip
CLEAR = ("Anna Secret", "Bo Secret", "Hidden City", "+49 30 1")
SHORTEST = 12


@pytest.fixture
def shown(full):
    full.run("key.suspend", full.key("names"))
    node = full.node
    auditing.sign(node.instance.home, node.db, node.hierarchy)
    return {name: full.rows(name) for name in TABLES}


def secrets(node) -> set[str]:
    """What stands in columns that are never shown, and in encrypted columns."""
    found = set()
    for table in node.tables():
        columns = [row[1] for row in node.sql(f'PRAGMA table_info("{table}")')]
        for column in columns:
            if column in SECRET:
                values = node.sql(f'SELECT "{column}" FROM "{table}"')
                found |= {str(value) for (value,) in values if len(str(value)) >= SHORTEST}
    stored = itertools.chain(*node.sql("SELECT name, phone FROM customers"))
    return found | {value for value in stored if value}


def test_every_table_has_rows_of_its_declared_fields_and_no_others(full, shown):
    for name, table in TABLES.items():
        expected = {"sys_id", *(field.name for field in table.fields)}
        assert shown[name], name
        for row in shown[name]:
            assert set(row) == expected, name
            assert all(v is None or isinstance(v, str | int | bool) for v in row.values()), name
        ids = [row["sys_id"] for row in shown[name]]
        assert len(set(ids)) == len(ids)
        assert all(isinstance(sys_id, str) and sys_id for sys_id in ids)
        for row in (shown[name][0], shown[name][-1]):
            assert guard.row(full.context(), table, row["sys_id"]) == row


def test_values_are_of_the_kind_of_their_field(shown):
    for name, table in TABLES.items():
        for field, row in itertools.product(table.fields, shown[name]):
            value = row[field.name]
            if value is None:
                continue
            if field.kind is Kind.NUMBER:
                assert type(value) is int, (name, field.name)
            elif field.kind is Kind.YES_NO:
                assert type(value) is bool, (name, field.name)
            else:
                assert isinstance(value, str), (name, field.name)
            assert not field.choices or value in field.choices, (name, field.name, value)
            if field.kind is Kind.MOMENT:
                assert value.endswith("Z"), (name, field.name)


def test_each_reference_resolves(shown):
    resolved = 0
    for name, table in TABLES.items():
        for field in table.fields:
            if field.kind is Kind.REFERENCE:
                known = {row["sys_id"] for row in shown[field.reference]}
                pointed = {row[field.name] for row in shown[name]} - {None}
                assert pointed <= known, (name, field.name)
                resolved += bool(pointed)
    assert resolved > 15


def test_nothing_secret_is_in_any_row(full, shown):
    text = json.dumps(shown, ensure_ascii=False)
    hidden = secrets(full.node)
    assert len(hidden) > 30
    assert [secret for secret in hidden if secret in text] == []
    assert [value for value in CLEAR if value in text] == []
    assert "~ks1" not in text


def test_role_by_table(world):
    for table, role in itertools.product(TABLES.values(), CATALOGUE):
        context = world.context(Actor("user:ann", "ann", frozenset({role, SECURITY}), True))
        if role in READERS[table.name].roles:
            guard.rows(context, table)
            with pytest.raises(NotFound):
                guard.row(context, table, "0" * 32)
            continue
        for read in (
            lambda at=context, of=table: guard.rows(at, of),
            lambda at=context, of=table: guard.row(at, of, "1"),
        ):
            with pytest.raises(Denied) as caught:
                read()
            assert caught.value.code == "authority.table"


def test_the_newest_entries_are_listed_and_every_one_is_found(world, monkeypatch):
    from keystead.dictionary import audit

    monkeypatch.setattr(audit, "_MOST_ENTRIES", 3)
    size = world.node.audit_length()
    rows = world.rows("keystead_audit")
    assert [row["sequence"] for row in rows] == [size, size - 1, size - 2]
    first = guard.row(world.context(), TABLES["keystead_audit"], "1")
    with world.node.db.snapshot() as tx:
        entry = log.entry(tx, 1)
    assert (first["actor"], first["action"]) == (entry.actor, entry.action)
    for sys_id in ("0", "-1", str(size + 1), "1.0", "x", "²", "9" * 30, ""):
        with pytest.raises(NotFound):
            guard.row(world.context(), TABLES["keystead_audit"], sys_id)


def test_the_census_is_as_it_was_counted_last(world):
    assert world.rows("keystead_census") == []
    world.run("census.count")
    plain = [(r["column_name"], r["form"], r["amount"]) for r in world.rows("keystead_census")]
    assert plain == [("name", "plain", 3), ("phone", "plain", 1), ("phone", "empty", 2)]
    world.encrypt()
    assert [(r["column_name"], r["form"], r["amount"]) for r in world.rows("keystead_census")] == (
        plain
    )
    world.run("census.count")
    rows = world.rows("keystead_census")
    keyed = {row["key_id"]: row["amount"] for row in rows if row["form"] == "encrypted"}
    assert keyed == {world.key("names"): 3, world.key("people"): 1}
    assert sum(row["amount"] for row in rows if row["form"] == "plain") == 0


def test_a_clone_says_what_becomes_of_each_value(full):
    (clone,) = full.rows("keystead_clone")
    assert (clone["state"], clone["rows"], clone["values"]) == ("committed", 3, 4)
    lines = full.rows("keystead_clone_count")
    assert {line["clone_id"] for line in lines} == {clone["sys_id"]}
    told = sorted((x["column_name"] or "", x["amount"], x["fate"]) for x in lines)
    assert told == [("", 3, "copied"), ("name", 3, "readable"), ("phone", 1, "readable")]
