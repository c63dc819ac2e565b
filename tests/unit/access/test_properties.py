"""System properties: typed, with a default for each that Keystead reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.access import properties
from keystead.access.properties import (
    AUTO_KEY_EXCHANGE,
    DEBUGGER_ROLES,
    DECLARED,
    LIST_ROWS,
    SESSION_IDLE_MINUTES,
    PropertyType,
)
from keystead.base.errors import Conflict, Invalid, KeysteadError, NotFound, Tampered

ACTOR = "test"
OWN = "acme.colour"


def change(site: Any, name: str, value: str) -> properties.Held:
    with site.transaction() as tx:
        return properties.change(tx, site.integrity, name, value, ACTOR)


def entries(site: Any) -> list[tuple[str, str, dict[str, str]]]:
    where = "WHERE action LIKE 'property.%' ORDER BY sequence"
    found = site.sql(f"SELECT action, subject, detail FROM keystead_audit {where}")
    return [(action, subject, json.loads(detail)) for action, subject, detail in found]


def test_each_default_is_of_its_type() -> None:
    assert len({one.sys_id for one in DECLARED.values()}) == len(DECLARED)
    for one in DECLARED.values():
        assert properties._checked(one, one.default) == one.default
        assert one.summary.endswith(".")


def test_without_a_row_there_is_the_default(site: Any) -> None:
    with site.snapshot() as tx:
        assert properties.whole_number(tx, site.integrity, SESSION_IDLE_MINUTES) == 30
        assert properties.is_on(tx, site.integrity, AUTO_KEY_EXCHANGE) is True
        assert properties.words(tx, site.integrity, DEBUGGER_ROLES) == frozenset()
        found = properties.listed(tx, site.integrity)
    assert [held.property.name for held in found] == sorted(DECLARED)
    assert not any(held.is_set for held in found)


def test_a_value_is_answered_in_its_type_and_recorded(site: Any) -> None:
    change(site, SESSION_IDLE_MINUTES.name, " 015 ")
    change(site, AUTO_KEY_EXCHANGE.name, "FALSE")
    change(site, DEBUGGER_ROLES.name, "helpers, ,auditors")
    change(site, DEBUGGER_ROLES.name, "helpers")
    with site.snapshot() as tx:
        assert properties.whole_number(tx, site.integrity, SESSION_IDLE_MINUTES) == 15
        assert properties.is_on(tx, site.integrity, AUTO_KEY_EXCHANGE) is False
        assert properties.words(tx, site.integrity, DEBUGGER_ROLES) == {"helpers"}
        held = properties.find(tx, site.integrity, SESSION_IDLE_MINUTES.name)
    assert (held.value, held.is_set) == ("15", True)
    first = ("property.set", SESSION_IDLE_MINUTES.name, {"before": "30", "now": "15"})
    assert entries(site)[0] == first
    assert len(entries(site)) == 4


def test_what_changes_nothing_is_not_recorded(site: Any) -> None:
    change(site, SESSION_IDLE_MINUTES.name, "30")
    assert entries(site) == []
    assert site.sql("SELECT * FROM sys_properties") == []


@pytest.mark.parametrize(
    ("name", "value", "family", "code"),
    [
        ("nothing", "x", NotFound, "property.missing"),
        (SESSION_IDLE_MINUTES.name, "0", Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "721", Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "-5", Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "5.0", Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "\u0663\u0663", Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "9" * 5_000, Invalid, "property.integer"),
        (SESSION_IDLE_MINUTES.name, "", Invalid, "property.integer"),
        (AUTO_KEY_EXCHANGE.name, "yes", Invalid, "property.choice"),
        (AUTO_KEY_EXCHANGE.name, "", Invalid, "property.choice"),
        (DEBUGGER_ROLES.name, "a\x00b", Invalid, "property.text"),
        (DEBUGGER_ROLES.name, "x" * 4_001, Invalid, "property.text"),
    ],
)
def test_what_is_no_value_is_refused(
    site: Any, name: str, value: str, family: type[KeysteadError], code: str
) -> None:
    with pytest.raises(family) as refused:
        change(site, name, value)
    assert refused.value.code == code
    assert site.sql("SELECT * FROM sys_properties") == []


@given(st.sampled_from(list(DECLARED.values())), st.text())
def test_any_text_is_a_value_of_the_type_or_refused(one: properties.Property, value: str) -> None:
    try:
        kept = properties._checked(one, value)
    except Invalid:
        return
    assert properties._checked(one, kept) == kept
    if one.type is PropertyType.INTEGER:
        assert one.least <= int(kept) <= one.most


def test_others_may_be_added_and_their_values_are_not_told(site: Any) -> None:
    with site.transaction() as tx:
        properties.create(tx, site.integrity, OWN, "blue", "Of the door.", ACTOR)
    held = change(site, OWN, "secret green")
    assert (held.property.type, held.property.owner) == (PropertyType.STRING, None)
    assert entries(site) == [("property.create", OWN, {}), ("property.set", OWN, {})]
    for name in (OWN, LIST_ROWS.name):
        with pytest.raises(Conflict), site.transaction() as tx:
            properties.create(tx, site.integrity, name, "x", "", ACTOR)
    with pytest.raises(Invalid), site.transaction() as tx:
        properties.create(tx, site.integrity, "a'b", "x", "", ACTOR)


def test_a_changed_row_is_never_a_value_nor_the_default(site: Any) -> None:
    change(site, AUTO_KEY_EXCHANGE.name, "false")
    for statement in (
        "UPDATE sys_properties SET value = 'true'",
        "DELETE FROM sys_properties",
    ):
        site.sql(statement)
        with pytest.raises(Tampered), site.snapshot() as tx:
            properties.is_on(tx, site.integrity, AUTO_KEY_EXCHANGE)
