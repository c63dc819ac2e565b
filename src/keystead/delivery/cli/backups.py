"""`backup`, `restore`, `upgrade`: an instance kept, regained, taken along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keystead.crypto import passphrase as passphrases
from keystead.delivery.cli.output import emit, progress
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened, wiring
from keystead.instance import backup_file
from keystead.instance.backup import CONTAINS, LACKS

_KIB = 1024
PassphraseFileOption = Annotated[
    Path | None, typer.Option(help="Read a passphrase from a file instead of asking.")
]


def backup(
    ctx: typer.Context,
    home: HomeArgument,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase that opens it as well.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an encrypted backup, also while the instance is served. The recovery key opens it.

    Example: keystead backup prod prod.backup
    """
    secret = None
    if passphrase_file is not None:
        secret = passphrases.from_text(passphrase_file.read_text(encoding="utf-8"))
    elif passphrase:
        asked = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
        secret = passphrases.from_text(asked)
    instance = opened(ctx, home)
    with progress("KiB") as update:
        made = wiring(ctx).back_up(instance, file, secret, actor(), _in_kib(update))
    recipients = list(backup_file.kinds(made.header))
    emit(
        {
            "file": str(made.file),
            "bytes": made.size,
            "backup": made.header.backup_id,
            "made_at": made.header.made_at,
            "opens_with": recipients,
            "contains": CONTAINS,
            "lacks": LACKS,
        },
        as_json,
        f"Backup {made.header.backup_id} of '{made.header.name}' written to {made.file}"
        f" ({made.size:,} bytes) and read back.\n"
        f"Opens with: {' or '.join(recipients)}.\n"
        f"In it: {'; '.join(CONTAINS)}.\n"
        f"Not in it: {'; '.join(LACKS)}.",
    )


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The backup.")],
    home: HomeArgument,
    key_file: Annotated[
        Path | None, typer.Option(help="Read the recovery key from a file instead of asking.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for the passphrase, not the recovery key.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    database: Annotated[
        str,
        typer.Option(
            envvar="KEYSTEAD_DATABASE",
            help="The URL of an empty database, for an instance that had its own on a server.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty folder, on this machine or another; every value is opened.

    The instance it was made from must not be served any more: both would be the same one.
    A database on a server is filled by that server's own tools, which must be installed here.

    Example: keystead restore prod.backup prod
    """
    if key_file is not None:
        unlock = backup_file.by_recovery_key(key_file.read_text(encoding="utf-8"))
    elif passphrase_file is not None:
        unlock = backup_file.by_passphrase(passphrase_file.read_text(encoding="utf-8"))
    elif passphrase:
        unlock = backup_file.by_passphrase(typer.prompt("Passphrase", hide_input=True))
    else:
        unlock = backup_file.by_recovery_key(typer.prompt("Recovery key", hide_input=True))
    with progress("KiB") as update:
        done = wiring(ctx).restore(file, home, unlock, actor(), _in_kib(update), database)
    begun = done.begun
    kept = (
        f" {begun.kept_keys} keys that were supplied stay active, since none of yours waits."
        if begun.kept_keys
        else ""
    )
    dark = (
        f" {done.dark} are dark: their external key may not be used now. Nothing of them is lost,"
        " and their keys are rotated when it may."
        if done.dark
        else ""
    )
    emit(
        {
            "home": str(home),
            "name": done.settings.name,
            "instance_id": done.settings.instance_id,
            "backup": done.header.backup_id,
            "made_at": done.header.made_at,
            **asdict(done.begun),
            "module_keys": done.module_keys,
            "opened": done.opened,
            "unreadable": done.unreadable,
            "dark": done.dark,
        },
        as_json,
        f"'{done.settings.name}' is restored in {home} as it was at {done.header.made_at};"
        f" what was done later is lost. Epoch {begun.epoch} begins.\n"
        f"{done.module_keys} module keys and {done.opened} values open,"
        f" {done.unreadable} values do not.{dark}\n"
        f"Rotated {begun.rotated_keys} active keys, cancelled {begun.cancelled_jobs} jobs,"
        f" expired {begun.expired_requests} requests, ended {begun.ended_policies} policies"
        f" and {begun.ended_tokens} tokens.{kept}\n"
        f"Next: keystead census {home} --open, then keystead serve {home}",
    )


def upgrade(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Take the home of an older version along to this one. Stop its server first.

    Example: keystead upgrade prod
    """
    with progress("KiB") as update:
        done = wiring(ctx).upgrade(home, actor(), _in_kib(update))
    emit(
        {
            "home": str(home),
            "before": done.before,
            "after": done.after,
            "copy": None if done.copy is None else str(done.copy),
            "module_keys": done.module_keys,
        },
        as_json,
        f"{home} has version {done.after} already; nothing is to be done."
        if done.copy is None
        else f"{home} went from version {done.before} to {done.after};"
        f" {done.module_keys} module keys open.\n"
        f"The old database is kept in {done.copy}; remove it when all is well.",
    )


def _in_kib(update: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    def in_kib(phase: str, done: int, total: int) -> None:
        if done or total:
            update(phase, -(-done // _KIB), -(-total // _KIB))

    return in_kib
