"""What one caller sees of one table's encrypted columns.

How a column appears follows from what its module's access policies let him do
(`access.effect`). To filter, sort, group or count by an encrypted column takes the right to
decrypt it, since a count or an order answers guesses: whoever adds such a form asks `searchable`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.access.decision import Asked, Module, Operation
from keystead.access.effect import NORMAL, Effect
from keystead.access.permissions import Permissions
from keystead.base.errors import Denied
from keystead.fields import service as fields
from keystead.fields.model import Configuration
from keystead.fields.opened import OpenedColumns
from keystead.fields.values import EncryptedColumn
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


class Visibility:
    """The encrypted columns of a table as they appear to one caller in one transaction."""

    def __init__(
        self,
        tx: Connection,
        hierarchy: Hierarchy,
        table: str,
        permissions: Permissions,
        opened: OpenedColumns | None = None,
    ) -> None:
        self._tx = tx
        self._opened = opened or OpenedColumns(hierarchy)
        self._hierarchy = hierarchy
        self._permissions = permissions
        self._configurations = {
            found.column: found for found in fields.configurations(tx, hierarchy, table)
        }
        self._modules: dict[str, Module] = {}
        self._effects: dict[str, Effect] = {}
        self._columns: dict[str, EncryptedColumn] = {}

    @property
    def encrypted(self) -> dict[str, Configuration]:
        """The encrypted columns."""
        return self._configurations

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
            module = self._module(configuration)
            self._effects[name] = self._permissions.effect(module, configuration.spec_id)
        return self._effects[name]

    def may_decrypt(self, name: str) -> bool:
        """Whether the caller may see the clear values of an encrypted column; nothing is noted."""
        configuration = self._configurations[name]
        module, spec_id = self._module(configuration), configuration.spec_id
        return self._permissions.decide(module, spec_id, Operation.DECRYPT).allowed

    def allows(self, name: str, operation: Asked) -> bool:
        """Whether the caller may do this with an encrypted column; a refusal is noted."""
        configuration = self._configurations[name]
        return self._permissions.allows(
            self._module(configuration), configuration.spec_id, operation
        )

    def column(self, name: str) -> EncryptedColumn:
        """The keys of an encrypted column, opened only for who may see its clear values.

        Raises:
            Denied: when he may not.
        """
        if not self.effect(name).readable:
            raise Denied("column.denied", column=name)
        return self.keys_of(name)

    def keys_of(self, name: str) -> EncryptedColumn:
        """The keys of an encrypted column, whoever asks: for writing, never to show a value."""
        if name not in self._columns:
            self._columns[name] = self._opened.column(self._tx, self._configurations[name])
        return self._columns[name]

    def sealing(self, name: str, key_id: str) -> EncryptedColumn:
        """The same, this key among them; it is written down that the column has values under it."""
        if not self.keys_of(name).may_hold(key_id):
            fields.note_key(self._tx, self._hierarchy, self._configurations[name], key_id)
            del self._columns[name]
        return self.keys_of(name)

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

    def _module(self, configuration: Configuration) -> Module:
        module_id = configuration.module_id
        if module_id not in self._modules:
            found = keys.guarded_module(self._tx, self._hierarchy, module_id)
            self._modules[module_id] = found
        return self._modules[module_id]
