"""`external file`: key files, as their owner works them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.delivery.cli.external import external
from keystead.delivery.cli.output import emit
from keystead.delivery.cli.wiring import JsonOption, wiring

key_files = typer.Typer(no_args_is_help=True, help="Key files: external keys of your own.")
external.add_typer(key_files, name="file")
FileArgument = Annotated[Path, typer.Argument(help="The key file.", show_default=False)]


@key_files.command("create")
def create_file(ctx: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Make a key file, best on a medium that can be taken away.

    Without it nothing opens what it wrapped: keep a copy where only you reach it.

    Example: keystead external file create /media/key/keystead.key
    """
    _file(ctx, "create", file, as_json, "is made")


@key_files.command("disable")
def disable_file(ctx: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Let the key wrap and open nothing; what it protects goes dark.

    Example: keystead external file disable /media/key/keystead.key
    """
    _file(ctx, "disable", file, as_json, "is disabled")


@key_files.command("enable")
def enable_file(ctx: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Let a disabled key wrap and open again.

    Example: keystead external file enable /media/key/keystead.key
    """
    _file(ctx, "enable", file, as_json, "is enabled")


@key_files.command("rotate")
def rotate_file(ctx: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Let another version wrap from now on; the others still open.

    Example: keystead external file rotate /media/key/keystead.key
    """
    _file(ctx, "rotate", file, as_json, "has another version")


@key_files.command("delete")
def delete_file(
    ctx: typer.Context,
    file: FileArgument,
    days: Annotated[
        int, typer.Option("--after", help="Let it be deleted after 7 to 30 days; 0: it is due.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Let the key be deleted after some days, and delete it when these are over.

    Example: keystead external file delete /media/key/keystead.key --after 30
    """
    if days:
        _file(ctx, "schedule", file, as_json, "is to be deleted", days)
    else:
        _file(ctx, "delete", file, as_json, "is deleted")


@key_files.command("cancel")
def cancel_file(ctx: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Keep a key that was to be deleted; it is disabled then.

    Example: keystead external file cancel /media/key/keystead.key
    """
    _file(ctx, "cancel", file, as_json, "is kept, and disabled")


def _file(
    ctx: typer.Context, action: str, file: Path, as_json: bool, said: str, days: int = 0
) -> None:
    found = wiring(ctx).change_key_file(action, file, days)
    moment = f" at {found['delete_at']}" if found.get("delete_at") else ""
    emit(found, as_json, f"The key file {file} {said}{moment}.")
