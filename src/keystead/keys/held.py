"""The keys that are here: finding them, and opening those that may decrypt."""

from __future__ import annotations

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from keystead.base.errors import Conflict, KeysteadError, NotFound, Tampered
from keystead.base.ids import is_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.keys import modules
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import CAN_ENCRYPT, KeyState, may_decrypt
from keystead.keys.tables import KEYS


def key(tx: Connection, hierarchy: Hierarchy, key_id: str) -> Fields:
    """The key with that id.

    Raises:
        NotFound: when this instance never held it.
    """
    missing = NotFound("key.missing", key=key_id)
    return hierarchy.integrity.one(tx, KEYS, missing, KEYS.c.sys_id == key_id)


def named_key(tx: Connection, hierarchy: Hierarchy, name: str, *states: KeyState) -> Fields:
    """The key with an id, or the one key of a module that is in one of `states`.

    Raises:
        NotFound: when there is none.
        Conflict: when the module has several.
    """
    if is_id(name):
        return key(tx, hierarchy, name)
    row, spec = modules.published_specification(tx, hierarchy, name)
    found = [k for k in keys_of(tx, hierarchy, spec["sys_id"]) if k["state"] in states]
    if len(found) > 1:
        raise Conflict("key.ambiguous", module=row["name"], count=len(found))
    if not found:
        raise NotFound("key.none_so", module=row["name"], states=" or ".join(states))
    return found[0]


def keys_of(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[Fields]:
    """Every key of a specification, in order of version."""
    rows = hierarchy.integrity.all(tx, KEYS, KEYS.c.spec_id == spec_id)
    return sorted(rows, key=lambda row: int(row["version"]))


def all_keys(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every key that this instance holds or held."""
    return hierarchy.integrity.all(tx, KEYS)


def find_active(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields | None:
    """The one key of a specification that encrypts, if there is one."""
    condition = (KEYS.c.spec_id == spec_id) & KEYS.c.state.in_(CAN_ENCRYPT)
    found = hierarchy.integrity.all(tx, KEYS, condition)
    return found[0] if found else None


def active_key(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields:
    """The one key of a specification that encrypts.

    Raises:
        NotFound: when there is none, or it is suspended.
    """
    found = find_active(tx, hierarchy, spec_id)
    if found is None:
        name = modules.module_name(tx, hierarchy, spec_id)
        for row in keys_of(tx, hierarchy, spec_id):
            if row["state"] == KeyState.SUSPENDED:
                raise NotFound("key.suspended", module=name, key=row["sys_id"])
        raise NotFound("key.none", module=name)
    return found


def openable(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[str]:
    """The ids of a specification's keys that open values here."""
    return [row["sys_id"] for row in keys_of(tx, hierarchy, spec_id) if can_open(row)]


def can_open(row: Fields) -> bool:
    """Whether a key may decrypt and its material is held."""
    state = KeyState(row["state"])
    return may_decrypt(state, bool(row["decrypts_suspended"])) and row["material"] is not None


def refusal(row: Fields) -> KeysteadError:
    """Why a key that is known here opens nothing."""
    if row["state"] == KeyState.SUSPENDED and row["material"] is not None:
        return NotFound("key.is_suspended", key=row["sys_id"])
    return NotFound("key.not_held", key=row["sys_id"])


def open_key(tx: Connection, hierarchy: Hierarchy, row: Fields) -> Secret:
    """The bytes of a key that may decrypt.

    Raises:
        NotFound: when its material is not held or not to be used any more.
        KeysteadError: when the external key above it may not be used.
    """
    if not can_open(row):
        raise refusal(row)
    return hierarchy.unwrap_module_key(tx, row)


def wrapped(
    tx: Connection, hierarchy: Hierarchy, key_id: str, spec_id: str, secret: Secret
) -> Fields:
    """A key as it is stored, wrapped as its module wants it, and opened again.

    Raises:
        KeysteadError: when the external key of the module may not be used.
    """
    ekek_id = modules.ekek_for(tx, hierarchy, spec_id)
    stored = hierarchy.wrap_module_key(tx, key_id, spec_id, secret, ekek_id)
    row = {"sys_id": key_id, "spec_id": spec_id, "material": stored, "ekek_id": ekek_id}
    if not wrap.same(hierarchy.unwrap_module_key(tx, row), secret):
        raise Tampered("row.tampered", row=key_id, table=KEYS.name)
    return {"material": stored, "ekek_id": ekek_id}


def store_new(
    tx: Connection,
    hierarchy: Hierarchy,
    *,
    key_id: str,
    spec_id: str,
    secret: Secret,
    **fields: str | int | None,
) -> Fields:
    """Write a new key of the next version; its stored form is opened before anything counts on it.

    Raises:
        Conflict: when it would be a second active one.
    """
    stored = wrapped(tx, hierarchy, key_id, spec_id, secret)
    active = fields["state"] in CAN_ENCRYPT
    refused = _second_active(tx, hierarchy, spec_id)
    try:
        hierarchy.integrity.insert(
            tx,
            KEYS,
            sys_id=key_id,
            spec_id=spec_id,
            version=_next_version(tx, spec_id),
            active_of=spec_id if active else None,
            **stored,
            **fields,
        )
    except IntegrityError:
        raise refused from None
    return key(tx, hierarchy, key_id)


def change(tx: Connection, hierarchy: Hierarchy, row: Fields, **fields: str | int | None) -> Fields:
    """Change a key's row; the place of the active key goes with its state.

    Raises:
        Conflict: when it was changed since it was read, or would be a second active one.
    """
    if "state" in fields:
        fields["active_of"] = row["spec_id"] if fields["state"] in CAN_ENCRYPT else None
    # asked for before: after an error some databases answer nothing more in this transaction
    refused = _second_active(tx, hierarchy, row["spec_id"])
    try:
        return hierarchy.integrity.update(tx, KEYS, row, f"key {row['sys_id']}", **fields)
    except IntegrityError:
        raise refused from None


def _second_active(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Conflict:
    return Conflict("key.active_exists", module=modules.module_name(tx, hierarchy, spec_id))


def _next_version(tx: Connection, spec_id: str) -> int:
    newest = tx.execute(select(func.max(KEYS.c.version)).where(KEYS.c.spec_id == spec_id)).scalar()
    return int(newest or 0) + 1
