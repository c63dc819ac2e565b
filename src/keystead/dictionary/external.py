"""External keys: their configurations, the EKEKs under them, and alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.base.errors import KeysteadError
from keystead.dictionary.model import (
    Context,
    Field,
    Nothing,
    Operation,
    Outcome,
    Reason,
    Related,
    Report,
    Row,
    Table,
)
from keystead.dictionary.model import Kind as FieldKind
from keystead.external import alerts, configurations
from keystead.external.kinds import KINDS, Kind, Setting
from keystead.external.model import TRANSITIONS, Action, EkekState, State
from keystead.external.service import ekeks_of
from keystead.external.settling import Settled
from keystead.external.status import Status
from keystead.external.tables import ALERTS, CONFIGURATIONS, EKEKS
from keystead.instance import blast_radius, external_overview, external_watch
from keystead.keys.tables import KEYS, MODULES

_CONFIGURATION: Final = CONFIGURATIONS.name
_EKEK: Final = EKEKS.name
_ALERT: Final = ALERTS.name
_TONES: Final[Mapping[str, str]] = {
    State.DRAFT: "busy",
    State.ACTIVE: "good",
    State.REVOKED: "bad",
}
STATUS_TONES: Final[Mapping[str, str]] = {
    Status.ENABLED: "good",
    Status.DISABLED: "bad",
    Status.PENDING_DELETION: "bad",
    Status.DELETED: "bad",
    Status.UNAVAILABLE: "warn",
    alerts.REVOKED: "bad",
}
_EKEK_TONES: Final[Mapping[str, str]] = {EkekState.ACTIVE: "good", EkekState.REPLACED: "busy"}
_SECONDS: Final = {
    "lease_seconds": (
        "Lease (seconds)",
        "How long opened keys are used until the provider must have opened them again.",
    ),
    "grace_seconds": (
        "Grace (seconds)",
        "How much longer while the provider cannot be reached; never after it refused.",
    ),
    "timeout_seconds": ("Time-out (seconds)", "What one call to the provider may take."),
}
_WORDS: Final = {"aws_kms": "aws", "pkcs11": "hsm", "file": "file"}  # in names of operations
_NAME: Final = "name"


class Choosing(msgspec.Struct, forbid_unknown_fields=True):
    """Under which external key a module's keys are to be."""

    configuration: Annotated[
        str,
        Meta(
            title="External KMS configuration",
            description="An active one; all keys of the module move under it, and those to come.",
            extra={"reference": _CONFIGURATION},
        ),
    ]


