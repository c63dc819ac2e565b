"""Every declared table by name, and the navigator."""

from __future__ import annotations

from typing import Final

from keystead.dictionary import keys, people, system
from keystead.dictionary.model import Menu, Operation, Table

_CAPABILITIES: Final = (keys, people, system)
TABLES: Final[dict[str, Table]] = {
    table.name: table for capability in _CAPABILITIES for table in capability.TABLES
}
BY_PATH: Final[dict[str, Table]] = {table.path: table for table in TABLES.values()}
OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation for table in TABLES.values() for operation in table.every_operation
}
MENUS: Final = (
    Menu("Key Management", tuple(table.name for table in keys.TABLES)),
    Menu("Users and Roles", tuple(table.name for table in people.TABLES)),
    Menu("System", tuple(table.name for table in system.TABLES)),
)
