"""Refusals stay on record, once each, although what was refused is taken back."""

from __future__ import annotations

import pytest

from keystead.access import people, policies, rejections
from keystead.access.decision import Module, ModuleDefault, Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.recorder import Recorder
from keystead.access.rejections import Refusals
from keystead.base import clock
from keystead.base.errors import Denied
from keystead.keys import service as keys
from keystead.keys.tables import MODULES
from keystead.records import service as records


def view(site, user, query="", columns=None, impersonate=None):
    return records.view(
        site.database,
        site.hierarchy,
        "people",
        query=query,
        user=user,
        impersonate=impersonate,
        columns=columns,
        limit=100,
        actor="os:root",
    )


def listed(site):
    with site.snapshot() as tx:
        return rejections.listed(tx)


def entries(site, action):
    return site.sql(
        "SELECT actor, subject, detail FROM keystead_audit WHERE action = ? ORDER BY sequence",
        action,
    )


def test_one_row_for_caller_module_and_operation_and_last_enforced_moves(sealed, monkeypatch):
    moments = iter(f"2030-01-01T00:00:{n}Z" for n in range(10, 60))
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    view(sealed, "guest", columns=["name", "city"])
    (first,) = listed(sealed)
    assert first["first_enforced"] == first["last_enforced"]
    assert (first["caller"], first["module"], first["operation"], first["result"]) == (
        "user:guest",
        "global.standard",
        "decrypt",
        "reject",
    )
    view(sealed, "guest", columns=["salary"])
    (again,) = listed(sealed)
    assert again["first_enforced"] == first["first_enforced"]
    assert again["last_enforced"] > first["last_enforced"]
    assert len(entries(sealed, "access.refuse")) == 1
    view(sealed, "guest", columns=["email"])
    view(sealed, "writer", columns=["name"])
    view(sealed, "guest", columns=["name"], impersonate="writer")
    found = {(r["caller"], r["module"]) for r in listed(sealed)}
    assert found == {
        ("user:guest", "global.standard"),
        ("user:guest", "global.equal"),
        ("user:writer", "global.standard"),
        ("user:guest > user:writer", "global.standard"),
    }


def test_nothing_is_recorded_of_who_may_or_did_not_ask(sealed):
    view(sealed, "reader")
    view(sealed, "guest", columns=["id", "note"])
    view(sealed, None)
    assert listed(sealed) == []
    assert entries(sealed, "access.refuse") == []


def test_a_refused_search_is_audited_without_what_was_looked_for(sealed):
    for user, caller in (("guest", "user:guest"), (None, "nobody")):
        with pytest.raises(Denied):
            view(sealed, user, query="email=secret-guess", columns=["id"])
        *_, (actor, table, detail) = entries(sealed, "table.search.refuse")
        assert (actor, table) == (caller, "people")
        assert '"email"' in detail
        assert '"os:root"' in detail
    assert "secret-guess" not in str(sealed.everything())
    assert entries(sealed, "table.show") == []


def ask_and_fail(site):
    with (
        Recorder(site.database) as recorder,
        recorder.refusals("os:root") as refusals,
        site.transaction() as tx,
    ):
        asking = subject(tx, site.integrity, "guest")
        row = keys.module(tx, site.hierarchy, "standard")
        permissions = Permissions(tx, site.integrity, asking, refusals)
        people.create_user(tx, site.integrity, "lost", [], "test")
        assert not permissions.allows(keys.guarded(row), "s", Operation.ENCRYPT)
        raise ZeroDivisionError


def test_a_refusal_commits_although_its_transaction_is_taken_back(site):
    with pytest.raises(ZeroDivisionError):
        ask_and_fail(site)
    assert [(r["caller"], r["operation"]) for r in listed(site)] == [("user:guest", "encrypt")]
    assert site.sql("SELECT 1 FROM sys_user WHERE user_name = 'lost'") == []


def test_explaining_is_not_asking(site):
    with site.snapshot() as tx:
        refusals = Refusals()
        permissions = Permissions(
            tx, site.integrity, subject(tx, site.integrity, "guest"), refusals
        )
        row = keys.module(tx, site.hierarchy, "standard")
        assert not permissions.decide(keys.guarded(row), "s", Operation.DECRYPT).allowed
        assert not refusals
        permissions.allows(keys.guarded(row), "s", Operation.DECRYPT)
        assert refusals


def test_contexts_share_no_decision(site):
    """One user by himself, impersonating, impersonated, and the system for him: all differ."""
    with site.transaction() as tx:
        row = keys.module(tx, site.hierarchy, "standard")
        said = {
            "module_id": row["sys_id"],
            "module_name": row["name"],
            "operation": Operation.BOTH,
            "result": Result.TRACK,
            "actor": "test",
        }
        system = {"type": PolicyType.SYSTEM_USER, "target": ""}
        policies.add(tx, site.integrity, **said, **system)
    expected = {
        (("reader",), ()): True,
        (("guest",), ()): False,
        (("guest",), (("impersonate", "reader"),)): False,
        (("reader",), (("impersonate", "guest"),)): True,
        (("reader",), (("system", True),)): False,
        ((None,), (("system", True),)): True,
        ((None,), (("scope", "reader"),)): False,
    }
    for contexts in (list(expected), list(expected)[::-1]):
        with site.snapshot() as tx:
            row = keys.module(tx, site.hierarchy, "standard")
            found = {}
            for user, context in contexts:
                asking = subject(tx, site.integrity, *user, **dict(context))
                permissions = Permissions(tx, site.integrity, asking, Refusals())
                for _ in range(2):
                    allowed = permissions.allows(keys.guarded(row), "s", Operation.DECRYPT)
                found[user, context] = allowed
        assert found == expected


def test_decisions_are_kept_by_module_specification_and_operation(site):
    """A kept decision is not given for another question of the same caller."""
    with site.transaction() as tx:
        other = site.integrity.insert(tx, MODULES, name="global.other", state="draft")
        row = keys.module(tx, site.hierarchy, "standard")
        policies.add(
            tx,
            site.integrity,
            module_id=row["sys_id"],
            module_name=row["name"],
            type=PolicyType.ROLE,
            target="readers",
            operation=Operation.DECRYPT,
            result=Result.STRICT_REJECT,
            specification="narrow",
            actor="test",
        )
        asking = subject(tx, site.integrity, "reader")
        permissions = Permissions(tx, site.integrity, asking, Refusals())
        module = keys.guarded(row)
        for _ in range(2):
            assert permissions.allows(module, "wide", Operation.DECRYPT)
            assert not permissions.allows(module, "narrow", Operation.DECRYPT)
            assert not permissions.allows(module, "wide", Operation.ENCRYPT)
            elsewhere = Module(other, "global.other", ModuleDefault.SYSTEM)
            assert not permissions.allows(elsewhere, "wide", Operation.DECRYPT)
