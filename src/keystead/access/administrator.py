"""The first administrator, made when an instance is served and nobody could administer it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from keystead.access import accounts, people
from keystead.access.roles import ADMIN, SECURITY, SYSTEM, meant
from keystead.audit import log
from keystead.database.integrity import Integrity

NAME: Final = "admin"
ROLES: Final = (SYSTEM, SECURITY, ADMIN)
# without what is easily taken for another
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _IN_GROUP = 5, 5


@dataclass(frozen=True, slots=True)
class Administrator:
    """One who was just made; the password is shown once, and stored as a hash alone."""

    user: str
    password: str = field(repr=False)


def make_first(tx: Connection, integrity: Integrity, actor: str) -> Administrator | None:
    """Make an administrator with a random password, unless an active user holds the role."""
    users = people.users(tx, integrity)
    for one in users:
        held = {meant(role) for role in (*one["roles"], *one["group_roles"])}
        if one["active"] and SYSTEM in held:
            return None
    taken = {one["user"] for one in users}
    name = next(n for n in _names(len(taken)) if n not in taken)
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_IN_GROUP)) for _ in range(_GROUPS))
    made = Administrator(name, "-".join(groups))
    people.create_user(tx, integrity, name, list(ROLES), actor)
    accounts.set_password(tx, integrity, name, made.password, actor)
    log.record(tx, actor, "user.first_administrator", name)
    return made


def _names(taken: int) -> list[str]:
    """Names to try: one more than may be taken."""
    return [NAME, *(f"{NAME}{number}" for number in range(2, taken + 3))]
