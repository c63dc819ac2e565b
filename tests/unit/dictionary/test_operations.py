"""Every declared operation, on a real instance: done by who may, refused to who may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from keystead.access.authority import OPERATIONS as RIGHTS
from keystead.access.authority import Actor
from keystead.access.roles import CATALOGUE, MANAGER, SECURITY
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, Invalid, KeysteadError, NotFound, Unavailable
from keystead.dictionary import guard
from keystead.dictionary.registry import OPERATIONS, TABLES
from keystead.external.provider import Answer, Call
from keystead.jobs import service as jobs
from keystead.keys import held
from keystead.keys import service as keys
from keystead.keys.tables import MODULES

Prepared = tuple[str | None, dict[str, Any]]
# what only looks, and leaves no entry in the audit log
LOOKS = {"policy.debug", "field.preview", "clone.preflight", "external.blast_radius"}
ANN, BOB = Actor("user:ann", "ann"), Actor("user:bob", "bob")


def _on_key(module: str = "people", state: str = "active", **given: Any) -> Any:
    return lambda world: (world.key(module, state), given)


def _expiring(world: Any) -> Prepared:
    key_id = world.key("people")
    with world.node.db.transaction() as tx:
        row = keys.key(tx, world.node.hierarchy, key_id)
        held.change(tx, world.node.hierarchy, row, expires_at=clock.after(86_400))
    return key_id, {}


def _suspended(world: Any) -> Prepared:
    world.run("key.suspend", world.key("people"))
    return world.key("people", "suspended"), {}


def _unneeded(world: Any) -> Prepared:
    world.run("key.rotate", world.key("people"))
    return world.key("people", "deactivated"), {}


def _needed(world: Any) -> Prepared:
    world.encrypt()
    world.run("quorum.set", people=["user:ann", "user:bob", "os:eve"], needed=2)
    return _unneeded(world)[0], {"reason": "asked for"}


def _asked_to_destroy(world: Any) -> Prepared:
    key_id, given = _needed(world)
    made = world.run("key.request_destruction", key_id, **given)
    return made.sys_id, {}


def _imported(world: Any) -> Prepared:
    return world.import_key(), {}


def _keyless(world: Any) -> Prepared:
    world.run("module.publish", world.module("spare"), first_key=False)
    return world.module("spare"), {}


def _rule(world: Any) -> Prepared:
    made = world.run("rule.add", module=world.module("people"), date="expiration", length="1y")
    return made.sys_id, {}


def _cap(world: Any) -> Prepared:
    world.run("cap.set", date="rotation", most="18m")
    return world.id_of("keystead_key_rule_cap"), {}


def _policy(world: Any) -> Prepared:
    return world.policy(), {}


def _inactive_policy(world: Any) -> Prepared:
    policy_id = world.policy()
    world.run("policy.deactivate", policy_id)
    return policy_id, {}


def _of_column(column: str) -> Callable[[Any], Prepared]:
    return lambda world: (
        None,
        {"table": "customers", "column": column, "module": world.module("people")},
    )


def _sealed(world: Any) -> Prepared:
    world.encrypt()
    return world.configuration(), {"rows_per_second": 1_000}


def _new_job(world: Any) -> Prepared:
    return world.run("field.encrypt", world.configuration()).job, {}


def _failed_job(world: Any) -> Prepared:
    job_id, _ = _new_job(world)
    with world.node.db.transaction() as tx:
        jobs.fail(tx, jobs.claim(tx, job_id), KeysteadError("unexpected", reason="x", switch="y"))
    return job_id, {}


def _stranger(world: Any) -> Prepared:
    world.node.unpair(world.net.third)
    identity = world.net.third.identity
    return None, {"url": "https://third.example:8420", "fingerprint": identity.fingerprint}


def _asked_for_keys(world: Any) -> Prepared:
    spec = world.specification("people")
    made = world.run(
        "exchange.request", source_instance=world.net.third.id, crypto_specifications=[spec]
    )
    return made.sys_id, {}


def _planned(world: Any) -> Prepared:
    world.encrypt()
    return world.plan(), {}


def _running(world: Any) -> Prepared:
    clone_id, _ = _planned(world)
    world.run("clone.run", clone_id)
    return clone_id, {}


def _on_user(**given: Any) -> Any:
    return lambda world: (world.id_of("sys_user", user_name="bob"), given)


def _bob_has_role(world: Any) -> Prepared:
    bob = world.id_of("sys_user", user_name="bob")
    world.run("user.give_role", bob, role="reader")
    return bob, {"role": "reader"}


def _bob_is_out(world: Any) -> Prepared:
    bob = world.id_of("sys_user", user_name="bob")
    world.run("user.deactivate", bob)
    return bob, {}


def _token(world: Any) -> Prepared:
    world.run("user.make_token", world.id_of("sys_user", user_name="bob"), name="reports")
    return world.id_of("keystead_token"), {}


def _group(world: Any) -> str:
    made = world.run("group.create", name="helpers")
    assert made.sys_id
    return str(made.sys_id)


def _group_role(world: Any) -> Prepared:
    group = _group(world)
    world.run("group.give_role", group, role="reader")
    return group, {"role": "reader"}


def _bob(world: Any) -> dict[str, str]:
    return {"user": world.id_of("sys_user", user_name="bob")}


def _member(world: Any) -> Prepared:
    group = _group(world)
    world.run("group.add_member", group, **_bob(world))
    return group, _bob(world)


def _on_property(name: str, value: str) -> Callable[[Any], Prepared]:
    return lambda world: (world.id_of("sys_properties", name=name), {"value": value})


def _schedule(world: Any) -> str:
    return world.id_of("sysauto_script", operation="keys.apply_rules")


def _stopped(world: Any) -> Prepared:
    world.run("schedule.deactivate", _schedule(world))
    return _schedule(world), {}


def _new_external(kind: str, **settings: Any) -> Callable[[Any], Prepared]:
    return lambda _world: (None, {"name": kind, **OF_KIND[kind], **settings})


def _changed_external(kind: str, **changed: Any) -> Callable[[Any], Prepared]:
    def prepared(world: Any) -> Prepared:
        made = world.run(f"external.create_{kind}", name=kind, **OF_KIND[kind])
        return made.sys_id, changed

    return prepared


def _draft(world: Any) -> Prepared:
    return world.external(), {}


def _on_active(**given: Any) -> Callable[[Any], Prepared]:
    return lambda world: (world.active_external(), given)


def _chosen(world: Any) -> Prepared:
    return world.module("people"), {"configuration": world.active_external()}


def _disabled_outside(world: Any) -> Prepared:
    world.active_external()
    world.vendor.state = Answer.DISABLED
    return None, {}


def _revoked(world: Any) -> Prepared:
    configuration_id = world.active_external()
    world.run("external.revoke", configuration_id, reason="laptop stolen")
    return configuration_id, {}


OF_KIND = {
    "aws": {"region": "eu-central-1", "key_arn": "arn:aws:kms:eu-central-1:1:key/2"},
    "hsm": {"module": "/usr/lib/hsm.so", "token": "hsm", "key_label": "keystead"},
    "file": {"path": "/media/key"},
}
PREPARED: dict[str, Callable[[Any], Prepared]] = {
    "module.create": lambda _world: (
        None,
        {"name": "sales.orders", "scheme": "equality preserving"},
    ),
    "module.publish": lambda world: (world.module("spare"), {"first_key": "true"}),
    "module.default": lambda world: (world.module("people"), {"default": "track"}),
    "key.generate": _keyless,
    "key.rotate": _on_key(),
    "key.suspend": _on_key(),
    "key.resume": _suspended,
    "key.renew": _expiring,
    "key.revoke": _on_key(reason="laptop stolen"),
    "key.destroy": _unneeded,
    "key.request_destruction": _needed,
    "key.drop": _imported,
    "rule.add": lambda world: (
        None,
        {"module": world.module("people"), "date": "rotation", "length": "90d", "order": "2"},
    ),
    "rule.remove": _rule,
    "cap.set": lambda world: (
        None,
        {"date": "rotation", "most": "2y", "module": world.module("people")},
    ),
    "cap.remove": _cap,
    "destruction.approve": _asked_to_destroy,
    "quorum.set": lambda _world: (None, {"people": ["user:ann", "user:bob"], "needed": 2}),
    "policy.create": lambda world: (
        None,
        {
            "module": world.module("people"),
            "target": "support",
            "operation": "decrypt",
            "result": "reject",
            "specification": world.specification("people"),
            "name": "no support",
        },
    ),
    "policy.activate": _inactive_policy,
    "policy.deactivate": _policy,
    "policy.remove": _policy,
    "policy.debug": lambda world: (None, {"module": world.module("people"), "user": "bob"}),
    "field.configure": _of_column("city"),
    "field.configure_attachments": lambda world: (
        None,
        {"table": "customers", "module": world.module("people")},
    ),
    "field.preview": _of_column("city"),
    "field.encrypt": lambda world: (world.configuration(), {}),
    "field.rekey": _sealed,
    "job.resume": _failed_job,
    "job.cancel": _new_job,
    "census.count": lambda _world: (None, {}),
    "peer.add": _stranger,
    "peer.remove": lambda world: (world.net.third.id, {}),
    "exchange.request": lambda world: (
        None,
        {
            "source_instance": world.net.third.id,
            "crypto_specifications": [world.specification("people")],
        },
    ),
    "exchange.refresh": _asked_for_keys,
    "external.create_aws": _new_external("aws", secret_access_key="a long secret"),
    "external.create_hsm": _new_external("hsm", pin="123456"),
    "external.create_file": _new_external("file", lease_seconds="30"),
    "external.change_aws": _changed_external("aws", secret_access_key="another secret"),
    "external.change_hsm": _changed_external("hsm", grace_seconds="60"),
    "external.change_file": _changed_external("file", path="/media/other"),
    "external.test": _draft,
    "external.activate": _draft,
    "external.wrap": _chosen,
    "external.synchronise": _disabled_outside,
    "external.blast_radius": _on_active(),
    "external.rewrap": _on_active(),
    "external.rotate_ekek": _on_active(),
    "external.revoke": _on_active(reason="laptop stolen"),
    "external.reinstate": _revoked,
    "external.retire": _on_active(),
    "clone.preflight": lambda world: (world.net.test.id, {}),
    "clone.plan": lambda world: (world.encrypt(), (None, {"target": world.net.test.id}))[1],
    "clone.run": _planned,
    "clone.cancel": _running,
    "audit.verify": lambda _world: (None, {}),
    "user.create": lambda _world: (None, {"user_name": "carl"}),
    "user.give_role": _on_user(role="reader"),
    "user.take_role": _bob_has_role,
    "user.set_password": _on_user(password="a long enough password"),
    "user.make_token": _on_user(name="reports", days="7"),
    "user.end_sessions": _on_user(),
    "user.deactivate": _on_user(),
    "user.activate": _bob_is_out,
    "group.create": lambda _world: (None, {"name": "helpers"}),
    "group.add_member": lambda world: (_group(world), _bob(world)),
    "group.remove_member": _member,
    "group.give_role": lambda world: (_group(world), {"role": "reader"}),
    "group.take_role": _group_role,
    "token.end": _token,
    "property.create": lambda _world: (None, {"name": "our.own", "value": "1"}),
    "property.set": _on_property("keystead.list.rows", "20"),
    "property.set_protected": _on_property("glide.ui.session_timeout", "15"),
    "schedule.run": lambda world: (_schedule(world), {}),
    "schedule.set_interval": lambda world: (_schedule(world), {"minutes": "10"}),
    "schedule.activate": _stopped,
    "schedule.deactivate": lambda world: (_schedule(world), {}),
}
EACH = pytest.mark.parametrize("operation", OPERATIONS)


def holder(operation: str, *, elevated: bool = True) -> Actor:
    """Ann with no more than what the operation takes."""
    right = RIGHTS[operation]
    role = MANAGER if "*" in right.roles else min(right.roles)
    roles = {role, SECURITY} if right.elevated else {role}
    return Actor("user:ann", "ann", frozenset(roles), elevated and right.elevated)


def test_every_operation_is_tried():
    assert PREPARED.keys() == OPERATIONS.keys()


@EACH
def test_who_may_does_it(world, operation):
    sys_id, given = PREPARED[operation](world)
    before = world.node.audit_length()
    done = world.run_as(holder(operation), operation, sys_id, given)
    assert done.message.endswith(".")
    assert "\n" not in done.message
    shown = TABLES[done.table]
    if done.sys_id is not None:
        guard.row(world.context(), shown, done.sys_id)
    if done.job is not None:
        assert world.id_of("keystead_job", sys_id=done.job) == done.job
    if done.report is not None:
        assert all(len(row) == len(done.report.columns) for row in done.report.rows)
    written = world.node.audit(world.node.audit_length() - before)
    assert bool(written) is (operation not in LOOKS)
    assert {entry["actor"] for entry in written} <= {"user:ann"}


@EACH
def test_who_has_every_other_role_is_refused_and_nothing_changes(world, operation):
    sys_id, given = PREPARED[operation](world)
    others = frozenset(CATALOGUE) - RIGHTS[operation].roles
    if "*" in RIGHTS[operation].roles:
        who, code = BOB, "policy.debug"
    else:
        who, code = Actor("user:ann", "ann", others, elevated=True), "authority.role"
    before = world.node.contents()
    with pytest.raises(Denied) as caught:
        world.run_as(who, operation, sys_id, given)
    assert caught.value.code == code
    assert world.node.contents() == before


@pytest.mark.parametrize("operation", [name for name, right in RIGHTS.items() if right.elevated])
def test_without_elevation_it_is_refused_and_nothing_changes(world, operation):
    sys_id, given = PREPARED[operation](world)
    before = world.node.contents()
    with pytest.raises(Denied) as caught:
        world.run_as(holder(operation, elevated=False), operation, sys_id, given)
    assert caught.value.code == "authority.elevation"
    assert world.node.contents() == before


@EACH
def test_a_parameter_that_is_not_declared_is_refused(world, operation):
    sys_id, given = PREPARED[operation](world)
    before = world.node.contents()
    with pytest.raises(Invalid) as caught:
        world.run(operation, sys_id, **given, no_such_parameter="x")
    assert caught.value.code == "operation.parameters"
    assert world.node.contents() == before


@pytest.mark.parametrize(
    "operation",
    [o.name for table in TABLES.values() for o in table.operations],
)
@pytest.mark.parametrize("sys_id", [None, "", "0" * 32, "9" * 40, "' OR 1=1 --"])
def test_a_row_that_is_not_there_is_not_found(world, operation, sys_id):
    with pytest.raises(NotFound) as caught:
        world.run(operation, sys_id)
    assert caught.value.code == "row.missing"


# --- what single operations come to --------------------------------------------------------------


def test_a_key_that_waits_is_rotated_to(world):
    made = world.run("key.generate", world.module("people"), waiting="true")
    assert world.key("people", "generated") == made.sys_id
    done = world.run("key.rotate", world.key("people"), to=made.sys_id)
    assert done.sys_id == world.key("people") == made.sys_id
    with pytest.raises(NotFound) as caught:
        world.run("key.rotate", made.sys_id, to=world.key("names"))
    assert caught.value.code == "key.not_of_module"
    assert world.key("people") == made.sys_id


def test_the_last_approval_that_is_needed_destroys_the_key(world):
    request_id, _ = _asked_to_destroy(world)
    first, second = (
        holder("destruction.approve"),
        Actor("user:bob", "bob", frozenset({MANAGER, SECURITY}), elevated=True),
    )
    with pytest.raises(Denied) as caught:
        world.run("destruction.approve", request_id)
    assert caught.value.code == "destroy.denied", "who asked for it approves nothing"
    assert world.run_as(first, "destruction.approve", request_id, {}).message.startswith("1 of 2")
    with pytest.raises(Denied):
        world.run_as(first, "destruction.approve", request_id, {})
    done = world.run_as(second, "destruction.approve", request_id, {})
    assert "is destroyed" in done.message
    (row,) = world.rows("keystead_destroy_request")
    assert (row["state"], row["approvers"]) == ("destroyed", "user:ann, user:bob")
    assert world.key("people", "destroyed") == row["key_id"]
    with pytest.raises(Conflict):
        world.run_as(second, "destruction.approve", request_id, {})


@pytest.mark.parametrize(
    "asked", [{"user": "nobody"}, {"impersonate": "nobody", "user": "ann"}, {"module": "0" * 32}]
)
def test_who_may_not_see_decisions_learns_of_no_name_from_the_debugger(world, asked):
    with pytest.raises(Denied) as caught:
        world.run_as(BOB, "policy.debug", None, {"module": world.module("people"), **asked})
    assert caught.value.code == "policy.debug"


def test_the_debugger_tells_each_policy_and_what_decided(world):
    world.policy(result="strict-reject", name="never")
    world.policy(operation="decrypt", name="readers")
    done = world.run("policy.debug", module=world.module("people"), user="ann", operation="encrypt")
    assert done.message == "Deny: deny unless allowed elsewhere, by system default."
    assert done.report.title == "global.people: may user:ann encrypt?"
    assert [dict(zip(done.report.columns, row, strict=True)) for row in done.report.rows] == [
        {
            "Name": "never",
            "Type": "role",
            "Target": "reader",
            "Operation": "both",
            "Result": "strict-reject",
            "Impersonation": False,
            "Match": "not for this caller",
        },
        {
            "Name": "readers",
            "Type": "role",
            "Target": "reader",
            "Operation": "decrypt",
            "Result": "track",
            "Impersonation": False,
            "Match": "for another operation",
        },
    ]


def test_a_preview_counts_and_changes_nothing(world):
    before = world.node.contents()
    _, given = PREPARED["field.preview"](world)
    done = world.run("field.preview", **given)
    assert dict(done.report.rows)["Values to encrypt"] == 2
    assert dict(done.report.rows)["Empty, which stay empty"] == 1
    assert "Hidden City" not in json.dumps(done.report.rows)
    with pytest.raises(Invalid) as caught:
        world.run("field.preview", **{**given, "column": "sys_id"})
    assert caught.value.code == "field.refused"
    with pytest.raises(Conflict) as caught:
        world.run("field.preview", **{**given, "column": "name"})
    assert caught.value.code == "field.exists"
    assert world.node.contents() == before


def test_a_request_for_keys_is_pending_on_both_instances(world, request_to):
    done = world.run("exchange.request", **request_to(world, world.net.third))
    assert done.message.startswith("Request Pending")
    (row,) = world.rows("keystead_exchange_request")
    assert row["sys_id"] == done.sys_id
    assert (row["status"], row["side"], row["frequency"]) == (
        *("Request Pending", "target"),
        "One Time Clone",
    )
    assert (row["peer_id"], row["host"]) == (world.net.third.id, "third.example:8420")
    assert row["specifications"] == "global.names, global.people"
    assert row["rekey"] is True
    with world.node.db.transaction() as tx:
        lease = jobs.claim(tx, done.job)
    from keystead.exchange.job import ExchangeJob

    node = world.node
    ExchangeJob(node.db, node.hierarchy, world.net.channel(node)).obtain(lease)
    theirs = world.context(node=world.net.third)
    (other,) = guard.rows(theirs, TABLES["keystead_exchange_request"])
    assert (other["sys_id"], other["status"], other["side"]) == (
        *(done.sys_id, "Request Pending"),
        "source",
    )
    assert len(world.rows("keystead_exchange_request")) == 1


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"source_host": "elsewhere.example"}, "peer.host"),
        ({"source_instance": "0" * 32}, "peer.missing"),
        ({"crypto_specifications": ["0" * 32]}, "specification.missing"),
        ({"crypto_specifications": []}, "operation.parameters"),
        ({"exchange_frequency": "Adhoc"}, "operation.parameters"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_whole(world, request_to, changed, code):
    before = world.node.contents()
    with pytest.raises(KeysteadError) as caught:
        world.run("exchange.request", **{**request_to(world, world.net.third), **changed})
    assert caught.value.code == code
    assert world.node.contents() == before


def test_pairing_takes_the_fingerprint_that_was_told(world):
    _, given = _stranger(world)
    for changed, family in (
        ({"fingerprint": world.net.test.identity.fingerprint}, Denied),
        ({"fingerprint": "x"}, Invalid),
        ({"url": "http://third.example:8420"}, Invalid),
        ({"url": "https://nobody.example"}, Unavailable),
    ):
        with pytest.raises(family):
            world.run("peer.add", **{**given, **changed})
    assert world.net.third.id not in {row["sys_id"] for row in world.rows("keystead_peer")}
    world.run("peer.add", **given)
    assert world.id_of("keystead_peer", url=given["url"]) == world.net.third.id


def test_a_clone_is_run_and_cancelled_by_its_own_operations(world):
    clone_id, _ = _running(world)
    job_id = world.id_of("keystead_job", subject=clone_id)
    with pytest.raises(Conflict) as caught:
        world.run("job.cancel", job_id)
    assert caught.value.code == "operation.unfit"
    world.run("clone.cancel", clone_id)
    assert world.id_of("keystead_clone", state="cancelled") == clone_id
    assert world.id_of("keystead_job", state="cancelled") == job_id
    active = [row["active"] for row in world.rows("sys_kmf_crypto_caller_policy")]
    assert active == [False, False, False], "no key may travel for it any more"


def test_policies_of_key_exchange_are_not_changed_by_hand(world):
    _running(world)
    policies = world.rows("sys_kmf_crypto_caller_policy")
    assert {row["type"] for row in policies} == {"resource exchange"}
    for operation in ("policy.deactivate", "policy.remove"):
        with pytest.raises(Conflict):
            world.run(operation, policies[0]["sys_id"])


def test_a_key_that_values_need_is_neither_destroyed_nor_dropped(world):
    key_id, _ = _needed(world)
    with pytest.raises(Conflict) as caught:
        world.run("key.destroy", key_id)
    assert caught.value.code == "key.needed"
    with pytest.raises(Conflict) as caught:
        world.run("key.drop", key_id)
    assert caught.value.code == "operation.unfit"


def test_a_check_is_written_down_and_tells_what_differs(world):
    assert world.run("audit.verify").report is None
    (entry,) = world.node.audit(1)
    assert (entry["action"], entry["detail"]) == ("audit.verify", {"findings": 0})
    world.node.sql("UPDATE keystead_audit SET subject = 'another' WHERE sequence = 2")
    done = world.run("audit.verify")
    assert done.report.rows
    assert done.message.startswith(f"{len(done.report.rows)} differences")


@pytest.mark.parametrize("given", [{}, {"length": "1y", "at": "2090-01-01"}, {"length": "1w"}])
def test_a_rule_is_either_relative_or_for_one_date(world, given):
    with pytest.raises(Invalid):
        world.run("rule.add", module=world.module("people"), date="rotation", **given)
    assert world.rows("keystead_key_rule") == []
    made = world.run(
        "rule.add", module=world.module("people"), date="rotation", at="2090-01-01T12:00"
    )
    assert made.message == "global.people: rotation at 2090-01-01T12:00:00.000000Z."


# --- external keys -------------------------------------------------------------------------------


def test_a_module_under_an_external_key_says_so_and_its_keys_name_their_ekek(world):
    _, given = _chosen(world)
    world.run("external.wrap", world.module("people"), **given)
    module = next(r for r in world.rows("sys_kmf_crypto_module") if r["name"] == "global.people")
    assert module["external_configuration"] == given["configuration"]
    assert module["external_wrap_key"] == "key 1"
    assert module["rewrap"] is None
    (ekek,) = world.rows("sys_kmf_external_key")
    keys_under = [r for r in world.rows("sys_kmf_module_key") if r["ekek_id"] == ekek["sys_id"]]
    assert [r["module_id"] for r in keys_under] == [world.module("people")]
    assert (ekek["keys"], ekek["state"]) == (1, "active")


def test_keys_that_wait_for_a_provider_are_counted_until_they_are_moved(world):
    world.run("key.rotate", world.key("people"))
    first, second = world.active_external("first"), world.active_external("second")
    world.run("external.wrap", world.module("people"), configuration=first)
    instance = world.node.instance
    with world.node.db.transaction() as tx:
        row = keys.module(tx, instance.hierarchy, "people")
        instance.hierarchy.integrity.update(
            tx, MODULES, row, row["name"], external_configuration=second
        )
    (found,) = [r for r in world.rows("sys_kmf_crypto_module") if r["rewrap"]]
    assert found["rewrap"].endswith(f"crypto module {found['sys_id']}: keys moved 0 of 2")
    assert "2 keys moved" in world.run("external.synchronise").message
    assert not [r for r in world.rows("sys_kmf_crypto_module") if r["rewrap"]]


def test_what_goes_dark_is_told_before_and_raised_with_its_reach(world):
    world.encrypt()
    _, given = _chosen(world)
    world.run("external.wrap", world.module("names"), configuration=given["configuration"])
    (row,) = world.rows("keystead_external_configuration")
    (told,) = [
        operation.before(world.context(), row)
        for operation in TABLES["keystead_external_configuration"].operations
        if operation.name == "external.revoke"
    ]
    assert ("column", "customers.name", "global.names", 3) in told.rows
    world.vendor.state, world.vendor.deletion_at = Answer.PENDING_DELETION, clock.after(9 * 86_400)
    world.run("external.synchronise")
    (alert,) = world.rows("keystead_alert")
    assert alert["status"] == "pending deletion"
    assert world.vendor.deletion_at[:10] in alert["what"]
    (row,) = world.rows("keystead_external_configuration")
    assert (row["status"], row["deletion_at"]) == ("pending deletion", world.vendor.deletion_at)


def test_credentials_are_kept_and_never_told(world):
    _, given = PREPARED["external.create_aws"](world)
    made = world.run("external.create_aws", **given)
    (row,) = world.rows("keystead_external_configuration")
    assert row["has_credentials"]
    assert "Key ARN: arn:aws:kms:eu-central-1:1:key/2" in row["settings"]
    world.run("external.change_aws", made.sys_id, lease_seconds="30")
    (row,) = world.rows("keystead_external_configuration")
    assert (row["has_credentials"], row["lease_seconds"]) == (True, 30)
    assert "a long secret" not in json.dumps([row, world.node.audit(5)])
    assert "a long secret" not in str(world.node.contents())
    for other in ("external.change_file", "external.change_hsm"):
        with pytest.raises(Conflict) as caught:
            world.run(other, made.sys_id)
        assert caught.value.code == "operation.unfit"


def test_what_names_the_key_of_an_active_configuration_stays(world):
    configuration_id = world.active_external()
    with pytest.raises(Conflict) as caught:
        world.run("external.change_file", configuration_id, path="/media/other")
    assert caught.value.code == "external.critical"


def test_a_test_tells_the_call_that_failed(world):
    configuration_id = world.external()
    world.vendor.answers[Call.UNWRAP] = Answer.DENIED
    done = world.run("external.test", configuration_id)
    assert [row[0] for row in done.report.rows if row[1] != "passed"] == ["decrypt"]
    assert "failed at decrypt" in done.message