def _struct(kind: Kind, *, is_new: bool) -> type[msgspec.Struct]:
    """The parameters of a kind: its settings and times; for a new one all, else what changes."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    if is_new:
        words = Meta(title="Name", description="What the configuration is called here.")
        fields.append((_NAME, Annotated[str, words]))
    for setting in sorted(kind.settings, key=lambda one: not (is_new and one.required)):
        parameter = Annotated[str, _meta(setting, is_new=is_new)]
        if is_new and setting.required:
            fields.append((setting.name, parameter))
        else:
            fields.append((setting.name, parameter, ""))
    for name, (least, usual, most) in configurations.SECONDS.items():
        title, description = _SECONDS[name]
        words = Meta(title=title, description=description)
        number = Annotated[int, Meta(ge=least, le=most)]
        if is_new:
            fields.append((name, Annotated[number, words], usual))
        else:
            fields.append((name, Annotated[number | None, words], None))
    name = f"{'New' if is_new else 'Changed'}{kind.name.title().replace('_', '')}"
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, module=__name__)


def _meta(setting: Setting, *, is_new: bool) -> Meta:
    stays = "it stays, unless what names the key changes" if setting.secret else "it stays as it is"
    kept = "" if is_new else f" Empty: {stays}."
    return Meta(
        title=setting.label,
        description=f"{setting.help}{kept}",
        extra={"secret": True} if setting.secret else {},
    )


def _split(given: msgspec.Struct) -> tuple[dict[str, str], dict[str, int]]:
    """What was given, as settings and as times."""
    facts = msgspec.structs.asdict(given)
    facts.pop(_NAME, None)
    seconds = {n: v for n, v in facts.items() if n in _SECONDS and v is not None}
    return {n: v for n, v in facts.items() if n not in _SECONDS and v}, seconds


def _create(kind: Kind) -> Callable[[Context, Row, Any], Outcome]:
    def run(context: Context, _row: Row, given: Any) -> Outcome:
        instance = context.instance
        settings, seconds = _split(given)
        with instance.database.transaction() as tx:
            made = configurations.create(
                tx,
                instance.hierarchy,
                name=given.name,
                kind=kind.name,
                settings=settings,
                actor=context.actor.name,
                **seconds,
            )
        said = f"'{made['name']}' is a draft; test it, then activate it."
        return Outcome(said, _CONFIGURATION, made["sys_id"])

    return run


def _change(context: Context, row: Row, given: Any) -> Outcome:
    instance = context.instance
    settings, seconds = _split(given)
    with instance.database.transaction() as tx:
        found = configurations.of_id(tx, instance.hierarchy, row["sys_id"])
        configurations.change(
            tx, instance.hierarchy, found, context.actor.name, settings, **seconds
        )
    return _told(row, "is changed")


def _test(context: Context, row: Row, _given: Nothing) -> Outcome:
    tried = context.instance.external.test(row["sys_id"], context.actor.name)
    failed = next((one for one in tried if one.failure), None)
    report = Report(
        f"Test of '{row['name']}'",
        ("Call", "Outcome"),
        tuple((str(one.call), one.failure or "passed") for one in tried),
    )
    said = "passed the test" if failed is None else f"failed at {failed.call}: {failed.failure}"
    return Outcome(f"'{row['name']}' {said}.", _CONFIGURATION, row["sys_id"], report=report)


def _activate(context: Context, row: Row, _given: Nothing) -> Outcome:
    context.instance.external.activate(row["sys_id"], context.actor.name)
    return _told(row, "is active; let a crypto module choose it as its external wrap key")


def _wrap(context: Context, row: Row, given: Choosing) -> Outcome:
    settled = context.instance.external.wrap_module(
        row["name"], given.configuration, context.actor.name
    )
    said = f"Module '{row['name']}': {_in_words(settled)}"
    return Outcome(said, MODULES.name, row["sys_id"])


def _synchronise(context: Context, _row: Row, _given: Nothing) -> Outcome:
    instance = context.instance
    looked = external_watch.look(
        instance.database, instance.hierarchy, instance.external, context.actor.name
    )
    return Outcome(f"External keys: {looked.result}.", _CONFIGURATION)


def _rewrap(context: Context, row: Row, _given: Nothing) -> Outcome:
    count = context.instance.external.rewrap(row["sys_id"], context.actor.name)
    return _told(row, f"wrapped {count} EKEKs anew")


def _rotate(context: Context, row: Row, _given: Nothing) -> Outcome:
    settled = context.instance.external.rotate_ekek(row["sys_id"], context.actor.name)
    return _told(row, f"has another EKEK: {_in_words(settled)[:-1]}")


def _revoke(context: Context, row: Row, given: Reason) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        found = configurations.of_id(tx, instance.hierarchy, row["sys_id"])
        configurations.revoke(tx, instance.hierarchy, found, given.reason, context.actor.name)
    external_watch.request_look(instance.database, instance.hierarchy, context.actor.name)
    return _told(row, "is revoked; what it protects is dark, and nothing is destroyed")


def _reinstate(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        found = configurations.of_id(tx, instance.hierarchy, row["sys_id"])
        configurations.reinstate(tx, instance.hierarchy, found, context.actor.name)
    external_watch.request_look(instance.database, instance.hierarchy, context.actor.name)
    return _told(row, "is active again; its provider decides")


def _retire(context: Context, row: Row, _given: Nothing) -> Outcome:
    context.instance.external.retire(row["sys_id"], context.actor.name)
    return _told(row, "is retired")


def _show_radius(context: Context, row: Row, _given: Nothing) -> Outcome:
    report = _radius(context, row)
    said = f"'{row['name']}' protects {report.title.partition(': ')[2]}."
    return Outcome(said, _CONFIGURATION, row["sys_id"], report=report)


def _radius(context: Context, row: Row) -> Report:
    """What goes dark with a configuration; what cannot be counted keeps nobody from acting."""
    instance = context.instance
    headings = ("What", "Where", "Crypto module", "Values")
    with instance.database.snapshot() as tx:
        found = configurations.of_id(tx, instance.hierarchy, row["sys_id"])
        try:
            radius = blast_radius.of(tx, instance.database, instance.hierarchy, found)
        except KeysteadError as error:
            return Report(f"What goes dark with it cannot be counted: {error.what}", headings, ())
    columns = [("column", f"{c.table}.{c.column}", c.module, c.values) for c in radius.columns]
    empty = set(radius.modules) - {column.module for column in radius.columns}
    modules = [("module", "", name, 0) for name in sorted(empty)]
    copies = [("copy of keys, which stays", name, "", None) for name in radius.copies]
    return Report(
        f"What goes dark with it: {radius.summary}",
        headings,
        (*columns, *modules, *copies),
    )


def _radius_of_module(context: Context, row: Row) -> Report | None:
    """What goes dark with the external key that a module is under now."""
    chosen = row["external_configuration"]
    return _radius(context, {"sys_id": chosen}) if chosen else None


def _told(row: Row, what: str) -> Outcome:
    return Outcome(f"'{row['name']}' {what}.", _CONFIGURATION, row["sys_id"])


def _in_words(settled: Settled) -> str:
    said = f"{settled.moved} keys moved, {settled.left} still to move"
    waits = f"; they wait: {settled.failure.what.rstrip('.')}" if settled.failure else ""
    return f"{said}{waits}."


def _allowed(*actions: Action) -> Callable[[Row], bool]:
    return lambda row: any((State(row["state"]), action) in TRANSITIONS for action in actions)


def _configurations(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            **{f.name: row.get(f.name) for f in CONFIGURATION_TABLE.fields},
            "provider_said": row["reason"],
            "sys_id": row["sys_id"],
            "kind": KINDS[row["kind"]].label,
            "settings": external_overview.in_words(row["kind"], row["settings"]),
        }
        for row in external_overview.shown(tx, context.instance.hierarchy)
    ]


def _ekeks(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    wrapped = external_overview.keys_by_ekek(tx, hierarchy)
    return [
        {
            **{f.name: row.get(f.name) for f in EKEK_TABLE.fields},
            "sys_id": row["sys_id"],
            "keys": wrapped[row["sys_id"]],
        }
        for configuration in configurations.listed(tx, hierarchy)
        for row in ekeks_of(tx, hierarchy, configuration["sys_id"])
    ]


def _alerts(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {"sys_id": row["sys_id"], **{f.name: row[f.name] for f in ALERT_TABLE.fields}}
        for row in external_overview.every_alert(tx, context.instance.hierarchy)
    ]


def _is_kind(kind: Kind) -> Callable[[Row], bool]:
    return lambda row: row["kind"] == kind.label and row["state"] != State.RETIRED


WRAP: Final = Operation(
    "external.wrap",
    "Choose external wrap key",
    "Put the keys of the module under an external key, or move them to another's.",
    _wrap,
    Choosing,
    danger="Whoever holds the external key decides from then on whether the values can be opened.",
    before=_radius_of_module,
)
CONFIGURATION_TABLE: Final = Table(
    _CONFIGURATION,
    "external-keys",
    "External Key Configuration",
    "External Key Configurations",
    "Keys in a KMS, an HSM or a file of your own, over the keys of crypto modules.",
    (
        Field("name", "Name"),
        Field("kind", "Provider", FieldKind.CHOICE,
              choices=tuple(kind.label for kind in KINDS.values())),
        Field("state", "State", FieldKind.STATE, choices=tuple(State), tones=_TONES),
        Field("status", "Status", FieldKind.STATE, choices=tuple(STATUS_TONES), tones=STATUS_TONES,
              help="What was last heard of the key."),
        Field("since", "Since", FieldKind.MOMENT),
        Field("provider_said", "Provider said", in_list=False),
        Field("deletion_at", "To be deleted", FieldKind.MOMENT,
              help="When its provider will delete it, for good."),
        Field("next_check", "Next check", FieldKind.MOMENT, in_list=False),
        Field("modules", "Modules", FieldKind.NUMBER),
        Field("keys", "Keys", FieldKind.NUMBER),
        Field("reference", "External key", in_list=False),
        Field("settings", "Settings", FieldKind.LONG_TEXT, in_list=False),
        Field("has_credentials", "Has credentials", FieldKind.YES_NO, in_list=False,
              help="They are kept encrypted, and never shown."),
        *(Field(name, label, FieldKind.NUMBER, help=text, in_list=False)
          for name, (label, text) in _SECONDS.items()),
        Field("created_at", "Created", FieldKind.MOMENT, in_list=False),
        Field("activated_at", "Activated", FieldKind.MOMENT, in_list=False),
        Field("revoke_reason", "Reason of revocation", in_list=False),
    ),
    _configurations,
    display="name",
    subject="name",
    topics=("external", "alert"),
    actions=(
        *(Operation(f"external.create_{_WORDS[kind.name]}", f"New: {kind.label}",
                    f"Configure a key of {kind.label}; it is not asked yet.",
                    _create(kind), _struct(kind, is_new=True))
          for kind in KINDS.values()),
        Operation("external.synchronise", "Check now",
                  "Look at every external key, and do what follows: status, rewrapping, alerts.",
                  _synchronise),
    ),
    operations=(
        Operation("external.test", "Test configuration",
                  "Ask the provider for each call once, with a key made for this.", _test,
                  fits=_allowed(Action.ACTIVATE, Action.WRAP)),
        Operation("external.activate", "Activate",
                  "Try the key and make an EKEK under it; then modules can choose it.",
                  _activate, fits=_allowed(Action.ACTIVATE),
                  danger="What names the key cannot be changed any more."),
        *(Operation(f"external.change_{_WORDS[kind.name]}", f"Change {kind.label}",
                    "Change settings; what names the key only while it is a draft.",
                    _change, _struct(kind, is_new=False), fits=_is_kind(kind))
          for kind in KINDS.values()),
        Operation("external.blast_radius", "What goes dark",
                  "Report what the key protects: modules, columns, values, attachments, copies.",
                  _show_radius),
        Operation("external.rewrap", "Rewrap",
                  "Wrap the EKEKs anew by the newest bytes of the external key.",
                  _rewrap, fits=_allowed(Action.REWRAP), before=_radius,
                  danger="The old wrapping is dropped once the new one is proven to open."),
        Operation("external.rotate_ekek", "Rotate EKEK",
                  "Make another EKEK and move every key to it; no value changes.",
                  _rotate, fits=_allowed(Action.ROTATE), before=_radius,
                  danger="The old EKEK is dropped once no key needs it."),
        Operation("external.revoke", "Revoke",
                  "Make dark what it protects, at once and in every process.",
                  _revoke, Reason, fits=_allowed(Action.REVOKE), before=_radius,
                  danger="Nobody reads or writes these values until it is reinstated."),
        Operation("external.reinstate", "Reinstate",
                  "Take the revocation back; the provider decides again.",
                  _reinstate, fits=_allowed(Action.REINSTATE)),
        Operation("external.retire", "Retire",
                  "Give up a configuration that wraps nothing any more.",
                  _retire, fits=_allowed(Action.RETIRE),
                  danger="Its EKEKs and credentials are dropped. This cannot be undone."),
    ),
    related=(
        Related(_EKEK, "configuration_id"),
        Related(MODULES.name, "external_configuration"),
        Related(_ALERT, "configuration_id"),
    ),
    empty="No external key yet. Configure one with New.",
)  # fmt: skip

EKEK_TABLE: Final = Table(
    _EKEK,
    "external-instance-keys",
    "External Instance Key",
    "External Instance Keys",
    "The EKEKs: each wraps module keys, and is wrapped by the instance and by an external key.",
    (
        Field("configuration_id", "External key", FieldKind.REFERENCE, reference=_CONFIGURATION),
        Field("version", "Version", FieldKind.NUMBER),
        Field("state", "State", FieldKind.STATE, choices=tuple(EkekState), tones=_EKEK_TONES),
        Field("keys", "Keys", FieldKind.NUMBER, help="How many module keys it wraps."),
        Field("material_id", "Key material", FieldKind.ID,
              help="Which bytes of the external key wrapped it, as its provider names them."),
        Field("generated_at", "Generated", FieldKind.MOMENT),
        Field("rewrapped_at", "Rewrapped", FieldKind.MOMENT),
        Field("retired_at", "Retired", FieldKind.MOMENT, in_list=False),
    ),
    _ekeks,
    display="version",
    related=(Related(KEYS.name, "ekek_id"),),
    empty="No EKEK yet. Activating a configuration makes its first.",
)  # fmt: skip

ALERT_TABLE: Final = Table(
    _ALERT,
    "alerts",
    "Alert",
    "Alerts",
    "External keys that are not enabled, newest first: what each means, until it is cleared.",
    (
        Field("raised_at", "Raised", FieldKind.MOMENT),
        Field("configuration_id", "External key", FieldKind.REFERENCE, reference=_CONFIGURATION),
        Field("status", "Status", FieldKind.STATE, choices=tuple(STATUS_TONES),
              tones=STATUS_TONES),
        Field("what", "What", FieldKind.LONG_TEXT),
        Field("cleared_at", "Cleared", FieldKind.MOMENT),
        Field("delivered_at", "Delivered", FieldKind.MOMENT,
              help="When it was sent to those who are named in the system properties."),
    ),
    _alerts,
    display="status",
    empty="No alert. Each external key is enabled.",
)  # fmt: skip

TABLES: Final = (CONFIGURATION_TABLE, EKEK_TABLE, ALERT_TABLE)
