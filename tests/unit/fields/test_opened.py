"""Columns whose keys are kept opened: what happens to a key is seen by the next transaction."""

from __future__ import annotations

import pytest

from keystead.base.errors import NotFound
from keystead.fields import opened
from keystead.fields.opened import OpenedColumns
from keystead.keys import service as keys


@pytest.fixture
def columns(sealed):
    return OpenedColumns(sealed.hierarchy)


def column(site, columns):
    with site.snapshot() as tx:
        return columns.column(tx, site.configurations()["name"])


def test_it_is_kept_while_nothing_changes(sealed, columns):
    assert column(sealed, columns) is column(sealed, columns)


@pytest.mark.parametrize("step", ["rotate", "suspend", "configure"])
def test_a_change_is_seen_at_once(sealed, columns, step):
    before = column(sealed, columns)
    key_id = sealed.keys_of("standard")[0]["sys_id"]
    if step == "rotate":
        sealed.rotate("standard")
    elif step == "suspend":
        with sealed.transaction() as tx:
            keys.suspend(tx, sealed.hierarchy, keys.key(tx, sealed.hierarchy, key_id), "me")
    else:
        sealed.configure("note", "standard")
    after = column(sealed, columns)
    assert after is not before
    if step == "suspend":
        with pytest.raises(NotFound):
            after.cipher(key_id)


def test_its_keys_stay_a_minute_at_most(sealed, columns, monkeypatch):
    before = column(sealed, columns)
    start = opened.time.monotonic()
    monkeypatch.setattr(opened.time, "monotonic", lambda: start + opened.SECONDS + 1)
    assert column(sealed, columns) is not before
