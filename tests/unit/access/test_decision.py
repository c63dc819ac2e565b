"""The rule: a table by hand from the specification, and what must hold for any policies."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.access.decision import (
    Decision,
    Match,
    Module,
    ModuleDefault,
    Operation,
    Person,
    Policy,
    PolicyType,
    Question,
    Result,
    Subject,
    decide,
)

MODULE = "m"
SPEC = "s"
ASKED = (Operation.ENCRYPT, Operation.DECRYPT)


def policy(result: Result, target: str = "r", **said: object) -> Policy:
    fields = {
        "sys_id": f"{result}-{target}",
        "name": f"{result} {target}",
        "module_id": MODULE,
        "type": PolicyType.ROLE,
        "target": target,
        "operation": Operation.BOTH,
        "result": result,
    }
    return Policy(**{**fields, **said})


def ask(
    policies: list[Policy],
    subject: Subject,
    operation: Operation = Operation.DECRYPT,
    default: ModuleDefault = ModuleDefault.SYSTEM,
    specification: str = SPEC,
) -> Decision:
    module = Module(MODULE, "global.m", default)
    return decide(policies, Question(module, specification, operation, subject))


def person(name: str, *roles: str, active: bool = True) -> Person:
    return Person(name, frozenset(roles), frozenset(), active)


ADA = Subject(person("ada", "r"))

# --- the table, by hand ---
#
# Rows: which policies of the holder's role there are. T = Track, R = Reject, S = StrictReject.
# Columns: default of the module: system, reject, track. "+" allows, "-" denies.
# The policies are about one operation: "covered" asks for that one, "other" for the other one, for
# which it is as if there were no policy.
BY_HAND = {
    #        covered  other
    "":     ("--+", "--+"),
    "R":    ("---", "--+"),
    "T":    ("+++", "--+"),
    "TR":   ("+++", "--+"),
    "S":    ("---", "--+"),
    "ST":   ("---", "--+"),
    "SR":   ("---", "--+"),
    "STR":  ("---", "--+"),
}  # fmt: skip
RESULTS = {"T": Result.TRACK, "R": Result.REJECT, "S": Result.STRICT_REJECT}

# Who asks, and whether policies for the role "r", without and with impersonation allowed, apply:
# as a grant without it, as a grant with it, as a refusal.
CALLERS = {
    "holder": (Subject(person("ada", "r")), "yyy"),
    "holder by a group": (Subject(Person("ada", group_roles=frozenset({"r"}))), "yyy"),
    "stranger": (Subject(person("eve")), "nnn"),
    "holder of almost that role": (Subject(person("eve", "R", "r ", "rr")), "nnn"),
    "holder impersonates stranger": (Subject(person("eve"), person("ada", "r")), "yyy"),
    "stranger impersonates holder": (Subject(person("ada", "r"), person("eve")), "nyy"),
    "holder impersonates holder": (Subject(person("b", "r"), person("ada", "r")), "yyy"),
    "stranger impersonates stranger": (Subject(person("b"), person("a")), "nnn"),
    "system": (Subject(system=True), "nnn"),
    "scope": (Subject(scope="x"), "nnn"),
    "system for holder": (Subject(person("ada", "r"), system=True), "nny"),  # half a grant
    "system for stranger": (Subject(person("eve"), system=True), "nnn"),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_the_whole_matrix(caller):
    subject, applies = CALLERS[caller]
    questions = itertools.product(BY_HAND, (False, True), Operation, ASKED, ModuleDefault)
    for have, impersonation, about, asked, default in questions:
        as_grant = applies[1 if impersonation else 0] == "y"
        as_refusal = applies[2] == "y"
        seen = "".join(c for c in have if (as_grant if c == "T" else as_refusal))
        covered = about in (asked, Operation.BOTH)
        expected = BY_HAND[seen][0 if covered else 1][list(ModuleDefault).index(default)]
        policies = [policy(RESULTS[c], operation=about, impersonation=impersonation) for c in have]
        found = ask(policies, subject, asked, default)
        assert found.allowed is (expected == "+"), (have, impersonation, about, asked, default)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ("", "-"),
        ("system", "-"),
        ("role", "-"),
        ("role!", "-"),
        ("system role", "-"),
        ("system role!", "+"),
        ("scope role!", "+"),
        ("scope role", "-"),
        ("system scope", "-"),
        ("system role! !role", "-"),
        ("system role! !system", "-"),
        ("system role! ?role", "+"),
    ],
)
def test_the_system_for_a_person_needs_two_grants(policies, expected):
    """`role!` allows impersonation, `!x` is a StrictReject and `?x` a Reject for x."""
    made = {
        "system": policy(Result.TRACK, "", type=PolicyType.SYSTEM_USER),
        "scope": policy(Result.TRACK, "x", type=PolicyType.SCOPE),
        "role": policy(Result.TRACK),
        "role!": policy(Result.TRACK, impersonation=True),
        "!role": policy(Result.STRICT_REJECT),
        "!system": policy(Result.STRICT_REJECT, "", type=PolicyType.SYSTEM_USER),
        "?role": policy(Result.REJECT),
    }
    subject = Subject(person("ada", "r"), scope="x", system=True)
    found = ask([made[word] for word in policies.split()], subject)
    assert found.allowed is (expected == "+")


@pytest.mark.parametrize("default", ModuleDefault)
def test_nobody_is_always_denied(default):
    every = [policy(Result.TRACK, t, type=t_) for t_ in PolicyType for t in ("", "None", "r")]
    found = ask(every, Subject(), default=default)
    assert (found.result, found.decided_by) == (Result.REJECT, "nobody asks")


@pytest.mark.parametrize("default", ModuleDefault)
@pytest.mark.parametrize(
    "subject",
    [
        Subject(person("ada", "r", active=False)),
        Subject(person("ada", "r", active=False), person("eve", "r")),
        Subject(person("ada", "r"), person("eve", "r", active=False)),
        Subject(person("ada", "r", active=False), system=True),
    ],
)
def test_an_inactive_person_is_always_denied(subject, default):
    policies = [
        policy(Result.TRACK, impersonation=True),
        policy(Result.TRACK, "", type=PolicyType.SYSTEM_USER),
    ]
    found = ask(policies, subject, default=default)
    assert not found.allowed
    assert "inactive" in found.decided_by


def test_an_impersonator_needs_a_person_to_impersonate_and_is_not_the_system():
    for said in ({"impersonator": person("a")}, {"impersonator": person("a"), "system": True}):
        with pytest.raises(ValueError, match="impersonates"):
            Subject(**said)
    with pytest.raises(ValueError, match="impersonates"):
        Subject(person("b"), person("a"), system=True)


@pytest.mark.parametrize("type", PolicyType)
def test_each_type_looks_at_its_own_and_an_exchange_policy_at_no_caller(type):
    subjects = {
        PolicyType.ROLE: Subject(person("a", "r")),
        PolicyType.SCOPE: Subject(scope="r"),
        PolicyType.SYSTEM_USER: Subject(system=True),
    }
    found = {t for t, s in subjects.items() if ask([policy(Result.TRACK, type=type)], s).allowed}
    assert found == ({type} & set(subjects))


def test_a_user_named_like_a_role_or_scope_has_neither():
    for type in PolicyType:
        assert not ask([policy(Result.TRACK, "eve", type=type)], Subject(person("eve"))).allowed


def test_a_specification_narrows_a_policy():
    narrow = [policy(Result.TRACK, specification=SPEC)]
    assert ask(narrow, ADA).allowed
    assert not ask(narrow, ADA, specification="other").allowed
    refusing = [policy(Result.TRACK), policy(Result.STRICT_REJECT, specification="other")]
    assert ask(refusing, ADA).allowed
    assert not ask(refusing, ADA, specification="other").allowed


def test_the_trace_has_every_policy_in_the_order_of_evaluation():
    policies = [
        policy(Result.REJECT),
        policy(Result.TRACK, name="b"),
        policy(Result.TRACK, name="a", operation=Operation.ENCRYPT),
        policy(Result.STRICT_REJECT, "other"),
        policy(Result.STRICT_REJECT, active=False),
        policy(Result.TRACK, name="c", specification="x"),
        policy(Result.TRACK, module_id="another"),
    ]
    found = ask(policies, ADA)
    assert [(s.policy.name, s.match) for s in found.steps] == [
        ("strict-reject other", Match.OTHER_CALLER),
        ("strict-reject r", Match.INACTIVE),
        ("a", Match.OTHER_OPERATION),
        ("b", Match.APPLIES),
        ("c", Match.OTHER_SPECIFICATION),
        ("reject r", Match.APPLIES),
    ]
    assert (found.result, found.decided_by) == (Result.TRACK, "policy 'b'")


@pytest.mark.parametrize(
    ("default", "result", "by"),
    [
        (ModuleDefault.SYSTEM, Result.REJECT, "system default"),
        (ModuleDefault.REJECT, Result.REJECT, "module default"),
        (ModuleDefault.TRACK, Result.TRACK, "module default"),
    ],
)
def test_the_actual_result_where_no_policy_decides(default, result, by):
    found = ask([], ADA, default=default)
    assert (found.result, found.decided_by) == (result, by)


def test_callers_have_names_of_their_own():
    """Whatever users are called: neither `>` nor `,` can be in a name."""
    a, b = person("a"), person("b")
    subjects = [
        *(Subject(), Subject(system=True), Subject(scope="a"), Subject(a), Subject(b)),
        *(Subject(a, b), Subject(b, a), Subject(a, system=True), Subject(a, scope="a")),
        *(Subject(person("system")), Subject(person("a user:b")), Subject(person("nobody"))),
    ]
    assert len({s.caller for s in subjects}) == len(subjects)


# --- whatever the policies ---

ROLES = st.sampled_from(["r", "q"])
PEOPLE = st.builds(
    Person,
    st.sampled_from(["ada", "eve"]),
    st.frozensets(ROLES),
    st.frozensets(ROLES),
    st.sampled_from([True, True, True, False]),
)
SCOPES = st.sampled_from([None, "r"])
POLICIES = st.lists(
    st.builds(
        Policy,
        sys_id=st.uuids().map(str),
        name=st.sampled_from(["one", "two"]),
        module_id=st.sampled_from([MODULE, MODULE, "other"]),
        type=st.sampled_from(PolicyType),
        target=ROLES,
        operation=st.sampled_from(Operation),
        result=st.sampled_from(Result),
        specification=st.sampled_from([None, SPEC, "other"]),
        impersonation=st.booleans(),
        active=st.booleans(),
    ),
    max_size=6,
)
SUBJECTS = st.one_of(
    st.builds(Subject, PEOPLE, st.none(), SCOPES),
    st.builds(Subject, PEOPLE, PEOPLE, SCOPES),
    st.builds(Subject, st.one_of(st.none(), PEOPLE), st.none(), SCOPES, st.just(True)),
    st.builds(Subject, scope=SCOPES),
)
SITUATION = (POLICIES, SUBJECTS, st.sampled_from(ASKED), st.sampled_from(ModuleDefault))


@given(*SITUATION, st.randoms())
def test_the_order_of_policies_never_matters(policies, subject, asked, default, random):
    shuffled = list(policies)
    random.shuffle(shuffled)
    assert ask(policies, subject, asked, default) == ask(shuffled, subject, asked, default)


@given(*SITUATION, POLICIES)
def test_more_refusals_never_allow_and_more_grants_never_deny(
    policies, subject, asked, default, more
):
    before = ask(policies, subject, asked, default).allowed
    refusals = [p for p in more if p.result is not Result.TRACK]
    grants = [p for p in more if p.result is Result.TRACK]
    assert before or not ask([*policies, *refusals], subject, asked, default).allowed
    assert not before or ask([*policies, *grants], subject, asked, default).allowed


@given(*SITUATION)
def test_only_active_policies_of_the_question_matter(policies, subject, asked, default):
    relevant = [
        p
        for p in policies
        if p.active
        and p.module_id == MODULE
        and p.specification in (None, SPEC)
        and p.operation in (asked, Operation.BOTH)
        and p.type is not PolicyType.RESOURCE_EXCHANGE
    ]
    wide = ask(policies, subject, asked, default)
    narrow = ask(relevant, subject, asked, default)
    assert (wide.result, wide.decided_by) == (narrow.result, narrow.decided_by)


@given(*SITUATION)
def test_an_applying_strict_reject_denies_whatever_else(policies, subject, asked, default):
    found = ask(policies, subject, asked, default)
    if any(
        s.match is Match.APPLIES and s.policy.result is Result.STRICT_REJECT for s in found.steps
    ):
        assert not found.allowed


@given(POLICIES, PEOPLE, PEOPLE, st.sampled_from(ASKED), st.sampled_from(ModuleDefault))
@settings(max_examples=300)
def test_impersonating_gives_no_more_than_the_two_have(policies, user, actor, asked, default):
    together = ask(policies, Subject(user, actor), asked, default).allowed
    each = [ask(policies, Subject(p), asked, default).allowed for p in (user, actor)]
    assert any(each) or not together


@given(POLICIES, PEOPLE, st.sampled_from(ASKED), st.sampled_from(ModuleDefault))
@settings(max_examples=300)
def test_the_system_for_a_person_may_what_both_may(policies, user, asked, default):
    together = ask(policies, Subject(user, system=True), asked, default).allowed
    alone = ask(policies, Subject(system=True), asked, default).allowed
    own = ask(policies, Subject(user), asked, default).allowed
    assert (alone and own) or not together


@given(POLICIES, PEOPLE, PEOPLE, st.sampled_from(ASKED), st.sampled_from(ModuleDefault))
def test_without_the_flag_only_the_impersonators_own_grants_count(
    policies, user, actor, asked, default
):
    unflagged = [replace(p, impersonation=False) for p in policies]
    if ask(unflagged, Subject(user, actor), asked, default).allowed:
        assert ask(unflagged, Subject(actor), asked, default).allowed


def test_the_table_by_hand_is_whole():
    subsets = {"".join(c) for n in range(4) for c in itertools.combinations("STR", n)}
    assert set(BY_HAND) == subsets
