"""Keys that came from another instance: they open, and never encrypt."""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.base import clock
from keystead.base.errors import Conflict
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.keys import held
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import KeyAction, KeyState, Origin, next_state
from keystead.keys.tables import KEYS


def import_key(
    tx: Connection,
    hierarchy: Hierarchy,
    *,
    key_id: str,
    spec_id: str,
    secret: Secret,
    source_instance: str,
) -> bool:
    """Store a key received from another instance, Deactivated: it opens and never encrypts.

    Returns whether it was new. The stored form is opened again before the transaction may commit.

    Raises:
        Conflict: when this instance has a key with that id for another specification, with other
            bytes, or from another source; or destroyed it for good.
    """
    found = hierarchy.integrity.all(tx, KEYS, KEYS.c.sys_id == key_id)
    row = found[0] if found else None
    if row and row["spec_id"] != spec_id:
        raise Conflict("key.elsewhere", key=key_id)
    if row and row["material"] is not None:
        own = hierarchy.unwrap_module_key(tx, row)
        if not wrap.same(own, secret):
            raise Conflict("key.differs", key=key_id)
        return False
    if row and row["source_instance"] != source_instance:
        raise Conflict("key.differs", key=key_id)
    if row and row["destroyed_for_good"]:
        raise Conflict("key.destroyed", key=key_id)
    if row is None:
        held.store_new(
            tx,
            hierarchy,
            key_id=key_id,
            spec_id=spec_id,
            secret=secret,
            state=KeyState.DEACTIVATED,
            origin=Origin.IMPORTED,
            source_instance=source_instance,
            generated_at=clock.now(),
            deactivated_at=clock.now(),
        )
        return True
    held.change(
        tx,
        hierarchy,
        row,
        state=next_state(key_id, KeyState(row["state"]), KeyAction.IMPORT),
        origin=Origin.IMPORTED,
        **held.wrapped(tx, hierarchy, key_id, spec_id, secret),
        deactivated_at=clock.now(),
        destroyed_at=None,
    )
    return True
