"""Policies as they are kept, and what a user sees by them."""

from __future__ import annotations

import itertools

import pytest

from keystead.access import exchange_policies, people, policies
from keystead.access.decision import ModuleDefault, Operation, PolicyType, Result
from keystead.access.effect import MASK
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.base.errors import Conflict, Denied, Invalid, NotFound, Tampered
from keystead.keys import service as keys

ENCRYPTED = ("name", "city", "salary", "email", "team")
NOBODY: list[str | None] = [None, "guest", "writer", "newcomer"]
ASKED = (Operation.ENCRYPT, Operation.DECRYPT)


@pytest.fixture
def peopled(sealed):
    """A sealed table, and a user who has no role at all."""
    with sealed.transaction() as tx:
        people.create_user(tx, sealed.integrity, "newcomer", [], "test")
    return sealed


def may(site, user: str | None, module: str, wanted: Operation, **context) -> bool:
    with site.snapshot() as tx:
        asking = subject(tx, site.integrity, user, **context)
        row = keys.module(tx, site.hierarchy, module)
        spec = keys.specification(tx, site.hierarchy, row["sys_id"])
        permissions = Permissions(tx, site.integrity, asking, Refusals())
        return permissions.allows(keys.guarded(row), spec["sys_id"], wanted)


def say(site, module: str, target: str, result: Result, operation=Operation.BOTH, **said) -> str:
    with site.transaction() as tx:
        return policies.add(
            tx,
            site.integrity,
            module_id=keys.module(tx, site.hierarchy, module)["sys_id"],
            module_name=module,
            **{"type": PolicyType.ROLE, **said},
            target=target,
            operation=operation,
            result=result,
            actor="test",
        ).sys_id


def grant(site, module: str, role: str, operation: Operation, **said) -> str:
    return say(site, module, role, Result.TRACK, operation, **said)


def change(site, function, *arguments) -> None:
    with site.transaction() as tx:
        function(tx, site.integrity, *arguments, "test")


