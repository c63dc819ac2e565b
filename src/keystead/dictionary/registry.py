"""Every declared table by name, and the navigator."""

from __future__ import annotations

from typing import Final

from keystead.dictionary import (
    audit,
    clone,
    exchange,
    external,
    fields,
    keys,
    life_cycle,
    people,
    policies,
    system,
)
from keystead.dictionary.model import Menu, Operation, Table

_CAPABILITIES: Final = (
    *(keys, life_cycle, policies, fields, exchange, clone, external),
    *(audit, people, system),
)
TABLES: Final[dict[str, Table]] = {
    table.name: table for capability in _CAPABILITIES for table in capability.TABLES
}
BY_PATH: Final[dict[str, Table]] = {table.path: table for table in TABLES.values()}
OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation for table in TABLES.values() for operation in table.every_operation
}
MENUS: Final = (
    Menu(
        "Key Management",
        (
            keys.MODULE_TABLE.name,
            keys.SPECIFICATION_TABLE.name,
            keys.KEY_TABLE.name,
            policies.POLICY_TABLE.name,
            policies.REJECTION_TABLE.name,
            fields.CONFIGURATION_TABLE.name,
            fields.JOB_TABLE.name,
            fields.CENSUS_TABLE.name,
            life_cycle.RULE_TABLE.name,
            life_cycle.CAP_TABLE.name,
            exchange.REQUEST_TABLE.name,
            exchange.PEER_TABLE.name,
        ),
    ),
    Menu("External Keys", tuple(table.name for table in external.TABLES)),
    Menu(
        "System Clone",
        (clone.TARGET_TABLE.name, clone.CLONE_TABLE.name, clone.COUNT_TABLE.name),
    ),
    Menu(
        "System Security",
        (
            audit.LOG_TABLE.name,
            audit.HEAD_TABLE.name,
            life_cycle.REQUEST_TABLE.name,
            life_cycle.QUORUM_TABLE.name,
        ),
    ),
    Menu("Users and Roles", tuple(table.name for table in people.TABLES)),
    Menu("System", tuple(table.name for table in system.TABLES)),
)
