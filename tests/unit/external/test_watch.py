"""One look at the providers: status, alerts with what goes dark, and rotation outside."""

from __future__ import annotations

import pytest
from tests.unit.conftest import ACTOR
from tests.unit.external.conftest import Watched

from keystead.external import alerts
from keystead.external.provider import Answer
from keystead.external.service import ekeks_of
from keystead.instance import blast_radius, external_watch


def look(site: Watched):
    return external_watch.look(site.database, site.hierarchy, site.external, ACTOR)


def open_alerts(site: Watched) -> list[dict]:
    with site.snapshot() as tx:
        return alerts.open_alerts(tx, site.hierarchy)


@pytest.mark.parametrize(
    "answer", [Answer.DISABLED, Answer.PENDING_DELETION, Answer.DENIED, Answer.UNREACHABLE]
)
def test_one_alert_for_a_status_however_often_it_is_seen(wrapped, answer):
    wrapped.vendor.state = answer
    for _ in range(3):
        look(wrapped)
    (alert,) = open_alerts(wrapped)
    assert "It protects" in alert["what"]
    wrapped.vendor.state = Answer.ENABLED
    look(wrapped)
    assert open_alerts(wrapped) == []


def test_a_change_of_status_is_another_alert(wrapped):
    for state in (Answer.DISABLED, Answer.PENDING_DELETION, Answer.DISABLED):
        wrapped.vendor.state = state
        look(wrapped)
        (alert,) = open_alerts(wrapped)
        assert alert["status"] == state


def test_an_announced_deletion_is_told_with_date_and_what_it_protects(wrapped):
    wrapped.vendor.state = Answer.PENDING_DELETION
    wrapped.vendor.deletion_at = "2031-05-06T07:08:09.000000Z"
    before = wrapped.rows()
    look(wrapped)
    (alert,) = open_alerts(wrapped)
    assert "2031-05-06" in alert["what"]
    assert "values in 5 columns" in alert["what"]
    wrapped.vendor.state = Answer.ENABLED
    wrapped.clock.now += 100
    assert wrapped.rows() == before


def test_another_day_of_deletion_is_another_alert_at_once(wrapped):
    wrapped.vendor.state = Answer.PENDING_DELETION
    for day in ("2031-05-06", "2031-05-20"):
        wrapped.vendor.deletion_at = f"{day}T07:08:09.000000Z"
        look(wrapped)
        (alert,) = open_alerts(wrapped)
        assert day in alert["what"]


def test_what_cannot_be_counted_keeps_no_alert_back(wrapped):
    with wrapped.transaction() as tx:
        tx.exec_driver_sql("UPDATE people SET name = 'plain' WHERE id = 'p01'")
        tx.exec_driver_sql("ALTER TABLE people DROP COLUMN salary")
    wrapped.vendor.state = Answer.DISABLED
    look(wrapped)
    (alert,) = open_alerts(wrapped)
    assert alert["status"] == Answer.DISABLED


def test_the_blast_radius_counts_what_the_census_counts(wrapped):
    counted = wrapped.count()
    with wrapped.snapshot() as tx:
        from keystead.external import configurations

        row = configurations.named(tx, wrapped.hierarchy, "kms")
        radius = blast_radius.of(tx, wrapped.database, wrapped.hierarchy, row)
    assert radius.values == sum(column.encrypted for column in counted.values())
    assert set(radius.modules) == {"global.standard", "global.equal"}
    assert {(c.table, c.column) for c in radius.columns} == {("people", name) for name in counted}


def test_a_rotation_outside_rewraps_once_and_changes_no_key(wrapped):
    keys_before = wrapped.keys_of("standard")
    with wrapped.snapshot() as tx:
        (old,) = ekeks_of(tx, wrapped.hierarchy, _id(wrapped))
    wrapped.vendor.rotate()
    first = look(wrapped)
    with wrapped.snapshot() as tx:
        (new,) = ekeks_of(tx, wrapped.hierarchy, _id(wrapped))
    assert "1 rewrapped" in first.result
    assert new["material_id"] != old["material_id"]
    assert new["wrapped"] != old["wrapped"]
    assert wrapped.keys_of("standard") == keys_before
    assert old["wrapped"].encode() not in wrapped.file.read_bytes()
    assert "0 rewrapped" in look(wrapped).result


def _id(site: Watched) -> str:
    from keystead.external import configurations

    with site.snapshot() as tx:
        return str(configurations.named(tx, site.hierarchy, "kms")["sys_id"])