class TestMay:
    @pytest.mark.parametrize(
        ("user", "allowed"),
        [
            ("reader", {Operation.DECRYPT}),
            ("writer", {Operation.ENCRYPT}),
            ("both", {Operation.DECRYPT, Operation.ENCRYPT}),
            ("guest", set()),
            ("newcomer", set()),
            (None, set()),
        ],
    )
    def test_what_a_policy_of_one_of_the_roles_grants(self, peopled, user, allowed):
        for module, wanted in itertools.product(("standard", "equal"), ASKED):
            assert may(peopled, user, module, wanted) is (wanted in allowed)

    def test_nobody_may_anything_with_a_module_without_policies(self, site):
        with site.transaction() as tx:
            for policy in policies.listed(tx, site.integrity):
                policies.remove(tx, site.integrity, policy.sys_id, "test")
        for user, wanted in itertools.product((None, "reader", "both", "guest"), ASKED):
            assert not may(site, user, "standard", wanted)

    def test_a_policy_is_of_one_module(self, site):
        grant(site, "equal", "guests", Operation.DECRYPT)
        assert may(site, "guest", "equal", Operation.DECRYPT)
        assert not may(site, "guest", "standard", Operation.DECRYPT)

    def test_one_of_several_roles_is_enough(self, site):
        with site.transaction() as tx:
            people.create_user(tx, site.integrity, "many", ["guests", "readers", "x"], "test")
        assert may(site, "many", "standard", Operation.DECRYPT)
        assert not may(site, "many", "standard", Operation.ENCRYPT)

    def test_a_role_is_compared_exactly(self, site):
        roles = ["Readers", "readers2", "reader", "reader s"]
        with site.transaction() as tx:
            people.create_user(tx, site.integrity, "almost", roles, "test")
        assert not may(site, "almost", "standard", Operation.DECRYPT)

    def test_an_inactive_policy_counts_no_more_until_it_is_active_again(self, site):
        refusing = say(site, "standard", "readers", Result.STRICT_REJECT)
        for active, allowed in ((True, False), (False, True), (False, True), (True, False)):
            change(site, policies.set_active, refusing, active)
            assert may(site, "reader", "standard", Operation.DECRYPT) is allowed

    def test_an_exchange_policy_grants_no_user_anything(self, site):
        with site.transaction() as tx:
            module = keys.module(tx, site.hierarchy, "standard")
            spec = keys.specification(tx, site.hierarchy, module["sys_id"])
            exchange_policies.allow_exchange(
                tx,
                site.integrity,
                module_id=module["sys_id"],
                spec_id=spec["sys_id"],
                target_instance="elsewhere",
                target_fingerprint="f",
                key_ids=[],
                clone_id="c",
            )
        for wanted in ASKED:
            assert not may(site, "guest", "standard", wanted)

    @pytest.mark.parametrize("name", ["nobody", "Reader", "reader ", ""])
    def test_a_user_who_is_not_there(self, site, name):
        with pytest.raises(NotFound) as caught:
            may(site, name, "standard", Operation.DECRYPT)
        assert caught.value.code == "user.missing"

    def test_the_default_of_a_module_decides_for_somebody_where_no_policy_does(self, site):
        for default, allowed in (
            (ModuleDefault.TRACK, True),
            (ModuleDefault.REJECT, False),
            (ModuleDefault.TRACK, True),
            (ModuleDefault.SYSTEM, False),
        ):
            with site.transaction() as tx:
                keys.set_default(tx, site.hierarchy, "standard", default, "test")
            assert may(site, "guest", "standard", Operation.DECRYPT) is allowed
            assert not may(site, "guest", "equal", Operation.DECRYPT)
            assert not may(site, None, "standard", Operation.DECRYPT)

    def test_an_inactive_user_may_nothing(self, site):
        change(site, people.set_active, "reader", False)
        assert not may(site, "reader", "standard", Operation.DECRYPT)
        assert not may(site, "both", "standard", Operation.DECRYPT, impersonate="reader")
        change(site, people.set_active, "reader", True)
        assert may(site, "reader", "standard", Operation.DECRYPT)


class TestGroups:
    def test_a_member_has_the_roles_of_his_groups_while_both_last(self, site):
        change(site, people.create_group, "desk", ["readers", "x"])
        assert not may(site, "guest", "standard", Operation.DECRYPT)
        change(site, people.add_member, "desk", "guest")
        assert may(site, "guest", "standard", Operation.DECRYPT)
        change(site, people.take_group_role, "desk", "readers")
        assert not may(site, "guest", "standard", Operation.DECRYPT)
        change(site, people.give_group_role, "desk", "readers")
        assert may(site, "guest", "standard", Operation.DECRYPT)
        change(site, people.remove_member, "desk", "guest")
        assert not may(site, "guest", "standard", Operation.DECRYPT)

    def test_a_role_that_a_group_refuses_refuses_its_members(self, site):
        say(site, "standard", "banned", Result.STRICT_REJECT)
        change(site, people.create_group, "out", ["banned"])
        assert may(site, "reader", "standard", Operation.DECRYPT)
        change(site, people.add_member, "out", "reader")
        assert not may(site, "reader", "standard", Operation.DECRYPT)

    def test_what_is_listed(self, site):
        change(site, people.create_group, "desk", ["b", "a", "b"])
        change(site, people.add_member, "desk", "guest")
        with site.snapshot() as tx:
            assert people.groups(tx, site.integrity) == [
                {"group": "desk", "roles": ["a", "b"], "members": ["guest"]}
            ]
            found = {row.pop("user"): row for row in people.users(tx, site.integrity)}
        assert found["guest"] == {
            "active": True,
            "roles": ["guests"],
            "groups": ["desk"],
            "group_roles": ["a", "b"],
        }
        assert found["reader"]["groups"] == []

    @pytest.mark.parametrize(
        ("function", "arguments", "code"),
        [
            (people.create_group, ("desk", []), "group.exists"),
            (people.create_group, ("a,b", []), "name.invalid"),
            (people.create_group, ("new", ["a;b"]), "name.invalid"),
            (people.add_member, ("desk", "reader"), "group.member"),
            (people.add_member, ("none", "reader"), "group.missing"),
            (people.add_member, ("desk", "none"), "user.missing"),
            (people.remove_member, ("desk", "guest"), "group.stranger"),
            (people.give_group_role, ("desk", "r"), "role.held"),
            (people.give_group_role, ("desk", ""), "name.invalid"),
            (people.take_group_role, ("desk", "q"), "role.not_held"),
            (people.give_role, ("reader", "readers"), "role.held"),
            (people.take_role, ("reader", "r"), "role.not_held"),
            (people.set_active, ("none", False), "user.missing"),
            (policies.remove, ("none",), "policy.missing"),
            (policies.set_active, ("none", True), "policy.missing"),
        ],
    )
    def test_what_is_refused_changes_nothing(self, site, function, arguments, code):
        change(site, people.create_group, "desk", ["r"])
        change(site, people.add_member, "desk", "reader")
        before = site.everything()
        with pytest.raises((Conflict, Invalid, NotFound)) as caught:
            change(site, function, *arguments)
        assert caught.value.code == code
        assert site.everything() == before


