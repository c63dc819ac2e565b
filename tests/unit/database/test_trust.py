"""A scan that stands for its table for a moment: who changes it meanwhile changes nothing."""

from __future__ import annotations

import pytest

from keystead.access import people
from keystead.base.errors import Tampered
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
