"""Crypto modules and their specifications. Each function is part of one transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select

from keystead.access.decision import Module, ModuleDefault
from keystead.audit import log
from keystead.base.errors import Conflict, IllegalTransition, NotFound
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.database.model import check_name
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import ModuleState
from keystead.keys.tables import MODULES, SPECIFICATIONS

_PURPOSE = "symmetric encryption"
_ALGORITHMS = {Scheme.STANDARD: ("AES-GCM", 256), Scheme.EQUALITY: ("AES-SIV", 256)}


def full_name(name: str) -> str:
    """A module's name with its scope; `global` where none is given."""
    return name if "." in name else f"global.{name}"


def create_module(
    tx: Connection,
    hierarchy: Hierarchy,
    name: str,
    scheme: Scheme,
    actor: str,
    *,
    decrypts_suspended: bool = False,
) -> Fields:
    """Make a draft module with one specification for encrypting fields.

    With `decrypts_suspended`, a key of it that is suspended still opens values.

    Raises:
        Conflict: when the name is taken.
    """
    check_name(name, "a crypto module")
    name = full_name(name)
    if tx.execute(select(MODULES.c.sys_id).where(MODULES.c.name == name)).first():
        raise Conflict("module.exists", module=name)
    integrity = hierarchy.integrity
    module_id = integrity.insert(tx, MODULES, name=name, state=ModuleState.DRAFT)
    algorithm, size = _ALGORITHMS[scheme]
    integrity.insert(
        tx,
        SPECIFICATIONS,
        module_id=module_id,
        purpose=_PURPOSE,
        algorithm=algorithm,
        size_bits=size,
        equality_preserving=int(scheme is Scheme.EQUALITY),
        decrypts_suspended=1 if decrypts_suspended else None,
    )
    log.record(tx, actor, "module.create", name, algorithm=algorithm)
    return module(tx, hierarchy, name)


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


def specification(tx: Connection, hierarchy: Hierarchy, module_id: str) -> Fields:
    """A module's specification for encrypting fields."""
    missing = NotFound("module.missing", module=module_id)
    condition = SPECIFICATIONS.c.module_id == module_id
    return hierarchy.integrity.one(tx, SPECIFICATIONS, missing, condition)


def published_specification(
    tx: Connection, hierarchy: Hierarchy, name: str
) -> tuple[Fields, Fields]:
    """The published module of that name and its specification."""
    row = published_module(tx, hierarchy, name)
    return row, specification(tx, hierarchy, row["sys_id"])


def specification_of(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> Fields:
    """The specification with that id."""
    missing = NotFound("specification.missing", spec=spec_id)
    condition = SPECIFICATIONS.c.sys_id == spec_id
    return hierarchy.integrity.one(tx, SPECIFICATIONS, missing, condition)


def module_name(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> str:
    """The name of the module that a specification belongs to."""
    spec = specification_of(tx, hierarchy, spec_id)
    return str(module_of(tx, hierarchy, spec["module_id"])["name"])


def ekek_for(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> str | None:
    """The id of the EKEK that wraps new keys of a specification; None where the KEK does.

    Raises:
        KeysteadError: when the module is under an external key that cannot wrap.
    """
    spec = specification_of(tx, hierarchy, spec_id)
    chosen = module_of(tx, hierarchy, spec["module_id"])["external_configuration"]
    return None if chosen is None else hierarchy.ekeks.current(tx, chosen)


def all_modules(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every module, in order of name."""
    return sorted(hierarchy.integrity.all(tx, MODULES), key=lambda row: str(row["name"]))


def all_specifications(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every specification of every module."""
    return hierarchy.integrity.all(tx, SPECIFICATIONS)


def scheme_of(spec: Fields) -> Scheme:
    """How a specification encrypts."""
    return Scheme.EQUALITY if spec["equality_preserving"] else Scheme.STANDARD


def specification_in(tx: Connection, hierarchy: Hierarchy, module_id: str, spec_id: str) -> Fields:
    """The specification with that id, of this module.

    Raises:
        NotFound: when the module has none of that id.
    """
    found = specification_of(tx, hierarchy, spec_id)
    if found["module_id"] != module_id:
        raise NotFound("specification.missing", spec=spec_id)
    return found


def set_default(
    tx: Connection, hierarchy: Hierarchy, name: str, default: ModuleDefault, actor: str
) -> Fields:
    """Say what a module decides where none of its access policies does."""
    row = module(tx, hierarchy, name)
    changed = hierarchy.integrity.update(tx, MODULES, row, row["name"], default_policy=default)
    log.record(tx, actor, "module.default", row["name"], default=default)
    return changed


def guarded_module(tx: Connection, hierarchy: Hierarchy, module_id: str) -> Module:
    """The module with that id, as decisions about its use see it."""
    return hierarchy.integrity.remembered(
        tx,
        (MODULES,),
        ("module", module_id),
        lambda: guarded(module_of(tx, hierarchy, module_id)),
    )


def guarded(row: Fields) -> Module:
    """A module as decisions about its use see it."""
    return Module(
        row["sys_id"], row["name"], ModuleDefault(row["default_policy"] or ModuleDefault.SYSTEM)
    )


def restore(
    tx: Connection, hierarchy: Hierarchy, modules: list[Fields], specifications: list[Fields]
) -> None:
    """Write modules and specifications that came with a clone, under this instance's own tags."""
    for row in modules:
        hierarchy.integrity.insert(tx, MODULES, **row)
    for row in specifications:
        hierarchy.integrity.insert(tx, SPECIFICATIONS, **row)