class TestTampering:
    """Whatever says what somebody may cannot be changed, taken away or added behind our back."""

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM sys_kmf_crypto_caller_policy WHERE result = 'strict-reject'",
            "DELETE FROM sys_kmf_crypto_caller_policy",
            "UPDATE sys_kmf_crypto_caller_policy SET active = 0 WHERE result = 'strict-reject'",
            "UPDATE sys_kmf_crypto_caller_policy SET result = 'track'",
            "UPDATE sys_kmf_crypto_caller_policy SET type = 'resource exchange'"
            " WHERE result = 'strict-reject'",
            "UPDATE sys_kmf_crypto_caller_policy SET module_id = 'x'"
            " WHERE result = 'strict-reject'",
            "DELETE FROM sys_user_has_role WHERE role = 'banned'",
            "UPDATE sys_user_has_role SET role = 'all' WHERE role = 'banned'",
            "UPDATE sys_user_has_role SET user_id = 'x' WHERE role = 'banned'",
            "DELETE FROM sys_user_grmember",
            "DELETE FROM sys_group_has_role",
            "UPDATE sys_kmf_crypto_module SET default_policy = 'track'",
            "UPDATE sys_user SET active = 1",
        ],
    )
    def test_what_was_changed_decides_nothing(self, site, statement):
        say(site, "standard", "banned", Result.STRICT_REJECT)
        grant(site, "standard", "guests", Operation.BOTH)
        change(site, people.give_role, "guest", "banned")
        change(site, people.create_group, "out", ["banned"])
        change(site, people.add_member, "out", "guest")
        change(site, people.set_active, "guest", False)
        assert not may(site, "guest", "standard", Operation.DECRYPT)
        site.sql(statement)
        with pytest.raises(Tampered):
            may(site, "guest", "standard", Operation.DECRYPT)

    def test_an_older_row_put_back_is_noticed(self, site):
        refusing = say(site, "standard", "readers", Result.STRICT_REJECT)
        change(site, policies.set_active, refusing, False)
        columns = "active, revision, tag"
        (old,) = site.sql(
            f"SELECT {columns} FROM sys_kmf_crypto_caller_policy WHERE sys_id = ?", refusing
        )
        change(site, policies.set_active, refusing, True)
        site.sql(
            "UPDATE sys_kmf_crypto_caller_policy SET active = ?, revision = ?, tag = ?"
            " WHERE sys_id = ?",
            *old,
            refusing,
        )
        with pytest.raises(Tampered) as caught:
            may(site, "reader", "standard", Operation.DECRYPT)
        assert caught.value.code == "table.tampered"

    def test_a_change_does_not_make_good_what_was_taken_away(self, site):
        refusing = say(site, "standard", "guests", Result.STRICT_REJECT)
        site.sql("DELETE FROM sys_kmf_crypto_caller_policy WHERE sys_id = ?", refusing)
        for attempt in (
            lambda: grant(site, "standard", "guests", Operation.BOTH),
            lambda: change(site, policies.set_active, "none", True),
        ):
            with pytest.raises(Tampered):
                attempt()


