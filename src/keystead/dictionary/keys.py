"""Crypto modules, their specifications, and keys with the actions of their life."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.access.decision import MEANING, ModuleDefault, actual_default
from keystead.access.tables import POLICIES
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.dictionary.external import WRAP
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Reason,
    Related,
    Row,
    Table,
)
from keystead.external import configurations
from keystead.external.tables import CONFIGURATIONS as EXTERNAL
from keystead.external.tables import EKEKS
from keystead.fields import census, endings
from keystead.fields.tables import CONFIGURATIONS, COUNTS
from keystead.instance import external_overview
from keystead.instance.external_overview import Moving
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import KEY_TRANSITIONS, KeyAction, KeyState, ModuleState, Origin
from keystead.keys.tables import DESTROY_REQUESTS, KEYS, MODULES, RULES, SPECIFICATIONS

_MODULE: Final = MODULES.name
_SPECIFICATION: Final = SPECIFICATIONS.name
_KEY: Final = KEYS.name
_SCHEMES: Final = {scheme.mode: scheme for scheme in Scheme}
_TONES: Final[Mapping[str, str]] = {
    KeyState.GENERATED: "busy",
    KeyState.ACTIVE: "good",
    KeyState.RENEWED: "good",
    KeyState.SUSPENDED: "warn",
    KeyState.REVOKED: "bad",
}
_MODULE_TONES: Final[Mapping[str, str]] = {
    ModuleState.DRAFT: "busy",
    ModuleState.PUBLISHED: "good",
}


class NewModule(msgspec.Struct, forbid_unknown_fields=True):
    """What a new module needs."""

    name: Annotated[
        str,
        Meta(
            title="Name",
            description="scope.name, such as hr.pay; a name alone is put into the scope global.",
        ),
    ]
    scheme: Annotated[
        Literal["standard", "equality preserving"],
        Meta(
            title="Encryption",
            description="Standard: equal values are stored unequal. Equality preserving: equal,"
            " so they can be searched, and whoever reads the table sees which are equal.",
        ),
    ] = "standard"
    decrypts_suspended: Annotated[
        bool,
        Meta(
            title="A suspended key still decrypts",
            description="Otherwise nobody sees a value while its key is suspended.",
        ),
    ] = False


class Publishing(msgspec.Struct, forbid_unknown_fields=True):
    """How a module is published."""

    first_key: Annotated[
        bool, Meta(title="Make its first key now", description="Otherwise when it is needed.")
    ] = True


class Generating(msgspec.Struct, forbid_unknown_fields=True):
    """What the new key is for."""

    waiting: Annotated[
        bool, Meta(title="It waits", description="To be rotated to later; else it is active.")
    ] = False


class Rotating(msgspec.Struct, forbid_unknown_fields=True):
    """Which key becomes active."""

    to: Annotated[
        str,
        Meta(
            title="To this key",
            description="A generated key of the same module, which waits; none: a new one is made.",
            extra={"reference": _KEY},
        ),
    ] = ""


class Default(msgspec.Struct, forbid_unknown_fields=True):
    """What decides where no policy does."""

    default: Annotated[
        ModuleDefault,
        Meta(title="Default policy", description="The system's is to reject."),
    ]


def _create(context: Context, _row: Row, given: NewModule) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        made = keys.create_module(
            tx,
            instance.hierarchy,
            given.name,
            _SCHEMES[given.scheme],
            context.actor.name,
            decrypts_suspended=given.decrypts_suspended,
        )
    said = f"Module '{made['name']}' is a draft; publish it to use it."
    return Outcome(said, _MODULE, made["sys_id"])


def _publish(context: Context, row: Row, given: Publishing) -> Outcome:
    instance, actor = context.instance, context.actor.name
    with instance.database.transaction() as tx:
        keys.publish_module(tx, instance.hierarchy, row["name"], actor, first_key=given.first_key)
    said = "has its first key" if given.first_key else "has no key yet"
    return Outcome(f"Module '{row['name']}' is published and {said}.", _MODULE, row["sys_id"])


def _generate(context: Context, row: Row, given: Generating) -> Outcome:
    instance, actor = context.instance, context.actor.name
    with instance.database.transaction() as tx:
        made = keys.generate(tx, instance.hierarchy, row["name"], actor, waiting=given.waiting)
    return _told(made)


def _rotate(context: Context, row: Row, given: Rotating) -> Outcome:
    instance, hierarchy = context.instance, context.instance.hierarchy
    with instance.database.transaction() as tx:
        old = keys.key(tx, hierarchy, row["sys_id"])
        name = keys.module_name(tx, hierarchy, old["spec_id"])
        made = keys.rotate(tx, hierarchy, name, context.actor.name, to=given.to or None, old=old)
    return _told(made)


def _step(
    step: Callable[[Connection, Hierarchy, Fields, str], Fields],
) -> Callable[[Context, Row, Nothing], Outcome]:
    """An action of one key that needs nothing else."""

    def run(context: Context, row: Row, _given: Nothing) -> Outcome:
        instance, hierarchy = context.instance, context.instance.hierarchy
        with instance.database.transaction() as tx:
            key = keys.key(tx, hierarchy, row["sys_id"])
            return _told(step(tx, hierarchy, key, context.actor.name))

    return run


def _revoke(context: Context, row: Row, given: Reason) -> Outcome:
    instance, hierarchy = context.instance, context.instance.hierarchy
    with instance.database.transaction() as tx:
        key = keys.key(tx, hierarchy, row["sys_id"])
        active = keys.revoke(tx, hierarchy, key, given.reason, context.actor.name)
    said = f"Key {row['sys_id']} encrypts no more; {active['sys_id']} is active."
    return Outcome(said, _KEY, row["sys_id"])


def _destroy(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance, hierarchy = context.instance, context.instance.hierarchy
    needs = census.needs(instance.database, hierarchy)
    with instance.database.transaction() as tx:
        key = keys.key(tx, hierarchy, row["sys_id"])
        keys.destroy(tx, hierarchy, key, needs, context.actor.name)
    return _gone(context, row["sys_id"])


def _drop(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance, key_id = context.instance, row["sys_id"]
    with instance.database.transaction() as tx:
        endings.drop(tx, instance.database, instance.hierarchy, key_id, context.actor.name)
    return _gone(context, key_id)


def _gone(context: Context, key_id: str) -> Outcome:
    said = f"Key {key_id} is destroyed; nothing needed it."
    return Outcome(f"{said} {endings.cleared(context.instance.database)}", _KEY, key_id)


def _request_destruction(context: Context, row: Row, given: Reason) -> Outcome:
    instance, hierarchy = context.instance, context.instance.hierarchy
    needs = census.needs(instance.database, hierarchy)
    with instance.database.transaction() as tx:
        key = keys.key(tx, hierarchy, row["sys_id"])
        request = keys.request_destruction(
            tx, hierarchy, key, needs, given.reason, context.actor.name
        )
    said = f"The request waits for {request['needed']} approvals."
    return Outcome(said, DESTROY_REQUESTS.name, request["sys_id"])


def _default(context: Context, row: Row, given: Default) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        changed = keys.set_default(
            tx, instance.hierarchy, row["name"], given.default, context.actor.name
        )
    actual = MEANING[actual_default(given.default)]
    said = f"Where no policy of '{row['name']}' decides: {actual}."
    return Outcome(said, _MODULE, changed["sys_id"])


def _told(key: Fields) -> Outcome:
    said = f"Key {key['sys_id']} is {key['state']} (version {key['version']})."
    return Outcome(said, _KEY, key["sys_id"])


def _allowed(action: KeyAction) -> Callable[[Row], bool]:
    return lambda row: (KeyState(row["state"]), action) in KEY_TRANSITIONS


def _modules(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    moving = external_overview.moving(tx, hierarchy)
    references = {row["sys_id"]: row["reference"] for row in configurations.listed(tx, hierarchy)}
    return [
        {
            **{name: row[name] for name in ("sys_id", "name", "state", "default_policy")},
            "external_wrap_key": references.get(configurations.chosen(row)),
            "external_configuration": configurations.chosen(row),
            "rewrap": _moved(row["sys_id"], moving.get(row["sys_id"])),
        }
        for row in hierarchy.integrity.all(tx, MODULES)
    ]


def _moved(module_id: str, moving: Moving | None) -> str | None:
    if moving is None:
        return None
    process = f"Module key rewrap process for crypto module {module_id}"
    return f"{process}: keys moved {moving.moved} of {moving.total}"


def _specifications(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": row["sys_id"],
            "module_id": row["module_id"],
            "purpose": row["purpose"],
            "algorithm": f"{row['algorithm']}-{row['size_bits']}",
            "equality_preserving": bool(row["equality_preserving"]),
            "decrypts_suspended": bool(row["decrypts_suspended"]),
        }
        for row in keys.all_specifications(tx, context.instance.hierarchy)
    ]


def _keys(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    modules = {spec["sys_id"]: spec["module_id"] for spec in keys.all_specifications(tx, hierarchy)}
    return [
        {
            **{f.name: row[f.name] for f in KEY_TABLE.fields if f.name in row},
            "sys_id": row["sys_id"],
            "module_id": modules[row["spec_id"]],
            "held": row["material"] is not None,
        }
        for row in keys.all_keys(tx, hierarchy)
    ]


_OF_KEYS: Final = (
    Operation("key.rotate", "Rotate", "Make a new active key; the old one still decrypts.",
              _rotate, Rotating, fits=_allowed(KeyAction.ROTATE)),
    Operation("key.renew", "Extend expiry", "Renew: move the expiry by the key's own life time.",
              _step(keys.renew),
              fits=lambda row: _allowed(KeyAction.RENEW)(row) and bool(row["expires_at"])),
    Operation("key.suspend", "Suspend", "Stop the key for a while; nothing replaces it.",
              _step(keys.suspend), fits=_allowed(KeyAction.SUSPEND),
              danger="Its module encrypts nothing until the key is resumed."),
    Operation("key.resume", "Resume", "Make the suspended key active again.",
              _step(keys.resume), fits=_allowed(KeyAction.RESUME)),
    Operation("key.revoke", "Stop encrypting (still decrypts)",
              "Revoke: declare the key compromised; another becomes active.",
              _revoke, Reason, fits=_allowed(KeyAction.REVOKE),
              danger="A revoked key never encrypts again."),
    Operation("key.destroy", "Destroy", "Destroy the key for good, once nothing needs it.",
              _destroy, fits=_allowed(KeyAction.DESTROY), danger="This cannot be undone."),
    Operation("key.request_destruction", "Ask the quorum to destroy",
              "Ask for the destruction of the key although values need it.",
              _request_destruction, Reason, fits=_allowed(KeyAction.DESTROY),
              danger="Once it is approved, the values that need the key are lost."),
    Operation("key.drop", "Drop",
              "Destroy a key received from another instance, once nothing here needs it.",
              _drop, fits=lambda row: row["origin"] == Origin.IMPORTED
              and _allowed(KeyAction.DROP)(row),
              danger="Only the instance that it came from can bring it back."),
)  # fmt: skip

MODULE_TABLE: Final = Table(
    _MODULE,
    "modules",
    "Crypto Module",
    "Crypto Modules",
    "What keys are for: each module has a specification, and keys in order of their versions.",
    (
        Field("name", "Name"),
        Field("state", "State", Kind.STATE, choices=tuple(ModuleState), tones=_MODULE_TONES),
        Field("default_policy", "Default policy",
              help="What decides where no access policy does; empty: the system's, to reject."),
        Field("external_wrap_key", "External wrap key", in_list=False,
              help="The external key that its keys are under, as its provider names it."),
        Field("external_configuration", "External KMS configuration", Kind.REFERENCE,
              reference=EXTERNAL.name),
        Field("rewrap", "Rewrap of its keys", in_list=False,
              help="While keys are still to be moved under the external key."),
    ),
    _modules,
    display="name",
    subject="name",
    topics=("module",),
    create=Operation("module.create", "New", "Make a draft module.", _create, NewModule),
    operations=(
        Operation("module.publish", "Publish", "Publish the draft; it can be used then.",
                  _publish, Publishing, fits=lambda row: row["state"] == ModuleState.DRAFT),
        Operation("module.default", "Set default policy",
                  "Say what the module decides where none of its access policies does.",
                  _default, Default),
        Operation("key.generate", "Generate key",
                  "Make an active key, if there is none; or one that waits.",
                  _generate, Generating, fits=lambda row: row["state"] == ModuleState.PUBLISHED),
        WRAP,
    ),
    related=(
        Related(_SPECIFICATION, "module_id"),
        Related(_KEY, "module_id"),
        Related(POLICIES.name, "module_id"),
        Related(CONFIGURATIONS.name, "module_id"),
        Related(RULES.name, "module_id"),
    ),
    empty="No module yet. Make one with New.",
)  # fmt: skip

SPECIFICATION_TABLE: Final = Table(
    _SPECIFICATION,
    "specifications",
    "Crypto Specification",
    "Crypto Specifications",
    "How a module's keys are used: purpose, algorithm, size.",
    (
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=_MODULE),
        Field("purpose", "Crypto purpose"),
        Field("algorithm", "Algorithm"),
        Field("equality_preserving", "Equality preserving", Kind.YES_NO),
        Field("decrypts_suspended", "A suspended key still decrypts", Kind.YES_NO, in_list=False),
    ),
    _specifications,
    display="purpose",
    related=(Related(_KEY, "spec_id"),),
    empty="No specification yet. A new module brings one.",
)

_DATES: Final = (
    ("generated_at", "Generated"),
    ("activated_at", "Activated"),
    ("expires_at", "Expires"),
    ("renewed_at", "Renewed"),
    ("rotated_at", "Rotated"),
    ("suspended_at", "Suspended"),
    ("deactivated_at", "Deactivated"),
    ("revoked_at", "Revoked"),
    ("destroyed_at", "Destroyed"),
    ("activate_at", "To be activated"),
    ("renew_at", "To be renewed"),
    ("rotate_at", "To be rotated"),
    ("destroy_at", "To be destroyed"),
)
_LISTED_DATES: Final = frozenset({"activated_at", "expires_at"})

KEY_TABLE: Final = Table(
    _KEY,
    "keys",
    "Module Key",
    "Module Keys",
    "Every key with its state; it keeps its id on every instance that holds it.",
    (
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=_MODULE),
        Field("version", "Version", Kind.NUMBER),
        Field("state", "State", Kind.STATE, tones=_TONES, choices=tuple(KeyState)),
        Field("origin", "Origin"),
        *(Field(name, label, Kind.MOMENT, in_list=name in _LISTED_DATES) for name, label in _DATES),
        Field("revoke_reason", "Reason of revocation", in_list=False),
        Field("spec_id", "Specification", Kind.REFERENCE, reference=_SPECIFICATION, in_list=False),
        Field("source_instance", "Received from", Kind.ID, in_list=False),
        Field("held", "Held here", Kind.YES_NO, in_list=False),
        Field(
            "ekek_id",
            "EKEK",
            Kind.REFERENCE,
            reference=EKEKS.name,
            in_list=False,
            help="Wraps the key, and is itself wrapped by an external key.",
        ),
    ),
    _keys,
    operations=_OF_KEYS,
    related=(Related(COUNTS.name, "key_id"), Related(DESTROY_REQUESTS.name, "key_id")),
    empty="No key yet. Publishing a module makes its first.",
)

TABLES: Final = (MODULE_TABLE, SPECIFICATION_TABLE, KEY_TABLE)
