"""Who may administer what: role by operation by elevation, and role by table, without a gap."""

from __future__ import annotations

import itertools

import pytest

from keystead.access.authority import (
    OPERATIONS,
    READERS,
    Actor,
    may,
    may_elevated,
    refuse_unless_may,
    refuse_unless_reads,
)
from keystead.access.roles import ADMIN, AUDITOR, CATALOGUE, MANAGER, OPERATOR, SECURITY, SYSTEM
from keystead.base.errors import Denied

LETTERS = {"S": SYSTEM, "A": ADMIN, "M": MANAGER, "O": OPERATOR, "U": AUDITOR}
# who may, written down once more: a letter for each role; + where it takes an elevated session
MAY_DO = """
    module.create A M
    module.publish A M
    module.default A M +
    key.generate A M
    key.rotate A M O
    key.suspend A M
    key.resume A M
    key.renew A M O
    key.revoke A M O
    key.destroy A M +
    key.request_destruction A M +
    key.drop A M +
    rule.add A M
    rule.remove A M
    cap.set A
    cap.remove A
    destruction.approve A M O U +
    quorum.set A +
    policy.create A M +
    policy.activate A M +
    policy.deactivate A M +
    policy.remove A M +
    policy.debug *
    field.configure A M +
    field.configure_attachments A M +
    field.preview A M
    field.encrypt A M +
    field.rekey A M O
    job.resume A M O
    job.cancel A M O
    census.count A M O U
    peer.add S A +
    peer.remove S A +
    exchange.request A M
    exchange.refresh A M
    external.create_aws A M +
    external.create_hsm A M +
    external.create_file A M +
    external.change_aws A M +
    external.change_hsm A M +
    external.change_file A M +
    external.test A M
    external.activate A M +
    external.wrap A M +
    external.synchronise A M O
    external.blast_radius A M O U
    external.rewrap A M O
    external.rotate_ekek A M +
    external.revoke A M +
    external.reinstate A M +
    external.retire A M +
    clone.preflight S A
    clone.plan S A
    clone.run A +
    clone.cancel S A
    audit.verify A U
    user.create S
    user.activate S +
    user.deactivate S
    user.set_password S +
    user.give_role S A +
    user.take_role S A +
    user.make_token S +
    user.end_sessions S
    token.end S
    group.create S
    group.add_member S A +
    group.remove_member S A +
    group.give_role S A +
    group.take_role S A +
    property.create S
    property.set S
    property.set_protected S A +
    schedule.run S
    schedule.set_interval S +
    schedule.activate S +
    schedule.deactivate S +
"""
MAY_SEE = """
    sys_kmf_crypto_module A M O U
    sys_kmf_module_crypto_spec A M O U
    sys_kmf_module_key A M O U
    keystead_key_rule A M O U
    keystead_key_rule_cap A M O U
    keystead_destroy_request A M O U
    keystead_destroy_quorum A M O U
    sys_kmf_crypto_caller_policy A M O U
    keystead_module_key_rejection A M O U
    sys_platform_encryption_configuration A M O U
    keystead_census A M O U
    keystead_external_configuration A M O U
    sys_kmf_external_key A M O U
    keystead_alert A M O U
    keystead_job S A M O U
    keystead_peer S A M O U
    keystead_exchange_request S A M O U
    keystead_clone_target S A M O U
    keystead_clone S A M O U
    keystead_clone_count S A M O U
    keystead_audit A U
    keystead_audit_head A U
    sys_user S A U
    sys_user_group S A U
    sys_user_grmember S A U
    sys_user_role S A U
    keystead_token S A U
    sys_properties S A U
    sysauto_script S A U
"""


def written(text: str) -> dict[str, set[str]]:
    return {name: set(marks) for name, *marks in map(str.split, text.strip().splitlines())}


DO, SEE = written(MAY_DO), written(MAY_SEE)


def held(marks: set[str]) -> set[str]:
    return set(CATALOGUE) if "*" in marks else {LETTERS[m] for m in marks if m != "+"}


def actor(*roles: str, elevated: bool = False) -> Actor:
    return Actor("user:ann", "ann", frozenset(roles), elevated)


def refusal(who: Actor, operation: str) -> str | None:
    try:
        refuse_unless_may(who, operation)
    except Denied as error:
        return error.code
    return None


def test_every_right_is_written_down():
    assert DO.keys() == OPERATIONS.keys()
    assert SEE.keys() == READERS.keys()


@pytest.mark.parametrize("operation", DO)
def test_role_by_operation_by_elevation(operation):
    needs_elevation = "+" in DO[operation]
    for role, security, elevated in itertools.product(CATALOGUE, (False, True), (False, True)):
        who = actor(*{role, SECURITY} if security else {role}, elevated=elevated)
        fits = role in held(DO[operation])
        secure = SECURITY in who.roles
        expected = None
        if not fits or (needs_elevation and not secure):
            expected = "authority.role"
        elif needs_elevation and not elevated:
            expected = "authority.elevation"
        assert refusal(who, operation) == expected, (role, security, elevated)
        if expected == "authority.role":
            with pytest.raises(Denied) as caught:
                refuse_unless_may(who, operation)
            assert (SECURITY in caught.value.todo) is needs_elevation
        assert may_elevated(who, OPERATIONS[operation]) is (expected != "authority.role")
        assert may(who, OPERATIONS[operation]) is (expected is None)


@pytest.mark.parametrize("table", SEE)
def test_role_by_table(table):
    for role, elevated in itertools.product(CATALOGUE, (False, True)):
        who = actor(role, SECURITY, elevated=elevated)
        if role in held(SEE[table]):
            refuse_unless_reads(who, table)
        else:
            with pytest.raises(Denied) as caught:
                refuse_unless_reads(who, table)
            assert caught.value.code == "authority.table"


@pytest.mark.parametrize("roles", [(), ("reader",), (SECURITY,)])
def test_other_roles_administer_nothing(roles):
    who = actor(*roles, elevated=True)
    assert {name for name in OPERATIONS if refusal(who, name) is None} == {"policy.debug"}
    assert not any(may(who, right) for right in READERS.values())


def test_an_alias_is_the_role_that_it_names():
    who = actor("sn_kmf.crypto_manager")
    assert refusal(who, "module.create") is None
    refuse_unless_reads(who, "sys_kmf_crypto_module")


def test_who_holds_the_root_key_may_do_everything():
    who = Actor("os:root", None)
    assert {refusal(who, name) for name in OPERATIONS} == {None}
    for table in READERS:
        refuse_unless_reads(who, table)