class TestShow:
    @pytest.mark.parametrize("user", ["reader", "both"])
    def test_with_the_right_every_value_is_clear(self, peopled, user, rows):
        shown = peopled.show(user=user)
        assert shown.rows == rows
        assert (shown.hidden, shown.not_held) == ((), 0)

    @pytest.mark.parametrize("user", NOBODY)
    @pytest.mark.parametrize("step", ["mixed", "sealed"])
    def test_without_it_every_value_is_empty_or_asterisks(self, request, step, user, rows):
        site = request.getfixturevalue(step)
        if user == "newcomer":
            change(site, people.create_user, user, [])
        shown = site.show(user=user)
        assert shown.hidden == ENCRYPTED
        hidden = MASK if user == "writer" else ""
        assert shown.rows == [(row[0], *[hidden] * 5, row[6]) for row in rows]

    @pytest.mark.parametrize(
        ("user", "form", "writable"),
        [
            ("guest", "empty", False),
            ("writer", "asterisks", True),
            ("reader", "clear", False),
            ("both", "clear", True),
        ],
    )
    def test_the_four_visible_effects(self, sealed, user, form, writable):
        effects = sealed.show(user=user).effects
        assert set(effects) == set(ENCRYPTED)
        assert {(e.form, e.writable) for e in effects.values()} == {(form, writable)}

    def test_an_impersonator_sees_by_what_allows_impersonation_and_by_his_own(self, sealed, rows):
        assert sealed.show(user="guest", impersonate="reader").hidden == ENCRYPTED
        assert sealed.show(user="reader", impersonate="guest").rows == rows
        for module in ("standard", "equal"):
            grant(sealed, module, "readers", Operation.DECRYPT, impersonation=True)
        assert sealed.show(user="guest", impersonate="reader").rows == rows
        assert sealed.show(user="guest").hidden == ENCRYPTED
        say(sealed, "standard", "readers", Result.STRICT_REJECT)
        assert sealed.show(user="both", impersonate="reader").hidden == ("name", "city", "salary")

    def test_nobody_impersonates_nobody(self, site):
        with pytest.raises(Invalid) as caught:
            site.show(user=None, impersonate="reader")
        assert caught.value.code == "user.impersonator"

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
        found = peopled.show(user="guest", columns=list(ENCRYPTED)).rows
        assert set(found) == {("",) * len(ENCRYPTED)}

    def test_with_the_right_for_one_module_the_others_stay_empty(self, peopled, rows):
        grant(peopled, "equal", "guests", Operation.BOTH)
        shown = peopled.show(user="guest")
        assert shown.hidden == ("name", "city", "salary")
        assert shown.rows == [(row[0], "", "", "", *row[4:]) for row in rows]
        with pytest.raises(Denied):
            peopled.show(user="guest", query="name=x")
        assert peopled.show(user="guest", query="team=North", columns=["id"]).rows == [("p02",)]

    def test_the_columns_asked_for_in_their_order(self, peopled, rows):
        shown = peopled.show(user="guest", columns=["note", "email", "id"])
        assert shown.columns == ("note", "email", "id")
        assert shown.hidden == ("email",)
        assert shown.rows == [(row[6], "", row[0]) for row in rows]

    def test_a_right_counts_at_once(self, peopled, rows):
        assert peopled.show(user="writer").hidden == ENCRYPTED
        for module in ("standard", "equal"):
            grant(peopled, module, "writers", Operation.DECRYPT)
        assert peopled.show(user="writer").rows == rows

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

    @pytest.mark.parametrize("query", ["name", "=x", "team=a^^note=b"])
    def test_a_query_that_cannot_be_understood(self, peopled, query):
        with pytest.raises(Invalid) as caught:
            peopled.show(query=query)
        assert caught.value.code == "query.syntax"


