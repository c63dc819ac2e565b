"""A scan that stands for its table for a moment: who changes it meanwhile changes nothing."""

from __future__ import annotations

import pytest

from keystead.access import people
from keystead.access.tables import GROUPS, USER_ROLES
from keystead.base.errors import NotFound, Tampered
from keystead.database import integrity


@pytest.fixture
def now(monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(integrity.time, "monotonic", lambda: moment[0])
    return moment


def roles(site, user="guest"):
    with site.snapshot() as tx:
        return people.person(tx, site.integrity, user).direct_roles


@pytest.fixture
def trusting(site, now):
    site.integrity.trust = 1.0
    roles(site)
    site.sql("UPDATE sys_user_has_role SET role = 'all'")
    return site


def test_a_changed_row_has_no_effect_and_is_noticed_after_it(trusting, now):
    now[0] += 0.9
    assert roles(trusting) == {"guests"}
    now[0] += 0.2
    with pytest.raises(Tampered):
        roles(trusting)


def test_it_is_not_signed_as_ours(trusting, now):
    with trusting.transaction() as tx:
        people.give_role(tx, trusting.integrity, "guest", "others", "admin")
    now[0] += 2
    with pytest.raises(Tampered):
        roles(trusting)


def test_what_is_changed_by_another_process_is_seen_at_once(site, now):
    site.integrity.trust = 1.0
    assert roles(site) == {"guests"}
    other = type(site)(site.folder)
    with other.transaction() as tx:
        people.give_role(tx, other.integrity, "guest", "others", "admin")
    other.instance.close()
    assert roles(site) == {"guests", "others"}


def test_an_anchor_changed_by_somebody_else_is_noticed_after_it(site, now):
    site.integrity.trust = 1.0
    roles(site)
    site.sql("UPDATE keystead_anchor SET digest = '' WHERE table_name = 'sys_user_has_role'")
    assert roles(site) == {"guests"}
    now[0] += 1.1
    with pytest.raises(Tampered):
        roles(site)


class TestRemembered:
    def test_it_is_made_anew_when_a_table_changes_and_not_before(self, site, now):
        site.integrity.trust = 1.0
        made = []

        def asked(tx):
            return site.integrity.remembered(
                tx, (USER_ROLES, GROUPS), "key", lambda: made.append(1) or len(made)
            )

        with site.snapshot() as tx:
            assert (asked(tx), asked(tx)) == (1, 1)
        with site.snapshot() as tx:
            assert asked(tx) == 1
        with site.transaction() as tx:
            people.create_user(tx, site.integrity, "else", [], "admin")
            assert asked(tx) == 1
            people.give_role(tx, site.integrity, "guest", "others", "admin")
            assert asked(tx) == 2
            tx.rollback()
        with site.snapshot() as tx:
            assert asked(tx) == 3

    def test_what_it_refuses_is_asked_again(self, site):
        for _ in range(2):
            with site.snapshot() as tx, pytest.raises(NotFound):
                people.person(tx, site.integrity, "nobody")

    def test_nothing_is_kept_while_rows_must_be_read_one_by_one(self, site, monkeypatch):
        monkeypatch.setattr(integrity, "_FEW", 0)
        assert roles(site) == {"guests"}
        site.sql("UPDATE sys_user_has_role SET role = 'all'")
        with pytest.raises(Tampered):
            roles(site)
