"""Whether a caller may use a crypto module. Pure: the whole rule stands here, in this order.

1. A caller whom nobody knows is denied, and so is one of whom any person is inactive.
2. An applying StrictReject denies, whatever else there is.
3. An applying Track grants.
4. An applying Reject denies.
5. The default of the module decides, if it has one.
6. The default of the system decides: it is to reject.

A policy applies when it is active, of the module, covers specification and operation, and aims at
the caller. Whom it aims at differs for what refuses and what grants:

- A refusal applies to every person the caller is: who acts, and whom he impersonates.
- A grant applies to who acts, by his own roles. By the roles of the impersonated person it applies
  only if the policy allows impersonation.
- The system acting for a person needs two grants: one to itself or its scope, and one to a role of
  that person which allows impersonation.

So to impersonate somebody, or to act for him, never escapes a refusal that he or oneself meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class PolicyType(StrEnum):
    """What a policy looks at."""

    ROLE = "role"
    SYSTEM_USER = "system-user"
    SCOPE = "scope"
    RESOURCE_EXCHANGE = "resource exchange"


class Operation(StrEnum):
    """What a policy covers."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    BOTH = "both"


Asked = Literal[Operation.ENCRYPT, Operation.DECRYPT]


class Result(StrEnum):
    """What an applying policy decides.

    `track` allows and is logged, `reject` denies unless another policy allows, `strict-reject`
    always denies.
    """

    TRACK = "track"
    REJECT = "reject"
    STRICT_REJECT = "strict-reject"


MEANING: Final[dict[Result, str]] = {
    Result.TRACK: "allow and log",
    Result.REJECT: "deny unless allowed elsewhere",
    Result.STRICT_REJECT: "always deny",
}


class ModuleDefault(StrEnum):
    """What a module decides when none of its policies does."""

    SYSTEM = "system"
    REJECT = "reject"
    TRACK = "track"


class Match(StrEnum):
    """Whether a policy applies to a question, or the first thing that keeps it from it."""

    APPLIES = "applies"
    INACTIVE = "inactive"
    OTHER_SPECIFICATION = "for another specification"
    OTHER_OPERATION = "for another operation"
    OTHER_CALLER = "not for this caller"
    HALF = "not without a grant to the system and one to the person"


SYSTEM_DEFAULT: Final = Result.REJECT
_ORDER: Final = (Result.STRICT_REJECT, Result.TRACK, Result.REJECT)


@dataclass(frozen=True, slots=True)
class Module:
    """What of a crypto module matters to a decision."""

    sys_id: str
    name: str
    default: ModuleDefault = ModuleDefault.SYSTEM


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy; `target` is a role or a scope, `specification` None means any of the module."""

    sys_id: str
    name: str
    module_id: str
    type: PolicyType
    target: str
    operation: Operation
    result: Result
    specification: str | None = None
    impersonation: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the roles given to him and those of his groups."""

    name: str
    direct_roles: frozenset[str] = frozenset()
    group_roles: frozenset[str] = frozenset()
    active: bool = True

    def has(self, role: str) -> bool:
        """Whether he holds a role; names of roles are compared exactly."""
        return role in self.direct_roles or role in self.group_roles


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks.

    `user` is whose view is asked for; `impersonator` is who really acts, when that is somebody
    else. In system context `user` is the person the system acts for, if any.
    """

    user: Person | None = None
    impersonator: Person | None = None
    scope: str | None = None
    system: bool = False

    def __post_init__(self) -> None:
        if self.impersonator is not None and (self.user is None or self.system):
            raise ValueError("only a person outside the system context impersonates another")

    @property
    def caller(self) -> str:
        """One line that names this caller and no other; `>` is in no name of a user or scope."""
        actors = ["system"] if self.system else []
        actors += [f"user:{p.name}" for p in (self.impersonator, self.user) if p is not None]
        within = f"scope:{self.scope}" if self.scope is not None else ""
        return ", ".join(part for part in (" > ".join(actors), within) if part) or "nobody"

    @property
    def people(self) -> tuple[Person, ...]:
        """Every person this caller is."""
        return tuple(p for p in (self.impersonator, self.user) if p is not None)

    @property
    def is_known(self) -> bool:
        """Whether there is anybody at all to decide about."""
        return self.system or self.scope is not None or self.user is not None


@dataclass(frozen=True, slots=True)
class Question:
    """Whether this subject may do this with keys of this module and specification."""

    module: Module
    specification: str
    operation: Asked
    subject: Subject


@dataclass(frozen=True, slots=True)
class Step:
    """One policy in the order of evaluation, and whether it applies."""

    policy: Policy
    match: Match


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with the result that decided, what it came from, and every step."""

    question: Question
    result: Result
    decided_by: str
    steps: tuple[Step, ...]

    @property
    def allowed(self) -> bool:
        """Whether the caller may."""
        return self.result is Result.TRACK


def decide(policies: Iterable[Policy], question: Question) -> Decision:
    """Answer a question by the policies of its module; others are left aside."""
    own = [p for p in policies if p.module_id == question.module.sys_id]
    own.sort(key=lambda p: (_ORDER.index(p.result), p.name, p.sys_id))
    steps = tuple(_steps(own, question))
    result, decided_by = _result(steps, question)
    return Decision(question, result, decided_by, steps)


def actual_default(default: ModuleDefault) -> Result:
    """What a module's default comes to."""
    return SYSTEM_DEFAULT if default is ModuleDefault.SYSTEM else Result(default.value)


def _result(steps: tuple[Step, ...], question: Question) -> tuple[Result, str]:
    subject, default = question.subject, question.module.default
    if not subject.is_known:
        return Result.REJECT, "nobody asks"
    for person in subject.people:
        if not person.active:
            return Result.REJECT, f"user '{person.name}' is inactive"
    # the steps stand in the order of the rule, so the first that applies decides
    for step in steps:
        if step.match is Match.APPLIES:
            return step.policy.result, f"policy '{step.policy.name}'"
    source = "system default" if default is ModuleDefault.SYSTEM else "module default"
    return actual_default(default), source


def _steps(policies: list[Policy], question: Question) -> Iterator[Step]:
    matches = [(policy, _match(policy, question)) for policy in policies]
    subject = question.subject
    for_somebody = subject.system and subject.user is not None
    granting = {
        policy.type is PolicyType.ROLE
        for policy, match in matches
        if match is Match.APPLIES and policy.result is Result.TRACK
    }
    for policy, match in matches:
        grants = match is Match.APPLIES and policy.result is Result.TRACK
        lacks_half = for_somebody and granting != {True, False}
        yield Step(policy, Match.HALF if grants and lacks_half else match)


def _match(policy: Policy, question: Question) -> Match:
    if not policy.active:
        return Match.INACTIVE
    if policy.specification not in (None, question.specification):
        return Match.OTHER_SPECIFICATION
    if policy.operation not in (question.operation, Operation.BOTH):
        return Match.OTHER_OPERATION
    return Match.APPLIES if _aims_at(policy, question.subject) else Match.OTHER_CALLER


def _aims_at(policy: Policy, subject: Subject) -> bool:
    if policy.type is PolicyType.SYSTEM_USER:
        return subject.system
    if policy.type is PolicyType.SCOPE:
        return subject.scope == policy.target
    if policy.type is PolicyType.ROLE:
        return any(person.has(policy.target) for person in _people_for(policy, subject))
    return False


def _people_for(policy: Policy, subject: Subject) -> tuple[Person, ...]:
    if policy.result is not Result.TRACK or policy.impersonation:
        return subject.people
    return () if subject.system else subject.people[:1]