class TestWriting:
    def test_a_user_is_made_once(self, site):
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            people.create_user(tx, site.integrity, "reader", ["guests"], "test")
        assert caught.value.code == "user.exists"
        assert site.everything() == before

    def test_a_role_named_twice_counts_once(self, site):
        with site.transaction() as tx:
            people.create_user(tx, site.integrity, "twice", ["b", "a", "b"], "test")
            found = {row["user"]: row["roles"] for row in people.users(tx, site.integrity)}
        assert found["twice"] == ["a", "b"]

    @pytest.mark.parametrize("name", ["", " x", "x ", "a,b", "a\nb", "a'b", "a;b", "x" * 61])
    def test_a_name_that_cannot_be_used(self, site, name):
        before = site.everything()
        for make in (
            lambda tx: people.create_user(tx, site.integrity, name, [], "test"),
            lambda tx: people.create_user(tx, site.integrity, "fine", ["fine", name], "test"),
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
            made = people.create_user(tx, site.integrity, name, [name], "test")
        assert made["user_name"] == name
        grant(site, "standard", name, Operation.DECRYPT)
        assert may(site, name, "standard", Operation.DECRYPT)

    def test_a_policy_is_made_once(self, site):
        before = site.everything()
        with pytest.raises(Conflict) as caught:
            grant(site, "standard", "readers", Operation.DECRYPT)
        assert caught.value.code == "policy.exists"
        assert site.everything() == before

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ({"target": ""}, "name.invalid"),
            ({"type": PolicyType.SCOPE, "target": ""}, "name.invalid"),
            ({"type": PolicyType.SYSTEM_USER, "target": "x"}, "policy.target"),
            ({"type": PolicyType.RESOURCE_EXCHANGE, "target": "x"}, "policy.exchange"),
            ({"type": PolicyType.SCOPE, "target": "x", "impersonation": True}, None),
            ({"target": "x", "name": "taken"}, "policy.named"),
            ({"target": "x", "name": "a=b"}, "name.invalid"),
        ],
    )
    def test_a_policy_that_cannot_be(self, site, said, code):
        grant(site, "equal", "guests", Operation.BOTH, name="taken")
        before = site.everything()
        with pytest.raises((Conflict, Invalid)) as caught:
            grant(
                site, "standard", operation=Operation.BOTH, **{"role": said.pop("target"), **said}
            )
        assert caught.value.code == (code or "policy.impersonation")
        assert site.everything() == before

    def test_policies_of_the_same_name_are_told_apart_by_id(self, site):
        with site.snapshot() as tx:
            same = [
                p
                for p in policies.listed(tx, site.integrity)
                if p.name == "role readers: decrypt, track"
            ]
        assert len(same) == 2
        with pytest.raises(Conflict) as caught:
            change(site, policies.remove, same[0].name)
        assert caught.value.code == "policy.ambiguous"
        change(site, policies.remove, same[0].sys_id)
        change(site, policies.remove, same[1].name)
        assert not may(site, "reader", "standard", Operation.DECRYPT)

    def test_a_policy_is_found_by_name_and_shown_whole(self, site):
        made = say(site, "standard", "x", Result.REJECT, type=PolicyType.SCOPE, name="no x")
        with site.snapshot() as tx:
            found = policies.get(tx, site.integrity, "no x")
            assert found == policies.get(tx, site.integrity, made)
        assert (found.type, found.target, found.result) == (PolicyType.SCOPE, "x", Result.REJECT)
        change(site, policies.remove, "no x")
        with pytest.raises(NotFound), site.snapshot() as tx:
            policies.get(tx, site.integrity, made)

    def test_what_was_granted_is_in_the_audit_log(self, site):
        grant(site, "standard", "guests", Operation.DECRYPT)
        ((actor, action, detail),) = site.sql(
            "SELECT actor, action, detail FROM keystead_audit ORDER BY sequence DESC LIMIT 1"
        )
        assert (actor, action) == ("test", "policy.create")
        assert "guests" in detail
