"""What is done with modules, specifications and keys. Each function is part of one transaction."""

from __future__ import annotations

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from keystead.access import policies
from keystead.access.decision import Module, ModuleDefault
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, IllegalTransition, NotFound
from keystead.base.ids import new_key_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.database.model import check_name
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import (
    CAN_DECRYPT,
    KeyAction,
    KeyState,
    ModuleState,
    Origin,
    next_state,
)
from keystead.keys.tables import KEYS, MODULES, SPECIFICATIONS

_PURPOSE = "symmetric encryption"
_ALGORITHMS = {Scheme.STANDARD: ("AES-GCM", 256), Scheme.EQUALITY: ("AES-SIV", 256)}


def full_name(name: str) -> str:
    """A module's name with its scope; `global` where none is given."""
    return name if "." in name else f"global.{name}"


def create_module(
    tx: Connection, hierarchy: Hierarchy, name: str, scheme: Scheme, actor: str
) -> Fields:
    """Make a draft module with one specification for encrypting fields.

    Raises:
        Conflict: when the name is taken.
    """
    check_name(name, "a crypto module")
    name = full_name(name)
    if tx.execute(select(MODULES.c.sys_id).where(MODULES.c.name == name)).first():
        raise Conflict("module.exists", module=name)
    integrity = hierarchy.integrity
    module_id = integrity.insert(tx, MODULES, name=name, state=ModuleState.DRAFT)
    policies.begin(tx, integrity, module_id)
    algorithm, size = _ALGORITHMS[scheme]
    integrity.insert(
        tx,
        SPECIFICATIONS,
        module_id=module_id,
        purpose=_PURPOSE,
        algorithm=algorithm,
        size_bits=size,
        equality_preserving=int(scheme is Scheme.EQUALITY),
    )
    log.record(tx, actor, "module.create", name, algorithm=algorithm)
    return module(tx, hierarchy, name)


def publish_module(tx: Connection, hierarchy: Hierarchy, name: str, actor: str) -> Fields:
    """Publish a draft and give it its first key.

    Raises:
        IllegalTransition: when it is published already.
    """
    row = module(tx, hierarchy, name)
    if row["state"] != ModuleState.DRAFT:
        raise IllegalTransition("module.published", module=row["name"])
    published = hierarchy.integrity.update(
        tx, MODULES, row, row["name"], state=ModuleState.PUBLISHED
    )
    log.record(tx, actor, "module.publish", row["name"])
    generate(tx, hierarchy, name, actor)
    return published


def module(tx: Connection, hierarchy: Hierarchy, name: str) -> Fields:
    """The module of that name.

    Raises:
        NotFound: when there is none.
    """
    name = full_name(name)
    missing = NotFound("module.missing", module=name)
    return hierarchy.integrity.one(tx, MODULES, missing, MODULES.c.name == name)


def published_module(tx: Connection, hierarchy: Hierarchy, name: str) -> Fields:
    """The module of that name, ready to be used.

    Raises:
        IllegalTransition: while it is a draft.
    """
    row = module(tx, hierarchy, name)
    if row["state"] != ModuleState.PUBLISHED:
        raise IllegalTransition("module.draft", module=row["name"])
    return row


def module_of(tx: Connection, hierarchy: Hierarchy, module_id: str) -> Fields:
    """The module with that id."""
    missing = NotFound("module.missing", module=module_id)
    return hierarchy.integrity.one(tx, MODULES, missing, MODULES.c.sys_id == module_id)


def set_default(
    tx: Connection, hierarchy: Hierarchy, name: str, default: ModuleDefault, actor: str
) -> Fields:
    """Say what a module decides where none of its access policies does."""
    row = module(tx, hierarchy, name)
    changed = hierarchy.integrity.update(tx, MODULES, row, row["name"], default_policy=default)
    log.record(tx, actor, "module.default", row["name"], default=default)
    return changed


def guarded(row: Fields) -> Module:
    """A module as decisions about its use see it."""
    return Module(
        row["sys_id"], row["name"], ModuleDefault(row["default_policy"] or ModuleDefault.SYSTEM)
    )


def specification(tx: Connection, hierarchy: Hierarchy, module_id: str) -> Fields:
    """A module's specification for encrypting fields."""
    missing = NotFound("module.missing", module=module_id)
    condition = SPECIFICATIONS.c.module_id == module_id
    return hierarchy.integrity.one(tx, SPECIFICATIONS, missing, condition)


