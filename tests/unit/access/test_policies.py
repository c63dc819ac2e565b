"""Who sees a clear value: whom a policy of the module lets decrypt, and nobody else."""

from __future__ import annotations

import itertools

import pytest

from keystead.access import service as access
from keystead.access.service import Operation, PolicyType
from keystead.access.tables import POLICIES
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.keys import service as keys

ENCRYPTED = ("name", "city", "salary", "email", "team")
NOBODY: list[str | None] = [None, "guest", "writer", "newcomer"]


@pytest.fixture
def peopled(sealed):
    """A sealed table, and a user who has no role at all."""
    with sealed.transaction() as tx:
        access.create_user(tx, sealed.integrity, "newcomer", [], "test")
    return sealed


def may(site, user: str | None, module: str, wanted: Operation) -> bool:
    with site.snapshot() as tx:
        module_id = keys.module(tx, site.hierarchy, module)["sys_id"]
        return access.may(tx, site.integrity, user, module_id, wanted)


def grant(site, module: str, role: str, operation: Operation) -> None:
    with site.transaction() as tx:
        access.add_role_policy(
            tx,
            site.integrity,
            module_id=keys.module(tx, site.hierarchy, module)["sys_id"],
            module_name=module,
            role=role,
            operation=operation,
            actor="test",
        )


class TestMay:
    @pytest.mark.parametrize(
        ("user", "allowed"),
        [
            ("reader", {Operation.DECRYPT}),
            ("writer", {Operation.ENCRYPT}),
            ("both", {Operation.DECRYPT, Operation.ENCRYPT, Operation.BOTH}),
            ("guest", set()),
            ("newcomer", set()),
            (None, set()),
        ],
    )
    def test_what_a_policy_of_one_of_the_roles_grants(self, peopled, user, allowed):
        for module, wanted in itertools.product(("standard", "equal"), Operation):
            assert may(peopled, user, module, wanted) is (wanted in allowed)

    def test_nobody_may_anything_with_a_module_without_policies(self, site):
        with site.transaction() as tx:
            for policy in site.integrity.all(tx, POLICIES):
                site.integrity.delete(tx, POLICIES, policy, "a policy")
        for user, wanted in itertools.product((None, "reader", "both", "guest"), Operation):
            assert not may(site, user, "standard", wanted)

    def test_a_policy_is_of_one_module(self, site):
        grant(site, "equal", "guests", Operation.DECRYPT)
        assert may(site, "guest", "equal", Operation.DECRYPT)
        assert not may(site, "guest", "standard", Operation.DECRYPT)

    def test_one_of_several_roles_is_enough(self, site):
        with site.transaction() as tx:
            access.create_user(tx, site.integrity, "many", ["guests", "readers", "x"], "test")
        assert may(site, "many", "standard", Operation.DECRYPT)
        assert not may(site, "many", "standard", Operation.ENCRYPT)

    def test_a_role_is_compared_exactly(self, site):
        roles = ["Readers", "readers2", "reader", "reader s"]
        with site.transaction() as tx:
            access.create_user(tx, site.integrity, "almost", roles, "test")
        assert not may(site, "almost", "standard", Operation.DECRYPT)

    @pytest.mark.parametrize(
        "change", [{"active": 0}, {"result": "reject"}, {"type": PolicyType.RESOURCE_EXCHANGE}]
    )
    def test_only_an_active_role_policy_that_tracks_grants(self, site, change):
        with site.transaction() as tx:
            for policy in access.role_policies(tx, site.integrity):
                site.integrity.update(tx, POLICIES, policy, "the policy", **change)
        assert not may(site, "both", "standard", Operation.DECRYPT)

    def test_an_exchange_policy_grants_no_user_anything(self, site):
        with site.transaction() as tx:
            module = keys.module(tx, site.hierarchy, "standard")
            spec = keys.specification(tx, site.hierarchy, module["sys_id"])
            access.allow_exchange(
                tx,
                site.integrity,
                module_id=module["sys_id"],
                spec_id=spec["sys_id"],
                target_instance="elsewhere",
                target_fingerprint="f",
                key_ids=[],
                clone_id="c",
            )
        for wanted in Operation:
            assert not may(site, "guest", "standard", wanted)

    @pytest.mark.parametrize("name", ["nobody", "Reader", "reader ", ""])
    def test_a_user_who_is_not_there(self, site, name):
        with pytest.raises(NotFound) as caught:
            may(site, name, "standard", Operation.DECRYPT)
        assert caught.value.code == "user.missing"


