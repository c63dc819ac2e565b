"""Declarations hang together: every name that one of them uses is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from keystead.access.authority import OPERATIONS as RIGHTS
from keystead.access.authority import READERS
from keystead.dictionary.model import Kind, Operation, Table
from keystead.dictionary.registry import BY_PATH, MENUS, OPERATIONS, TABLES

EACH_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
EACH_OPERATION = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def table_of(operation: Operation) -> Table:
    (table,) = (t for t in TABLES.values() if operation in t.every_operation)
    return table


def annotations(operation: Operation) -> Iterator[tuple[str, msgspec.inspect.Metadata]]:
    """Each parameter with what it is annotated with."""
    for field in msgspec.structs.fields(operation.parameters):
        assert isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.Metadata), (
            field.name
        )
        yield field.name, msgspec.inspect.type_info(field.type)


def test_every_operation_has_a_right_and_every_right_an_operation():
    assert OPERATIONS.keys() == RIGHTS.keys()
    declared = [o.name for table in TABLES.values() for o in table.every_operation]
    assert twice(declared) == []


def test_every_table_has_readers_and_all_readers_a_table():
    assert TABLES.keys() == READERS.keys()


def test_paths_and_labels_are_unique():
    assert len(BY_PATH) == len(TABLES)
    assert twice([table.label for table in TABLES.values()]) == []
    assert twice([table.plural for table in TABLES.values()]) == []


def test_the_navigator_has_every_table_once():
    named = [name for menu in MENUS for name in menu.tables]
    assert sorted(named) == sorted(TABLES)
    assert twice([menu.label for menu in MENUS]) == []


@EACH_TABLE
def test_the_parts_of_a_table(table):
    names = [field.name for field in table.fields]
    assert twice(names) == []
    assert twice([field.label for field in table.fields]) == []
    assert table.field(table.display) or table.display == "sys_id"
    assert any(field.in_list for field in table.fields)
    assert table.field(table.subject) or table.subject == "sys_id"
    assert bool(table.topics) is (table.subject != "sys_id")
    assert twice([operation.verb for operation in table.every_operation]) == []
    assert twice([operation.label for operation in table.every_operation]) == []
    assert table.summary.endswith(".")
    assert table.empty.endswith(".")


@EACH_TABLE
def test_references_and_related_lists_resolve(table):
    for field in table.fields:
        assert (field.reference in TABLES) is (field.kind is Kind.REFERENCE), field.name
        assert set(field.tones) <= set(field.choices) or not field.choices, field.name
    for related in table.related:
        other = TABLES[related.table].field(related.field)
        assert other is not None, related
        # a target of clones is a paired instance by another name
        same = "keystead_peer" if table.name == "keystead_clone_target" else table.name
        assert other.reference == same


@EACH_OPERATION
def test_an_operation_says_what_it_is(operation):
    assert operation.name.count(".") == 1
    assert operation.verb.replace("_", "").isalpha()
    assert operation.label
    assert operation.summary.endswith(".")
    for name, meta in annotations(operation):
        assert "title" in (meta.extra_json_schema or {}), name
        reference = (meta.extra or {}).get("reference")
        assert reference is None or reference in TABLES


@EACH_OPERATION
def test_who_may_do_it_to_a_row_may_see_the_row(operation):
    table = table_of(operation)
    if operation in table.operations:
        assert RIGHTS[operation.name].roles <= READERS[table.name].roles
