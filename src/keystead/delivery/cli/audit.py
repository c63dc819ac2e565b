"""`audit`: what was done and by whom, its signed heads, and the proof that nothing was changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from keystead.audit import log
from keystead.audit.heads import Head
from keystead.audit.verification import Verified
from keystead.base.errors import Invalid, Tampered
from keystead.delivery.cli.output import emit, progress, table
from keystead.delivery.cli.wiring import (
    HomeArgument,
    JsonOption,
    actor,
    opened_unchecked,
)
from keystead.exchange.identity import own_identity
from keystead.instance import auditing

audit = typer.Typer(no_args_is_help=True, help="What was done, by whom, and the proof of it.")
SequenceArgument = Annotated[
    int, typer.Argument(metavar="SEQUENCE", min=1, help="The entry's sequence.")
]


@audit.command("list")
def list_audit(
    ctx: typer.Context,
    home: HomeArgument,
    limit: Annotated[int, typer.Option(min=1, help="At most so many entries.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what was done, newest first.

    Example: keystead audit list prod --limit 20
    """
    instance = opened_unchecked(ctx, home)
    with instance.database.snapshot() as tx:
        found = log.entries(tx, limit)
    headings = ("sequence", "at", "actor", "action", "subject", "detail")
    shown = [
        (*(f[h] for h in headings[:-1]), json.dumps(f["detail"], ensure_ascii=False)) for f in found
    ]
    emit(found, as_json, table(headings, shown, "The log is empty."))


@audit.command("show")
def show(
    ctx: typer.Context, home: HomeArgument, sequence: SequenceArgument, as_json: JsonOption = False
) -> None:
    """Show one entry whole, with its hash in the tree.

    Example: keystead audit show prod 7
    """
    instance = opened_unchecked(ctx, home)
    with instance.database.snapshot() as tx:
        entry = log.entry(tx, sequence)
    facts = {**entry.as_json(), "leaf": entry.leaf().hex()}
    emit(facts, as_json, lambda: _facts(facts))


@audit.command("sign")
def sign(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Sign a head over the log and the tagged tables, if anything changed since the newest.

    Example: keystead audit sign prod
    """
    instance = opened_unchecked(ctx, home)
    _show_head(auditing.sign(instance.home, instance.database, instance.hierarchy), as_json)


@audit.command("head")
def head(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Show the newest signed head. Keep its digest elsewhere: no later log can hide from it.

    Example: keystead audit head prod
    """
    instance = opened_unchecked(ctx, home)
    _show_head(auditing.newest(instance.home, instance.hierarchy), as_json)


@audit.command("prove")
def prove(
    ctx: typer.Context, home: HomeArgument, sequence: SequenceArgument, as_json: JsonOption = False
) -> None:
    """Prove that an entry is in the log under the newest signed head (RFC 9162, section 2.1.3).

    Example: keystead audit prove prod 7 --json
    """
    instance = opened_unchecked(ctx, home)
    newest, proof = auditing.prove(instance.home, instance.database, instance.hierarchy, sequence)
    human = (
        f"Entry {sequence} is in the log of {newest.size} entries that head {newest.number} signs."
    )
    emit(proof, as_json, f"{human}\n{_facts({'leaf': proof['leaf'], 'root': newest.root})}")


@audit.command("verify")
def verify(
    ctx: typer.Context,
    home: Annotated[
        Path | None, typer.Argument(help="The instance's home folder; none with --from.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--from", help="Check this exported log instead of a home.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Of the instance that made the export.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every entry, hash and head, and the tagged tables. Ends with 8 if anything differs.

    Example: keystead audit verify prod
    """
    with progress("entries") as update:
        if export is not None and fingerprint is not None and home is None:
            verified = auditing.verify_export(export, fingerprint, update)
        elif home is not None and export is None and fingerprint is None:
            instance = opened_unchecked(ctx, home)
            verified = auditing.verify(instance.home, instance.database, instance.hierarchy, update)
        else:
            raise Invalid("audit.arguments")
    _show_verified(verified, as_json)


@audit.command("export")
def export_log(
    ctx: typer.Context,
    home: HomeArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Write the log with its heads into one file, to be checked without the home.

    Example: keystead audit export prod audit.jsonl
    """
    instance = opened_unchecked(ctx, home)
    identity = own_identity(instance.hierarchy, instance.settings.name, instance.certificate)
    with progress("entries") as update:
        newest = auditing.write_export(
            instance.home, instance.database, instance.hierarchy, identity, file, update
        )
    emit(
        {"file": str(file), "entries": newest.size, "fingerprint": identity.fingerprint},
        as_json,
        f"{newest.size} entries in {file}. Check it anywhere with:\n"
        f"keystead audit verify --from {file} --fingerprint {identity.fingerprint}",
    )


@audit.command("accept")
def accept(
    ctx: typer.Context,
    home: HomeArgument,
    reason: Annotated[str, typer.Option(help="Why the database differs; it is audited.")],
    as_json: JsonOption = False,
) -> None:
    """Take a database that differs from its signed heads as it is, after a restore you know of.

    Rows must still be as Keystead wrote them. The old file of heads is set aside.

    Example: keystead audit accept prod --reason "restored the backup of 3 May"
    """
    instance = opened_unchecked(ctx, home)
    newest = auditing.accept(instance.home, instance.database, instance.hierarchy, reason, actor())
    _show_head(newest, as_json)


def _show_head(shown: Head, as_json: bool) -> None:
    facts = shown.as_json()
    brief = {name: value for name, value in facts.items() if name != "tables"}
    emit(facts, as_json, lambda: _facts(brief))


def _show_verified(verified: Verified, as_json: bool) -> None:
    found = [asdict(finding) for finding in verified.findings]
    newest = verified.newest
    summary = {
        "entries": verified.entries,
        "heads": verified.heads,
        "newest_head": newest.as_json() if newest else None,
        "findings": found,
    }

    def human() -> str:
        if found:
            return table(("where", "what"), [tuple(f.values()) for f in found], "")
        covered = f", the newest over {newest.size} entries, {newest.at}" if newest else ""
        return f"All {verified.entries} entries hold, and {verified.heads} heads{covered}."

    emit(summary, as_json, human)
    if found:
        raise Tampered("audit.differs", count=len(found))


def _facts(facts: dict[str, Any]) -> str:
    width = max(len(name) for name in facts)
    return "\n".join(
        f"{name:<{width}}  {json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else v}"
        for name, v in facts.items()
    )
