"""A new root key, and with it, if wanted, a new KEK and a new integrity key: one transaction.

Everything is opened in its new form before the transaction may commit, and the old form is gone
with the commit. What the KEK wraps outside of `sys_kmf_module_key` must be rewrapped here too.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database.anchors import tagged_tables
from keystead.database.integrity import Fields
from keystead.keys import hierarchy as hierarchies
from keystead.keys.hierarchy import INTEGRITY, KEK, Hierarchy
from keystead.keys.tables import IMPORT_TOKENS, KEYS


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a renewal did: keys under another wrapping, rows under another tag."""

    hierarchy: Hierarchy
    instance_keys: int
    module_keys: int
    rows: int


def renew(
    tx: Connection, root: Secret, new_root: Secret, instance_id: str, *, with_kek: bool
) -> Renewed:
    """Put everything under `new_root`; with a KEK and an integrity key of its own if `with_kek`.

    Raises:
        Misconfigured: when `root` is not the root key.
        Tampered: when a row or key is not as it was written; nothing may be committed then.
    """
    made = hierarchies.instance_keys(tx, root, instance_id)
    old = hierarchies.open_hierarchy(tx, root, instance_id)
    if with_kek:
        made |= {KEK: wrap.new_key(), INTEGRITY: wrap.new_key()}
    new = hierarchies.store(tx, new_root, instance_id, made)
    module_keys, rows = _hand_over(tx, old, new) if with_kek else (0, 0)
    check(tx, new)
    return Renewed(new, len(made), module_keys, rows)


def check(tx: Connection, hierarchy: Hierarchy) -> int:
    """Read every tagged row and open every module key under the KEK; how many keys those are.

    What an EKEK wraps is not touched by a renewal, which so needs no external key.

    Raises:
        Tampered: naming the first that is not as it was written.
    """
    for table in tagged_tables():
        hierarchy.integrity.all(tx, table)
    held = [row for row in hierarchy.integrity.all(tx, KEYS) if _is_under_kek(row)]
    for row in held:
        hierarchy.unwrap_module_key(tx, row)
    return len(held)


def _hand_over(tx: Connection, old: Hierarchy, new: Hierarchy) -> tuple[int, int]:
    module_keys = rows = 0
    for table in tagged_tables():
        for row in old.integrity.all(tx, table):
            fields = {}
            if table is KEYS and _is_under_kek(row):
                fields["material"] = _rewrapped(tx, row, old, new)
                module_keys += 1
            if table is IMPORT_TOKENS and row["private"] is not None:
                private = old.unwrap_import_key(row["sys_id"], row["private"])
                fields["private"] = new.wrap_import_key(row["sys_id"], private)
            old.integrity.hand_over(tx, table, row, new.integrity, **fields)
            rows += 1
    new.integrity.adopt(tx)
    return module_keys, rows


def _is_under_kek(row: Fields) -> bool:
    return row["material"] is not None and row["ekek_id"] is None


def _rewrapped(tx: Connection, row: Fields, old: Hierarchy, new: Hierarchy) -> str:
    key_id, spec_id = row["sys_id"], row["spec_id"]
    key = old.unwrap_module_key(tx, row)
    material = new.wrap_module_key(tx, key_id, spec_id, key, None)
    if not wrap.same(new.unwrap_module_key(tx, {**row, "material": material}), key):
        raise Tampered("row.tampered", row=key_id, table=KEYS.name)
    return material