def specification_of(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields:
    """The specification with that id."""
    missing = NotFound("specification.missing", spec=spec_id)
    condition = SPECIFICATIONS.c.sys_id == spec_id
    return hierarchy.integrity.one(tx, SPECIFICATIONS, missing, condition)


def specification_in(tx: Connection, hierarchy: Hierarchy, module_id: str, spec_id: str) -> Fields:
    """The specification with that id, of this module.

    Raises:
        NotFound: when the module has none of that id.
    """
    found = specification_of(tx, hierarchy, spec_id)
    if found["module_id"] != module_id:
        raise NotFound("specification.missing", spec=spec_id)
    return found


def all_specifications(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every specification of every module."""
    return hierarchy.integrity.all(tx, SPECIFICATIONS)


def scheme_of(spec: Fields) -> Scheme:
    """How a specification encrypts."""
    return Scheme.EQUALITY if spec["equality_preserving"] else Scheme.STANDARD


def generate(tx: Connection, hierarchy: Hierarchy, name: str, actor: str) -> Fields:
    """Make an active key for a published module that has none.

    Raises:
        Conflict: when it has one; two at once leave one key and one Conflict.
    """
    row = published_module(tx, hierarchy, name)
    spec = specification(tx, hierarchy, row["sys_id"])
    if _find_active(tx, hierarchy, spec["sys_id"]):
        raise Conflict("key.active_exists", module=row["name"])
    key = _new_active(tx, hierarchy, spec["sys_id"], row["name"])
    log.record(tx, actor, "key.generate", key["sys_id"], module=row["name"], version=key["version"])
    return key


def rotate(tx: Connection, hierarchy: Hierarchy, name: str, actor: str) -> Fields:
    """Make a new active key; the old one still decrypts. No ciphertext moves.

    Raises:
        Conflict: while a mass job or a clone counts on the present one.
    """
    jobs.refuse_while_busy(tx, "The instance", JobKind.ENCRYPT, JobKind.REKEY, JobKind.CLONE)
    row = published_module(tx, hierarchy, name)
    spec = specification(tx, hierarchy, row["sys_id"])
    old = active_key(tx, hierarchy, spec["sys_id"])
    state = next_state(old["sys_id"], KeyState(old["state"]), KeyAction.ROTATE)
    hierarchy.integrity.update(
        tx,
        KEYS,
        old,
        f"key {old['sys_id']}",
        state=state,
        active_of=None,
        deactivated_at=clock.now(),
    )
    key = _new_active(tx, hierarchy, spec["sys_id"], row["name"])
    log.record(
        tx,
        actor,
        "key.rotate",
        key["sys_id"],
        module=row["name"],
        version=key["version"],
        replaces=old["sys_id"],
    )
    return key


def rotate_all(tx: Connection, hierarchy: Hierarchy, actor: str) -> int:
    """Give every specification that has an active key a new one; how many there were."""
    active = hierarchy.integrity.all(tx, KEYS, KEYS.c.state == KeyState.ACTIVE)
    for row in active:
        spec = specification_of(tx, hierarchy, row["spec_id"])
        rotate(tx, hierarchy, module_of(tx, hierarchy, spec["module_id"])["name"], actor)
    return len(active)


def active_key(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields:
    """The one key of a specification that encrypts.

    Raises:
        NotFound: when there is none.
    """
    found = _find_active(tx, hierarchy, spec_id)
    if found is None:
        spec = specification_of(tx, hierarchy, spec_id)
        name = module_of(tx, hierarchy, spec["module_id"])["name"]
        raise NotFound("key.none", module=name)
    return found


def keys_of(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[Fields]:
    """Every key of a specification, in order of version."""
    rows = hierarchy.integrity.all(tx, KEYS, KEYS.c.spec_id == spec_id)
    return sorted(rows, key=lambda row: int(row["version"]))


def openable(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[str]:
    """The ids of a specification's keys that open values here."""
    return [row["sys_id"] for row in keys_of(tx, hierarchy, spec_id) if can_open(row)]


def all_keys(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every key that this instance holds or held."""
    return hierarchy.integrity.all(tx, KEYS)


def key(tx: Connection, hierarchy: Hierarchy, key_id: str) -> Fields:
    """The key with that id.

    Raises:
        NotFound: when this instance never held it.
    """
    missing = NotFound("key.missing", key=key_id)
    return hierarchy.integrity.one(tx, KEYS, missing, KEYS.c.sys_id == key_id)


def can_open(row: Fields) -> bool:
    """Whether a key may decrypt and its material is held."""
    return row["state"] in CAN_DECRYPT and row["material"] is not None


def open_key(hierarchy: Hierarchy, row: Fields) -> Secret:
    """The bytes of a key that may decrypt.

    Raises:
        NotFound: when its material is not held or not to be used any more.
    """
    if not can_open(row):
        raise NotFound("key.not_held", key=row["sys_id"])
    return hierarchy.unwrap_module_key(row["sys_id"], row["spec_id"], row["material"])


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
            bytes, or from another source.
    """
    held = hierarchy.integrity.all(tx, KEYS, KEYS.c.sys_id == key_id)
    if held and held[0]["spec_id"] != spec_id:
        raise Conflict("key.elsewhere", key=key_id)
    if held and held[0]["material"] is not None:
        own = hierarchy.unwrap_module_key(key_id, spec_id, held[0]["material"])
        if not wrap.same(own, secret):
            raise Conflict("key.differs", key=key_id)
        return False
    if held and held[0]["source_instance"] != source_instance:
        raise Conflict("key.differs", key=key_id)
    material = hierarchy.wrap_module_key(key_id, spec_id, secret)
    hierarchy.unwrap_module_key(key_id, spec_id, material)
    state = KeyState.DEACTIVATED
    if held:
        state = next_state(key_id, KeyState(held[0]["state"]), KeyAction.IMPORT)
    fields: dict[str, str | int | None] = {
        "state": state,
        "origin": Origin.IMPORTED,
        "source_instance": source_instance,
        "material": material,
        "deactivated_at": clock.now(),
    }
    if held:
        hierarchy.integrity.update(tx, KEYS, held[0], f"key {key_id}", **fields, destroyed_at=None)
    else:
        hierarchy.integrity.insert(
            tx,
            KEYS,
            sys_id=key_id,
            spec_id=spec_id,
            version=_next_version(tx, spec_id),
            generated_at=clock.now(),
            **fields,
        )
    return True


def drop_key(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Destroy the material of a key received from another instance; the caller proved it unneeded.

    Raises:
        Conflict: for a key of this instance's own.
        IllegalTransition: unless it is deactivated.
    """
    if row["origin"] != Origin.IMPORTED:
        raise Conflict("key.own", key=row["sys_id"])
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.DROP)
    changed = hierarchy.integrity.update(
        tx,
        KEYS,
        row,
        f"key {row['sys_id']}",
        state=state,
        material=None,
        destroyed_at=clock.now(),
    )
    log.record(tx, actor, "key.drop", row["sys_id"], source=row["source_instance"])
    return changed


def restore(
    tx: Connection, hierarchy: Hierarchy, modules: list[Fields], specifications: list[Fields]
) -> None:
    """Write modules and specifications that came with a clone, under this instance's own tags."""
    for row in modules:
        hierarchy.integrity.insert(tx, MODULES, **row)
        policies.begin(tx, hierarchy.integrity, row["sys_id"])
    for row in specifications:
        hierarchy.integrity.insert(tx, SPECIFICATIONS, **row)


def _find_active(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields | None:
    condition = (KEYS.c.spec_id == spec_id) & (KEYS.c.state == KeyState.ACTIVE)
    found = hierarchy.integrity.all(tx, KEYS, condition)
    return found[0] if found else None


def _new_active(tx: Connection, hierarchy: Hierarchy, spec_id: str, module_name: str) -> Fields:
    key_id = new_key_id().hex()
    moment = clock.now()
    try:
        hierarchy.integrity.insert(
            tx,
            KEYS,
            sys_id=key_id,
            spec_id=spec_id,
            version=_next_version(tx, spec_id),
            state=KeyState.ACTIVE,
            active_of=spec_id,
            origin=Origin.GENERATED,
            material=hierarchy.wrap_module_key(key_id, spec_id, wrap.new_key()),
            generated_at=moment,
            activated_at=moment,
        )
    except IntegrityError:
        raise Conflict("key.active_exists", module=module_name) from None
    return key(tx, hierarchy, key_id)


def _next_version(tx: Connection, spec_id: str) -> int:
    newest = tx.execute(select(func.max(KEYS.c.version)).where(KEYS.c.spec_id == spec_id)).scalar()
    return int(newest or 0) + 1