class TestShow:
    @pytest.mark.parametrize("user", ["reader", "both"])
    def test_with_the_right_every_value_is_clear(self, peopled, user, people):
        shown = peopled.show(user=user)
        assert shown.rows == people
        assert (shown.hidden, shown.not_held) == ((), 0)

    @pytest.mark.parametrize("user", NOBODY)
    @pytest.mark.parametrize("step", ["mixed", "sealed"])
    def test_without_it_every_value_is_empty(self, request, step, user, people):
        site = request.getfixturevalue(step)
        if user == "newcomer":
            with site.transaction() as tx:
                access.create_user(tx, site.integrity, user, [], "test")
        shown = site.show(user=user)
        assert shown.hidden == ENCRYPTED
        assert shown.rows == [(row[0], "", "", "", "", "", row[6]) for row in people]

    @pytest.mark.parametrize("user", NOBODY)
    def test_without_it_there_is_no_searching(self, peopled, user):
        for column in ("name", "salary", "team"):
            for query in (f"{column}=x", f"{column}!=x", f"note=one^{column}="):
                with pytest.raises(Denied) as caught:
                    peopled.show(user=user, query=query, columns=["id"])
                assert caught.value.code == "query.denied"
        assert peopled.show(user=user, query="note=one", columns=["id"]).rows == [("p01",)]

    def test_a_null_is_not_told_from_a_value(self, peopled):
        """Whoever may not decrypt does not learn which rows have a value."""
        rows = peopled.show(user="guest", columns=list(ENCRYPTED)).rows
        assert set(rows) == {("",) * len(ENCRYPTED)}

    def test_with_the_right_for_one_module_the_others_stay_empty(self, peopled, people):
        grant(peopled, "equal", "guests", Operation.BOTH)
        shown = peopled.show(user="guest")
        assert shown.hidden == ("name", "city", "salary")
        assert shown.rows == [(row[0], "", "", "", *row[4:]) for row in people]
        with pytest.raises(Denied):
            peopled.show(user="guest", query="name=x")
        assert peopled.show(user="guest", query="team=North", columns=["id"]).rows == [("p02",)]

    def test_the_columns_asked_for_in_their_order(self, peopled, people):
        shown = peopled.show(user="guest", columns=["note", "email", "id"])
        assert shown.columns == ("note", "email", "id")
        assert shown.hidden == ("email",)
        assert shown.rows == [(row[6], "", row[0]) for row in people]

    def test_a_right_counts_at_once(self, peopled, people):
        assert peopled.show(user="writer").hidden == ENCRYPTED
        for module in ("standard", "equal"):
            grant(peopled, module, "writers", Operation.DECRYPT)
        assert peopled.show(user="writer").rows == people

    def test_a_user_who_is_not_there_sees_nothing(self, peopled):
        with pytest.raises(NotFound) as caught:
            peopled.show(user="nobody")
        assert caught.value.code == "user.missing"

    def test_a_column_or_table_that_is_not_there(self, peopled):
        for attempt, code in (
            (lambda: peopled.show(columns=["id", "nothing"]), "column.missing"),
            (lambda: peopled.show(query="nothing=1"), "column.missing"),
            (lambda: peopled.show(query="EMAIL=x"), "column.missing"),
            (lambda: peopled.show(table="nothing"), "table.missing"),
        ):
            with pytest.raises(NotFound) as caught:
                attempt()
            assert caught.value.code == code

    @pytest.mark.parametrize("query", ["name", "=x", "team=a^^note=b", "name=javascript:gs.now()"])
    def test_a_query_that_cannot_be_understood(self, peopled, query):
        with pytest.raises(Invalid) as caught:
            peopled.show(query=query)
        assert caught.value.code == "query.syntax"


class TestWriting:
    def test_a_user_is_made_once(self, site):
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            access.create_user(tx, site.integrity, "reader", ["guests"], "test")
        assert caught.value.code == "user.exists"
        assert site.everything() == before

    def test_a_role_named_twice_counts_once(self, site):
        with site.transaction() as tx:
            access.create_user(tx, site.integrity, "twice", ["b", "a", "b"], "test")
            found = {row["user"]: row["roles"] for row in access.users(tx, site.integrity)}
        assert found["twice"] == ["a", "b"]

    @pytest.mark.parametrize("name", ["", " x", "x ", "a,b", "a\nb", "a'b", "a;b", "x" * 61])
    def test_a_name_that_cannot_be_used(self, site, name):
        before = site.everything()
        for make in (
            lambda tx: access.create_user(tx, site.integrity, name, [], "test"),
            lambda tx: access.create_user(tx, site.integrity, "fine", ["fine", name], "test"),
        ):
            with pytest.raises(Invalid) as caught, site.transaction() as tx:
                make(tx)
            assert caught.value.code == "name.invalid"
        with pytest.raises(Invalid):
            grant(site, "standard", name, Operation.BOTH)
        assert site.everything() == before

    @pytest.mark.parametrize("name", ["山田", "José", "a b", "x" * 60])
    def test_a_name_in_any_script(self, site, name):
        with site.transaction() as tx:
            made = access.create_user(tx, site.integrity, name, [name], "test")
        assert made["user_name"] == name
        grant(site, "standard", name, Operation.DECRYPT)
        assert may(site, name, "standard", Operation.DECRYPT)

    def test_a_policy_is_made_once(self, site):
        before = site.everything()
        with pytest.raises(Conflict) as caught:
            grant(site, "standard", "readers", Operation.DECRYPT)
        assert caught.value.code == "policy.exists"
        assert site.everything() == before

    def test_what_was_granted_is_in_the_audit_log(self, site):
        grant(site, "standard", "guests", Operation.DECRYPT)
        ((actor, action, detail),) = site.sql(
            "SELECT actor, action, detail FROM keystead_audit ORDER BY sequence DESC LIMIT 1"
        )
        assert (actor, action) == ("test", "policy.create")
        assert "guests" in detail
