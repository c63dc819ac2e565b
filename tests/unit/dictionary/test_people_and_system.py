"""Users, groups, roles, tokens, properties and schedules, as those who administer them do it."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest

from keystead.access import accounts, authority, people, policies, properties
from keystead.access.accounts import LogIn
from keystead.access.authority import OPERATIONS as RIGHTS
from keystead.access.authority import Actor, refuse_unless_gives
from keystead.access.decision import Operation as Granular
from keystead.access.decision import PolicyType, Result
from keystead.access.properties import DEBUGGER_ROLES, LIST_ROWS, SESSION_IDLE_MINUTES
from keystead.access.roles import ADMIN, AUDITOR, CATALOGUE, MANAGER, SECURITY, SYSTEM
from keystead.access.sessions import Sessions
from keystead.base.errors import Conflict, Denied, Invalid, KeysteadError, NotFound
from keystead.crypto import password
from keystead.dictionary import guard, system
from keystead.dictionary import people as declared
from keystead.dictionary.model import Context, Outcome
from keystead.dictionary.registry import OPERATIONS, TABLES
from keystead.instance import scheduled, schedules

HOME = Actor("os:root", None)
PASSWORD = "correct horse battery"
OURS = [
    name
    for table in (*declared.TABLES, *system.TABLES)
    for name in (operation.name for operation in table.every_operation)
]


def who(*roles: str, elevated: bool = True) -> Actor:
    return Actor("user:ann", "ann", frozenset(roles), elevated)


class Desk:
    """An instance as somebody administers it."""

    def __init__(self, site: Any) -> None:
        self.site = site

    def context(self, actor: Actor) -> Context:
        return Context(self.site.instance, actor, SimpleNamespace())  # type: ignore[arg-type]

    def run(
        self, name: str, sys_id: str | None = None, actor: Actor = HOME, /, **given: Any
    ) -> Outcome:
        (table,) = (t for t in TABLES.values() if OPERATIONS[name] in t.every_operation)
        return guard.run(self.context(actor), table, OPERATIONS[name], sys_id, given)

    def refusal(self, name: str, sys_id: str, actor: Actor, /, **given: Any) -> str:
        before = self.site.everything()
        with pytest.raises(KeysteadError) as refused:
            self.run(name, sys_id, actor, **given)
        assert self.site.everything() == before
        return refused.value.code

    def rows(self, table: str, actor: Actor = HOME) -> list[Any]:
        return list(guard.rows(self.context(actor), TABLES[table]))

    def row(self, table: str, **facts: Any) -> Any:
        (found,) = [r for r in self.rows(table) if all(r[n] == v for n, v in facts.items())]
        return found

    def user(self, name: str, *roles: str) -> str:
        made = self.run("user.create", user_name=name).sys_id
        assert made is not None
        for role in roles:
            self.run("user.give_role", made, role=role)
        return made


@pytest.fixture
def desk(site: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(password, "hashed", lambda clear: f"hash of {clear[::-1]}")
    monkeypatch.setattr(password, "is_right", lambda c, stored: stored == f"hash of {c[::-1]}")
    return Desk(site)


def test_every_right_of_ours_is_for_few() -> None:
    assert len(OURS) > 20
    for name in OURS:
        assert RIGHTS[name].roles <= {SYSTEM, ADMIN}, name
    changing = [name for name in OURS if name.endswith("_role") or name.endswith("_member")]
    assert len(changing) == 6
    assert all(RIGHTS[name].elevated for name in [*changing, "user.set_password"])


@pytest.mark.parametrize("elevated", [False, True])
def test_who_gives_which_role(elevated: bool) -> None:
    for mine, security, role in itertools.product(CATALOGUE, (False, True), [*CATALOGUE, "desk"]):
        actor = who(*{mine, SECURITY} if security else {mine}, elevated=elevated)
        gives = ADMIN if role.startswith("sn_kmf.") else SYSTEM
        may = mine == gives and (role != SECURITY or (security and elevated))
        if may:
            refuse_unless_gives(actor, [role])
            continue
        with pytest.raises(Denied):
            refuse_unless_gives(actor, [role])
    refuse_unless_gives(HOME, CATALOGUE)
    with pytest.raises(Denied):
        refuse_unless_gives(who(SYSTEM, SECURITY), ["desk", "sn_kmf.crypto_manager"])


def test_a_user_is_made_given_roles_and_let_in(desk: Desk) -> None:
    made = desk.user("bob", "support")
    desk.run("user.set_password", made, password=PASSWORD)
    assert LogIn(desk.site.integrity).by_password(desk.site.database, "bob", PASSWORD) == "bob"
    row = desk.row("sys_user", sys_id=made)
    assert (row["user_name"], row["state"], row["roles"]) == ("bob", "active", "support")
    desk.run("user.take_role", made, role="support")
    assert desk.row("sys_user", sys_id=made)["roles"] == ""
    with pytest.raises(Conflict):
        desk.run("user.create", user_name="bob")


def test_a_deactivated_user_is_out(desk: Desk) -> None:
    made = desk.user("bob")
    sessions = Sessions(desk.site.database, desk.site.integrity)
    session = sessions.open("bob")
    desk.run("user.deactivate", made)
    assert sessions.find(session.secret) is None
    with pytest.raises(Conflict) as refused:
        desk.run("user.deactivate", made)
    assert refused.value.code == "operation.unfit"
    desk.run("user.activate", made)
    session = sessions.open("bob")
    assert "1 sessions" in desk.run("user.end_sessions", made).message
    assert sessions.find(session.secret) is None


def test_a_token_is_shown_once(desk: Desk) -> None:
    made = desk.user("bob")
    outcome = desk.run("user.make_token", made, name="reports", days=7)
    token = outcome.shown_once["token"]
    assert token not in outcome.message
    log_in = LogIn(desk.site.integrity)
    assert log_in.by_token(desk.site.database, token) == "bob"
    row = desk.row("keystead_token", name="reports")
    assert (row["user_id"], row["state"]) == (made, "valid")
    desk.run("token.end", row["sys_id"])
    with pytest.raises(Denied):
        log_in.by_token(desk.site.database, token)
    assert desk.row("keystead_token", name="reports")["state"] == "expired"
    for days in (0, 3651, "x"):
        with pytest.raises(Invalid):
            desk.run("user.make_token", made, name="more", days=days)


def test_members_have_the_roles_of_their_group(desk: Desk) -> None:
    bob = desk.user("bob")
    group = desk.run("group.create", name="staff").sys_id
    desk.run("group.give_role", group, role="support")
    desk.run("group.add_member", group, user=bob)
    assert desk.row("sys_user", sys_id=bob)["group_roles"] == "support"
    assert desk.row("sys_user_group", sys_id=group)["members"] == "bob"
    assert [(r["group_id"], r["user_id"]) for r in desk.rows("sys_user_grmember")] == [(group, bob)]
    assert desk.row("sys_user_role", name="support")["given"] == 1
    desk.run("group.remove_member", group, user=bob)
    desk.run("group.take_role", group, role="support")
    assert desk.row("sys_user_group", sys_id=group)["roles"] == ""
    with pytest.raises(NotFound):
        desk.run("group.add_member", group, user="0" * 32)


SYSTEM_ADMIN = who(SYSTEM, SECURITY)
KEY_ADMIN = who(ADMIN, SECURITY)


@pytest.mark.parametrize(
    ("actor", "role", "code"),
    [
        (SYSTEM_ADMIN, MANAGER, "authority.role"),
        (SYSTEM_ADMIN, "sn_kmf.crypto_manager", "authority.role"),
        (SYSTEM_ADMIN, ADMIN, "authority.role"),
        (KEY_ADMIN, SYSTEM, "authority.role"),
        (KEY_ADMIN, SECURITY, "authority.role"),
        (KEY_ADMIN, "support", "authority.role"),
        (who(SYSTEM, SECURITY, elevated=False), "support", "authority.elevation"),
        (who(SYSTEM), SECURITY, "authority.role"),
        (who(MANAGER, SECURITY), MANAGER, "authority.role"),
        (who(AUDITOR, SECURITY), "support", "authority.role"),
    ],
)
def test_nobody_gives_what_is_not_his_to_give(
    desk: Desk, actor: Actor, role: str, code: str
) -> None:
    bob = desk.user("bob")
    group = desk.run("group.create", name="staff").sys_id
    assert group is not None
    assert desk.refusal("user.give_role", bob, actor, role=role) == code
    assert desk.refusal("group.give_role", group, actor, role=role) == code
    desk.run("user.give_role", bob, role=role)
    assert desk.refusal("user.take_role", bob, actor, role=role) == code
    desk.run("group.give_role", group, role=role)
    assert desk.refusal("group.add_member", group, actor, user=bob) == code
    desk.run("group.add_member", group, user=bob)
    assert desk.refusal("group.remove_member", group, actor, user=bob) == code


@pytest.mark.parametrize("by_group", [False, True])
def test_nobody_takes_over_who_has_more_than_he_could_give(desk: Desk, by_group: bool) -> None:
    chief = desk.user("chief")
    if by_group:
        group = desk.run("group.create", name="chiefs").sys_id
        desk.run("group.give_role", group, role=ADMIN)
        desk.run("group.add_member", group, user=chief)
    else:
        desk.run("user.give_role", chief, role=ADMIN)
    given = {"password": PASSWORD}
    assert desk.refusal("user.set_password", chief, SYSTEM_ADMIN, **given) == "authority.role"
    assert desk.refusal("user.make_token", chief, SYSTEM_ADMIN, name="t") == "authority.role"
    desk.run("user.deactivate", chief, SYSTEM_ADMIN)
    assert desk.refusal("user.activate", chief, SYSTEM_ADMIN) == "authority.role"
    both = who(SYSTEM, ADMIN, SECURITY)
    desk.run("user.activate", chief, both)
    desk.run("user.set_password", chief, both, **given)
    desk.run("user.make_token", chief, both, name="t")


def test_each_gives_what_is_his(desk: Desk) -> None:
    bob = desk.user("bob")
    desk.run("user.give_role", bob, SYSTEM_ADMIN, role="support")
    desk.run("user.give_role", bob, SYSTEM_ADMIN, role=SECURITY)
    desk.run("user.give_role", bob, KEY_ADMIN, role=MANAGER)
    assert desk.row("sys_user", sys_id=bob)["roles"] == f"{SECURITY}, {MANAGER}, support"


def test_roles_to_choose_from_are_those_there_are(desk: Desk) -> None:
    desk.user("bob", "support")
    with desk.site.transaction() as tx:
        module = desk.site.sql("SELECT sys_id FROM sys_kmf_crypto_module LIMIT 1")[0][0]
        policies.add(
            tx,
            desk.site.integrity,
            module_id=module,
            module_name="standard",
            type=PolicyType.ROLE,
            target="planned",
            operation=Granular.DECRYPT,
            result=Result.TRACK,
            actor="test",
        )
    known = declared._known_roles(desk.context(HOME))
    assert {"support", "planned", *CATALOGUE} <= set(known)


def test_nothing_that_logs_in_is_in_any_row(desk: Desk) -> None:
    made = desk.user("bob")
    desk.run("user.set_password", made, password=PASSWORD)
    token = desk.run("user.make_token", made, name="t").shown_once["token"]
    shown = json.dumps([list(map(dict, desk.rows(name))) for name in TABLES])
    ((digest,),) = desk.site.sql("SELECT digest FROM keystead_token")
    ((stored,),) = desk.site.sql("SELECT password FROM keystead_credential")
    for secret in (PASSWORD, token, digest, stored):
        assert secret not in shown
    for table in (*declared.TABLES, *system.TABLES):
        wanted = {"sys_id", *(field.name for field in table.fields)}
        assert all(set(row) == wanted for row in desk.rows(table.name)), table.name


def test_a_password_that_is_refused_is_not_repeated(desk: Desk) -> None:
    made = desk.user("bob")
    for clear in ("hunter2", "x" * 1025):
        with pytest.raises(Invalid) as refused:
            desk.run("user.set_password", made, password=clear)
        assert clear not in refused.value.what + refused.value.todo


# --- properties ---


def test_a_protected_property_is_changed_by_its_owner_alone(desk: Desk) -> None:
    idle, debug = SESSION_IDLE_MINUTES.sys_id, DEBUGGER_ROLES.sys_id
    operation = "property.set_protected"
    assert desk.refusal("property.set", idle, SYSTEM_ADMIN, value="5") == "operation.unfit"
    assert desk.refusal(operation, idle, KEY_ADMIN, value="5") == "authority.role"
    assert desk.refusal(operation, debug, SYSTEM_ADMIN, value="x") == "authority.role"
    low = who(SYSTEM, SECURITY, elevated=False)
    assert desk.refusal(operation, idle, low, value="5") == "authority.elevation"
    assert desk.refusal(operation, idle, SYSTEM_ADMIN, value="0") == "property.integer"
    desk.run(operation, idle, SYSTEM_ADMIN, value="5")
    desk.run(operation, debug, KEY_ADMIN, value="helper")
    with desk.site.snapshot() as tx:
        assert properties.whole_number(tx, desk.site.integrity, SESSION_IDLE_MINUTES) == 5
        assert properties.words(tx, desk.site.integrity, DEBUGGER_ROLES) == {"helper"}


def test_other_properties_are_the_administrators(desk: Desk) -> None:
    admin = who(SYSTEM, elevated=False)
    desk.run("property.set", LIST_ROWS.sys_id, admin, value="20")
    made = desk.run("property.create", None, admin, name="acme.colour", value="blue").sys_id
    desk.run("property.set", made, admin, value="green")
    row = desk.row("sys_properties", sys_id=made)
    assert (row["value"], row["type"], row["owner"], row["is_set"]) == (
        "green",
        "string",
        None,
        True,
    )
    assert desk.row("sys_properties", name=LIST_ROWS.name)["value"] == "20"
    assert desk.refusal("property.set", made, who(MANAGER), value="x") == "authority.role"


# --- schedules ---


def test_a_job_is_run_and_decided_about(desk: Desk) -> None:
    job = schedules.VERIFY_AUDIT.sys_id
    scheduled.run(desk.site.instance, schedules.VERIFY_AUDIT)
    assert desk.row("sysauto_script", sys_id=job)["state"] == "done"
    desk.run("schedule.set_interval", job, SYSTEM_ADMIN, minutes=60)
    desk.run("schedule.deactivate", job, SYSTEM_ADMIN)
    row = desk.row("sysauto_script", sys_id=job)
    assert (row["minutes"], row["active"], row["state"]) == (60, False, "not active")
    assert row["next_run"] is None
    desk.run("schedule.run", job, who(SYSTEM, elevated=False))
    assert desk.row("sysauto_script", sys_id=job)["state"] == "waiting"
    assert schedules.VERIFY_AUDIT in [j.operation for j in scheduled.due_jobs(desk.site.instance)]
    desk.run("schedule.activate", job, SYSTEM_ADMIN)
    low = who(SYSTEM, SECURITY, elevated=False)
    assert desk.refusal("schedule.deactivate", job, low) == "authority.elevation"
    assert desk.refusal("schedule.run", job, KEY_ADMIN) == "authority.role"


@pytest.mark.parametrize("table", [*declared.TABLES, *system.TABLES], ids=lambda table: table.path)
def test_who_may_see_what(desk: Desk, table: Any) -> None:
    for role in CATALOGUE:
        actor = who(role, SECURITY)
        if role in authority.READERS[table.name].roles:
            guard.rows(desk.context(actor), table)
        else:
            with pytest.raises(Denied):
                guard.rows(desk.context(actor), table)


def test_who_may_see_people_is_known_by_his_roles_of_now(desk: Desk) -> None:
    bob = desk.user("bob", SYSTEM)
    sessions = Sessions(desk.site.database, desk.site.integrity)
    session = sessions.open("bob")
    actor = sessions.actor(session)
    assert actor is not None
    assert desk.rows("sys_user", actor)
    with desk.site.transaction() as tx:
        accounts.set_password(tx, desk.site.integrity, "bob", PASSWORD, "test")
        people.take_role(tx, desk.site.integrity, "bob", SYSTEM, "test")
    actor = sessions.actor(session)
    assert actor is not None
    with pytest.raises(Denied):
        desk.rows("sys_user", actor)
    assert bob
