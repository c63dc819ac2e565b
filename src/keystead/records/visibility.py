"""What one caller sees of one table's encrypted columns.

How a column appears follows from what its module's access policies let him do
(`access.effect`). To filter, sort, group or count by an encrypted column takes the right to
decrypt it, since a count or an order answers guesses: whoever adds such a form asks `searchable`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.access.effect import NORMAL, Effect
from keystead.access.permissions import Permissions
from keystead.base.errors import Denied
from keystead.fields import service as fields
from keystead.fields.values import EncryptedColumn
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


class Visibility:
    """The encrypted columns of a table as they appear to one caller in one transaction."""

    def __init__(
        self, tx: Connection, hierarchy: Hierarchy, table: str, permissions: Permissions
    ) -> None:
        self._tx = tx
        self._hierarchy = hierarchy
        self._permissions = permissions
        self._configurations = {
            found.column: found for found in fields.configurations(tx, hierarchy, table)
        }
        self._effects: dict[str, Effect] = {}
        self._columns: dict[str, EncryptedColumn] = {}

    def is_encrypted(self, name: str) -> bool:
        """Whether a column is encrypted."""
        return name in self._configurations

    def effect(self, name: str) -> Effect:
        """How a column appears; one that is not encrypted appears as it is.

        That the caller may not decrypt it is noted as a refusal.
        """
        configuration = self._configurations.get(name)
        if configuration is None:
            return NORMAL
        if name not in self._effects:
            row = keys.module_of(self._tx, self._hierarchy, configuration.module_id)
            effect = self._permissions.effect(keys.guarded(row), configuration.spec_id)
            self._effects[name] = effect
        return self._effects[name]

    def column(self, name: str) -> EncryptedColumn:
        """The keys of an encrypted column, opened only for who may see its clear values.

        Raises:
            Denied: when he may not.
        """
        if not self.effect(name).readable:
            raise Denied("column.denied", column=name)
        if name not in self._columns:
            self._columns[name] = EncryptedColumn(
                self._tx, self._hierarchy, self._configurations[name]
            )
        return self._columns[name]

    def searchable(self, name: str) -> EncryptedColumn:
        """The same, to filter, sort, group or count by the column.

        Raises:
            Denied: when he may not decrypt it; that is noted as a refused search.
        """
        if not self.effect(name).readable:
            table = self._configurations[name].table
            self._permissions.refusals.note_search(self._permissions.subject.caller, table, name)
            raise Denied("query.denied", column=name)
        return self.column(name)
