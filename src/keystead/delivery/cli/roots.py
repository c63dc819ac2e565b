"""`root recover`, `root rotate`: the root key of an instance, lost, regained, replaced."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from keystead.delivery.cli.output import emit
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, wiring

root = typer.Typer(no_args_is_help=True, help="The root key of an instance.")


@root.command("recover")
def recover(
    ctx: typer.Context,
    home: HomeArgument,
    key_file: Annotated[
        Path | None, typer.Option(help="Read the recovery key from a file instead of asking.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the root key file anew with the recovery key that was shown when it was made.

    Example: keystead root recover prod
    """
    if key_file is not None:
        given = key_file.read_text(encoding="utf-8")
    else:
        given = getpass("Recovery key: ") if sys.stdin.isatty() else sys.stdin.readline()
    instance = wiring(ctx).recover(home, given, actor())
    ctx.call_on_close(instance.close)
    emit(
        {"home": str(home), "root_key": str(instance.home.root_file)},
        as_json,
        f"The root key is back in {instance.home.root_file}; it opens the instance.",
    )


@root.command("rotate")
def rotate(
    ctx: typer.Context,
    home: HomeArgument,
    kek: Annotated[
        bool, typer.Option("--kek", help="Replace the KEK and the integrity key as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the root key and the recovery key. Stop the server first; no value moves.

    The new recovery key is shown once, before the old one stops working.

    Example: keystead root rotate prod --kek
    """

    def show(recovery_key: str) -> None:
        emit(
            {"home": str(home), "recovery_key": recovery_key, "kek": kek},
            as_json,
            f"New recovery key (shown this once; the old one stops working):\n\n  {recovery_key}\n",
        )
        sys.stdout.flush()

    done = wiring(ctx).rotate_root(home, actor(), show, kek)
    moved = f", {done.module_keys} module keys under a new KEK" if kek else ""
    if not as_json:
        emit(
            {},
            as_json,
            f"The root key of {home} is a new one{moved}; all of them open."
            " Older backups keep the old recovery key.",
        )
