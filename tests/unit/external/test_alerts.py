"""Alerts: one for each change of an external key, with what goes dark; none is left out."""

from __future__ import annotations

import pytest
from tests.unit.conftest import ACTOR
from tests.unit.external.conftest import Watched

from keystead.base.errors import Tampered
from keystead.external.provider import Answer
from keystead.external.tables import ALERTS
from keystead.instance import external_watch


def look(site: Watched) -> None:
    external_watch.look(site.database, site.hierarchy, site.external, ACTOR)


@pytest.fixture
def site(wrapped):
    look(wrapped)
    return wrapped


def alerts(site: Watched) -> list[tuple[str, bool]]:
    with site.snapshot() as tx:
        rows = site.integrity.all(tx, ALERTS)
    return [(row["status"], row["cleared_at"] is None) for row in rows]


def test_one_for_each_change_however_often_it_is_looked_at(site):
    assert alerts(site) == []
    expected: list[tuple[str, bool]] = []
    for answer, status in (
        (Answer.DISABLED, "disabled"),
        (Answer.UNREACHABLE, "unavailable"),
        (Answer.PENDING_DELETION, "pending deletion"),
        (Answer.DISABLED, "disabled"),
    ):
        site.vendor.state = answer
        for _ in range(4):
            look(site)
        expected = [(one, False) for one, _ in expected] + [(status, True)]
        assert alerts(site) == expected
    site.vendor.state = Answer.ENABLED
    for _ in range(2):
        look(site)
    assert alerts(site) == [(one, False) for one, _ in expected]


def test_a_deletion_is_told_with_its_day_and_what_goes_dark_and_touches_nothing(site):
    stored, keys = site.stored(), site.keys_of("standard")
    site.vendor.state = Answer.PENDING_DELETION
    for day in ("2026-12-24", "2026-12-24", "2027-01-06"):
        site.vendor.deletion_at = f"{day}T10:00:00.000000Z"
        look(site)
    with site.snapshot() as tx:
        rows = site.integrity.all(tx, ALERTS)
    assert [row["deletion_at"][:10] for row in rows] == ["2026-12-24", "2027-01-06"]
    assert [row["cleared_at"] is None for row in rows] == [False, True]
    values = sum(count for one in site.count().values() for count in one.by_key.values())
    for row in rows:
        assert row["deletion_at"][:10] in row["what"]
        assert f"{values} values" in row["what"]
        assert "keys of 2 modules" in row["what"]
    assert (site.stored(), site.keys_of("standard")) == (stored, keys)


def test_one_that_a_killed_look_left_out_is_raised_by_the_next(site):
    site.vendor.state = Answer.DISABLED
    site.external.synchronise(ACTOR)
    assert alerts(site) == []
    look(site)
    look(site)
    assert alerts(site) == [("disabled", True)]
    site.vendor.state = Answer.ENABLED
    site.external.synchronise(ACTOR)
    assert alerts(site) == [("disabled", True)]
    look(site)
    assert alerts(site) == [("disabled", False)]


def test_rows_that_were_changed_behind_our_back_are_told_before_they_are_refused(wrapped):
    wrapped.sql("UPDATE sys_kmf_external_key SET material_id = 'another'")
    with pytest.raises(Tampered):
        external_watch.look(wrapped.database, wrapped.hierarchy, wrapped.external, ACTOR)
    assert [status for status, _ in alerts(wrapped)] == ["unavailable"]
