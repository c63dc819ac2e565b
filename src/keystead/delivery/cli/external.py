"""`external`: keys in a KMS, an HSM or a file of one's own, which wrap ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from keystead.base.errors import Denied, Invalid
from keystead.delivery.cli.output import emit, progress, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.external import configurations, kinds
from keystead.external.settling import OnKeys, Settled
from keystead.instance import blast_radius, external_overview, external_watch
from keystead.instance.opening import Instance

external = typer.Typer(
    no_args_is_help=True, help="External keys: in your own KMS, HSM or file, over the keys here."
)
NameArgument = Annotated[str, typer.Argument(help="The configuration's name, or its id.")]
ModuleArgument = Annotated[str, typer.Argument(help="The module: scope.name, or name in 'global'.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of its kind.")
]
FromOption = Annotated[
    list[str] | None,
    typer.Option("--set-from", metavar="NAME=FILE", help="A setting whose value a file holds."),
]
AskOption = Annotated[
    list[str] | None, typer.Option("--ask", metavar="NAME", help="A setting to be asked for.")
]
LeaseOption = Annotated[
    int | None, typer.Option("--lease", help="Seconds that opened keys are used for.")
]
GraceOption = Annotated[
    int | None, typer.Option("--grace", help="Seconds more while the provider is not reached.")
]
TimeoutOption = Annotated[
    int | None, typer.Option("--timeout", help="Seconds that one call to the provider may take.")
]
_OF_ALERTS = ("raised_at", "status", "what", "cleared_at", "delivered_at")
_KINDS = "; ".join(
    f"{kind.name}: " + ", ".join(one.name + ("" if one.required else "?") for one in kind.settings)
    for kind in kinds.KINDS.values()
)


@external.command("create")
def create(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(help="A name for the configuration.")],
    kind: Annotated[
        str, typer.Option("--kind", help=f"The kind of provider, with its settings: {_KINDS}.")
    ],
    given: SetOption = None,
    given_from: FromOption = None,
    asked: AskOption = None,
    lease: LeaseOption = None,
    grace: GraceOption = None,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a draft of a configuration; its provider is not asked yet.

    A credential is never taken from the command line, which others can see.

    Example: keystead external create prod kms --kind file --set path=/media/key/keystead.key
    """
    settings = _settings(kind, given, given_from, asked)
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        configurations.create(
            tx,
            instance.hierarchy,
            name=name,
            kind=kind,
            settings=settings,
            actor=actor(),
            **_seconds(lease, grace, timeout),
        )
    _told(
        instance, name, as_json, f"'{name}' is a draft. Next: keystead external test {home} {name}"
    )


@external.command("list")
def list_configurations(
    ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False
) -> None:
    """List the configurations of external keys.

    Example: keystead external list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = external_overview.shown(tx, instance.hierarchy)
    fields = ("name", "kind", "state", "status", "modules", "keys", "reference")
    rows = [tuple(row[field] for field in fields) for row in found]
    empty = "No external key yet. Configure one with: keystead external create HOME NAME"
    emit(found, as_json, table(fields, rows, empty))


@external.command("show")
def show(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Show one configuration, without its credentials.

    Example: keystead external show prod kms
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = external_overview.one(tx, instance.hierarchy, name)
    facts = {**found, **{f"settings.{n}": value for n, value in found["settings"].items()}}
    del facts["settings"]
    rows = [(n.replace("_", " "), value) for n, value in facts.items() if value is not None]
    emit(found, as_json, table(("what", "value"), rows, ""))


@external.command("change")
def change(
    ctx: typer.Context,
    home: HomeArgument,
    name: NameArgument,
    given: SetOption = None,
    given_from: FromOption = None,
    asked: AskOption = None,
    lease: LeaseOption = None,
    grace: GraceOption = None,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings; the others stay, and an empty one is taken away.

    What names the key stays once the configuration was activated. Where a draft's changes, its
    credentials are to be given again.

    Example: keystead external change prod kms --lease 30 --set-from secret_access_key=new.txt
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        kind = configurations.named(tx, instance.hierarchy, name)["kind"]
    settings = _settings(kind, given, given_from, asked)
    with instance.database.transaction() as tx:
        row = configurations.named(tx, instance.hierarchy, name)
        configurations.change(
            tx, instance.hierarchy, row, actor(), settings, **_seconds(lease, grace, timeout)
        )
    _told(instance, name, as_json, f"'{name}' is changed.")


@external.command("test")
def try_out(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Ask the provider for each call once, with a key made for this.

    Example: keystead external test prod kms
    """
    instance = opened(ctx, home)
    tried = instance.external.test(name, actor())
    rows = [(one.call, one.failure or "passed") for one in tried]
    emit([asdict(one) for one in tried], as_json, table(("call", "outcome"), rows, ""))
    for one in tried:
        if one.failure is not None:
            raise Denied("external.test_failed", name=name, call=one.call, reason=one.failure)


