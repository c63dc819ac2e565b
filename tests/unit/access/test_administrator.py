"""The first administrator: made where nobody could administer, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.access import accounts, administrator, people
from keystead.access.accounts import LogIn
from keystead.access.administrator import Administrator

ACTOR = "first start"


def make(site: Any) -> Administrator | None:
    with site.transaction() as tx:
        return administrator.make_first(tx, site.integrity, ACTOR)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts.password, "hashed", lambda clear: f"hash of {len(clear)}")


def test_it_may_do_everything_and_is_made_once(site: Any) -> None:
    made = make(site)
    assert made is not None
    with site.snapshot() as tx:
        found = people.person(tx, site.integrity, "admin")
    assert found.direct_roles == {"admin", "security_admin", "sn_kmf.admin"}
    assert LogIn(site.integrity).by_password(site.database, "admin", made.password) == "admin"
    assert make(site) is None
    assert made.password not in repr(made)
    assert made.password.encode() not in site.on_disk()
    where = "WHERE actor = 'first start' ORDER BY sequence"
    found = site.sql(f"SELECT action, subject FROM keystead_audit {where}")
    steps = ["user.create", "user.password", "user.first_administrator"]
    assert found == [(step, "admin") for step in steps]


@pytest.mark.usefixtures("quick")
def test_passwords_differ(site: Any) -> None:
    one = make(site)
    with site.transaction() as tx:
        people.set_active(tx, site.integrity, "admin", False, ACTOR)
    two = make(site)
    assert one is not None
    assert two is not None
    assert (one.user, two.user) == ("admin", "admin2")
    assert one.password != two.password
    assert min(len(one.password), len(two.password)) >= 25


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("by_group", [False, True])
def test_none_is_made_where_somebody_holds_the_role(site: Any, by_group: bool) -> None:
    with site.transaction() as tx:
        if by_group:
            people.create_group(tx, site.integrity, "chiefs", ["admin"], ACTOR)
            people.add_member(tx, site.integrity, "chiefs", "reader", ACTOR)
        else:
            people.give_role(tx, site.integrity, "reader", "admin", ACTOR)
    assert make(site) is None
    with site.transaction() as tx:
        people.set_active(tx, site.integrity, "reader", False, ACTOR)
    assert make(site) is not None
