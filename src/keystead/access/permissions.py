"""What one caller may do, decided once for each module, specification and operation.

Decisions are kept inside one `Permissions`, which is made for one caller in one transaction and
ends with it. So there is nothing to flush, and no impersonated, system or ordinary context can
ever be given the decision of another.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from keystead.access import people, policies
from keystead.access.decision import (
    Asked,
    Decision,
    Module,
    Operation,
    Policy,
    Question,
    Subject,
    decide,
)
from keystead.access.effect import EFFECTS, Effect
from keystead.access.rejections import Refusals
from keystead.base.errors import Invalid
from keystead.database.integrity import Integrity
from keystead.database.model import check_name

_DECRYPT: Final = Operation.DECRYPT


def subject(
    tx: Connection,
    integrity: Integrity,
    user: str | None,
    *,
    impersonate: str | None = None,
    scope: str | None = None,
    system: bool = False,
) -> Subject:
    """The caller: who acts, whom he impersonates, in which scope or context.

    Raises:
        Invalid: when nobody impersonates, or for a scope that no policy could name.
        NotFound: for a user who is not there.
        Tampered: when anything that says what he may is not as it was written.
    """
    if impersonate is not None and user is None:
        raise Invalid("user.impersonator", user=impersonate)
    if scope is not None:
        check_name(scope, "a scope")
    acting = people.person(tx, integrity, user) if user is not None else None
    if impersonate is None or impersonate == user:
        return Subject(acting, None, scope, system)
    return Subject(people.person(tx, integrity, impersonate), acting, scope, system)


class Permissions:
    """The decisions for one caller, as things stood in one transaction; for use within it."""

    def __init__(
        self, tx: Connection, integrity: Integrity, subject: Subject, refusals: Refusals
    ) -> None:
        self.subject = subject
        self.refusals = refusals
        self._tx = tx
        self._integrity = integrity
        self._policies: dict[str, tuple[Policy, ...]] = {}
        # one for each operation: in Python 3.11 hashing a member of an enumeration is slow
        self._may_decrypt: dict[tuple[str, str], bool] = {}
        self._may_encrypt: dict[tuple[str, str], bool] = {}

    def decide(self, module: Module, specification: str, operation: Asked) -> Decision:
        """The decision with its trace; nothing is noted.

        Raises:
            Tampered: when a policy of the module is changed, gone, or one too many.
        """
        if module.sys_id not in self._policies:
            found = policies.of_module(self._tx, self._integrity, module.sys_id)
            self._policies[module.sys_id] = found
        question = Question(module, specification, operation, self.subject)
        return decide(self._policies[module.sys_id], question)

    def allows(self, module: Module, specification: str, operation: Asked) -> bool:
        """Whether the caller may; a refusal is noted. Made to be asked for every single value."""
        known = self._may_decrypt if operation is _DECRYPT else self._may_encrypt
        key = (module.sys_id, specification)
        allowed = known.get(key)
        if allowed is None:
            decision = self.decide(module, specification, operation)
            allowed = known[key] = decision.allowed
            if not allowed:
                self.refusals.note(decision)
        return allowed

    def effect(self, module: Module, specification: str) -> Effect:
        """How a column of this module appears to the caller.

        To show is to decrypt, so a refusal of that is noted; nobody asked to encrypt yet.
        """
        may_decrypt = self.allows(module, specification, Operation.DECRYPT)
        may_encrypt = self.decide(module, specification, Operation.ENCRYPT).allowed
        return EFFECTS[may_encrypt, may_decrypt]