@external.command("activate")
def activate(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Try the key, make an EKEK under it, and let modules choose the configuration.

    Example: keystead external activate prod kms
    """
    instance = opened(ctx, home)
    made = instance.external.activate(name, actor())
    next_step = f"keystead external wrap {home} MODULE {name}"
    said = f"'{name}' is active with {made['reference']}. Next: {next_step}"
    _told(instance, name, as_json, said)


@external.command("wrap")
def wrap(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    name: NameArgument,
    as_json: JsonOption = False,
) -> None:
    """Put a module under an external key, or move it to another: all its keys, and those to come.

    Values stay as they are and readers are not disturbed.

    Example: keystead external wrap prod people kms
    """
    instance = opened(ctx, home)
    with _bar() as on_keys:
        settled = instance.external.wrap_module(module, name, actor(), on_keys)
    _told_settled(settled, {"module": module, "name": name}, as_json, f"'{module}': '{name}'")


@external.command("status")
def status(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Show what was last heard of each external key, and when it is asked again.

    Example: keystead external status prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [row for row in external_overview.shown(tx, instance.hierarchy) if row["status"]]
    fields = ("name", "state", "status", "since", "reason", "deletion_at", "next_check")
    for row in found:
        row["reason"] = row["revoke_reason"] or row["reason"]
    rows = [tuple(row[field] for field in fields) for row in found]
    empty = "No external key is active. See them with: keystead external list HOME"
    emit(found, as_json, table([field.replace("_", " ") for field in fields], rows, empty))


@external.command("sync")
def synchronise(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Look at every external key now, and do what follows: status, rewrapping, alerts.

    Example: keystead external sync prod
    """
    instance = opened(ctx, home)
    found = external_watch.look(instance.database, instance.hierarchy, instance.external, actor())
    data = {"result": found.result, "changes": [asdict(one) for one in found.changes]}
    emit(data, as_json, f"External keys: {found.result}.")
    if found.refused is not None:
        raise found.refused


@external.command("rewrap")
def rewrap(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Wrap the EKEKs anew by the newest bytes of the external key; the EKEKs stay.

    Example: keystead external rewrap prod kms
    """
    instance = opened(ctx, home)
    count = instance.external.rewrap(name, actor())
    emit({"name": name, "ekeks": count}, as_json, f"'{name}': {count} EKEKs wrapped anew.")


@external.command("rotate")
def rotate(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Make another EKEK and move every key to it; no value changes.

    Example: keystead external rotate prod kms
    """
    instance = opened(ctx, home)
    with _bar() as on_keys:
        settled = instance.external.rotate_ekek(name, actor(), on_keys)
    _told_settled(settled, {"name": name}, as_json, f"'{name}' has another EKEK")


@external.command("revoke")
def revoke(
    ctx: typer.Context,
    home: HomeArgument,
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why: kept and audited.")],
    as_json: JsonOption = False,
) -> None:
    """Make dark at once, in every process, what the key protects. Nothing is destroyed.

    See before what goes dark with `blast-radius`, and take it back with `reinstate`.

    Example: keystead external revoke prod kms --reason "laptop stolen"
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = configurations.named(tx, instance.hierarchy, name)
        configurations.revoke(tx, instance.hierarchy, row, reason, actor())
    external_watch.request_look(instance.database, instance.hierarchy, actor())
    with instance.database.snapshot() as tx:  # counting takes long, and nothing waits for it
        dark = blast_radius.in_words(tx, instance.database, instance.hierarchy, row)
    _told(instance, name, as_json, f"'{name}' is revoked; dark are {dark}.")


@external.command("reinstate")
def reinstate(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Take a revocation back; the provider decides again.

    Example: keystead external reinstate prod kms
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = configurations.named(tx, instance.hierarchy, name)
        configurations.reinstate(tx, instance.hierarchy, row, actor())
    external_watch.request_look(instance.database, instance.hierarchy, actor())
    _told(instance, name, as_json, f"'{name}' is active again; its provider decides.")


@external.command("retire")
def retire(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Give up a configuration that wraps nothing any more, with its credentials.

    Example: keystead external retire prod kms
    """
    instance = opened(ctx, home)
    instance.external.retire(name, actor())
    _told(instance, name, as_json, f"'{name}' is retired.")


@external.command("blast-radius")
def show_blast_radius(
    ctx: typer.Context, home: HomeArgument, name: NameArgument, as_json: JsonOption = False
) -> None:
    """Show what goes dark with an external key: modules, columns, values, attachments, copies.

    Example: keystead external blast-radius prod kms
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        row = configurations.named(tx, instance.hierarchy, name)
        radius = blast_radius.of(tx, instance.database, instance.hierarchy, row)
    rows = [(one.table, one.column, one.module, one.values) for one in radius.columns]
    lines = table(("table", "column", "module", "values"), rows, "No column is under it.")
    copies = ", ".join(radius.copies) or "none"
    said = f"{lines}\n\n{radius.summary}.\nInstances that hold copies of keys: {copies}."
    emit(radius.as_json(), as_json, said)


@external.command("alerts")
def list_alerts(
    ctx: typer.Context,
    home: HomeArgument,
    every: Annotated[bool, typer.Option("--all", help="Those that are cleared too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the open alerts about external keys.

    Example: keystead external alerts prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [
            {field: row[field] for field in _OF_ALERTS}
            for row in external_overview.every_alert(tx, instance.hierarchy)
            if every or row["cleared_at"] is None
        ]
    rows = [tuple(row.values()) for row in found]
    headings = [field.replace("_", " ") for field in _OF_ALERTS]
    emit(found, as_json, table(headings, rows, "No alert is open."))


@contextmanager
def _bar() -> Iterator[OnKeys]:
    with progress("keys") as update:
        yield lambda moved, total: update("rewrapping keys", moved, total)


def _settings(
    kind: str, given: list[str] | None, given_from: list[str] | None, asked: list[str] | None
) -> dict[str, str]:
    """The settings, by name.

    Raises:
        Invalid: for one that is no NAME=VALUE, or a credential that others can see.
        NotFound: for an unknown kind.
    """
    secrets = {one.name for one in kinds.kind(kind).settings if one.secret}
    out = {}
    for name, value in map(_pair, given or ()):
        if name in secrets and value:
            raise Invalid("external.setting_secret", setting=name)
        out[name] = value
    for name, file in map(_pair, given_from or ()):
        out[name] = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    for name in asked or ():
        out[name] = typer.prompt(name, hide_input=True, err=True)
    return out


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Invalid("external.setting_pair", given=name)
    return name, value


def _seconds(lease: int | None, grace: int | None, timeout: int | None) -> dict[str, int]:
    given = {"lease_seconds": lease, "grace_seconds": grace, "timeout_seconds": timeout}
    return {name: value for name, value in given.items() if value is not None}


def _told(instance: Instance, name: str, as_json: bool, said: str) -> None:
    with instance.database.snapshot() as tx:
        emit(external_overview.one(tx, instance.hierarchy, name), as_json, said)


def _told_settled(settled: Settled, facts: dict[str, Any], as_json: bool, said: str) -> None:
    data = {**facts, "moved": settled.moved, "left": settled.left}
    emit(data, as_json, f"{said}; {settled.moved} keys moved, {settled.left} still to move.")
    if settled.failure is not None:
        raise settled.failure
