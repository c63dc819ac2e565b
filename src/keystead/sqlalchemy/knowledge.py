"""What an instance says about encrypted columns and a person's rights, as of one moment.

Nothing here is used for longer than a second after that moment without looking whether any tagged
table changed since: whatever decides something moves the anchor of its table (`database.anchors`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, get_args

from sqlalchemy import Connection, select

from keystead.access.decision import Asked, Decision, Module, Operation
from keystead.access.effect import EFFECTS, Effect
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.base.errors import NotFound
from keystead.database.anchors import ANCHORS
from keystead.database.port import Database
from keystead.fields import service as fields
from keystead.fields.model import Configuration
from keystead.fields.values import EncryptedColumn
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

FRESH_SECONDS: Final = 1.0
Name = tuple[str, str]
Mark = frozenset[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """One encrypted column: what opens it, and what seals it.

    `key_id` is the key that encrypts, or None with the reason in `refusal`; without a reason the
    module's first key is made when it is needed, or one that is owed a rotation is rotated. A key
    that is not `noted` is noted before use.
    """

    configuration: Configuration
    column: EncryptedColumn
    module: Module
    is_unique: bool
    key_id: str | None
    is_noted: bool
    refusal: NotFound | None

    @property
    def is_ready(self) -> bool:
        """Whether values can be sealed at once, or never."""
        return self.is_noted or self.refusal is not None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that an application declares and an instance encrypts."""

    moment: float
    mark: Mark
    by_name: dict[Name, KnownColumn]
    asked: frozenset[Name]

    def is_fresh(self, names: Iterable[Name]) -> bool:
        """Whether this may still be used, and is about all these columns."""
        return is_fresh(self.moment) and self.asked.issuperset(names)


@dataclass(frozen=True, slots=True)
class Rights:
    """What one caller may do with each column."""

    moment: float
    mark: Mark
    caller: str
    decisions: dict[Name, dict[Asked, Decision]]

    def is_about(self, columns: Columns) -> bool:
        """Whether this says something of all these columns and of no others."""
        return self.decisions.keys() == columns.by_name.keys()

    def effect(self, name: Name) -> Effect:
        """How a column appears to him."""
        of = self.decisions[name]
        return EFFECTS[of[Operation.ENCRYPT].allowed, of[Operation.DECRYPT].allowed]


def is_fresh(moment: float) -> bool:
    """Whether what was read at that moment may still be used."""
    return time.monotonic() - moment < FRESH_SECONDS


def read_columns(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    names: frozenset[Name],
    known: Columns | None,
) -> Columns:
    """The columns of those names as they are configured; the others are left out.

    What is known is confirmed if no tagged table has changed since, and no column is dark: one is
    there again as soon as its external key may be used, which changes no table. Providers are asked
    here, where nothing but the caller waits for them, and not where values are opened.
    """
    moment, mark = time.monotonic(), _mark(tx)
    if (
        known is not None
        and known.mark == mark
        and known.asked.issuperset(names)
        and not any(one.column.is_dark for one in known.by_name.values())
    ):
        return replace(known, moment=moment)
    found: dict[Name, KnownColumn] = {}
    for table in {table for table, _ in names}:
        unique = _unique(tx, database, table)
        for configuration in fields.configurations(tx, hierarchy, table):
            name = (table, configuration.column)
            if name in names:
                found[name] = _known(tx, hierarchy, configuration, unique)
    return Columns(moment, mark, found, names)


def read_rights(
    tx: Connection,
    hierarchy: Hierarchy,
    columns: Columns,
    user: str | None,
    impersonate: str | None,
    known: Rights | None,
) -> Rights:
    """What a caller may do with those columns; what is known is confirmed as for columns.

    Raises:
        NotFound: for a user who is not there.
    """
    moment, mark = time.monotonic(), _mark(tx)
    if known is not None and known.mark == mark and known.is_about(columns):
        return replace(known, moment=moment)
    asking = subject(tx, hierarchy.integrity, user, impersonate=impersonate)
    permissions = Permissions(tx, hierarchy.integrity, asking, Refusals())
    decisions = {
        name: {
            operation: permissions.decide(known.module, known.configuration.spec_id, operation)
            for operation in get_args(Asked)
        }
        for name, known in columns.by_name.items()
    }
    return Rights(moment, mark, asking.caller, decisions)


def _mark(tx: Connection) -> Mark:
    """What changes when any row of a tagged table does."""
    found = tx.execute(select(ANCHORS.c.table_name, ANCHORS.c.revision, ANCHORS.c.tag))
    return frozenset((str(name), int(revision), str(tag)) for name, revision, tag in found)


def _unique(tx: Connection, database: Database, table: str) -> frozenset[str]:
    try:
        return database.describe(tx, table).unique
    except NotFound:  # a table that is declared and was not made yet
        return frozenset()


def _known(
    tx: Connection, hierarchy: Hierarchy, configuration: Configuration, unique: frozenset[str]
) -> KnownColumn:
    key_id, refusal = None, None
    if keys.keys_of(tx, hierarchy, configuration.spec_id):
        try:
            active = keys.active_key(tx, hierarchy, configuration.spec_id)
            key_id = None if active["rotation_owed_at"] else str(active["sys_id"])
        except NotFound as error:
            refusal = error
    return KnownColumn(
        configuration=configuration,
        column=EncryptedColumn(tx, hierarchy, configuration),
        module=keys.guarded(keys.module_of(tx, hierarchy, configuration.module_id)),
        is_unique=configuration.column in unique,
        key_id=key_id,
        is_noted=key_id in fields.key_ids(tx, hierarchy, configuration),
        refusal=refusal,
    )
