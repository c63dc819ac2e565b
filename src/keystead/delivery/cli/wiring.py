"""What the commands are given by the program that composes them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keystead.instance import auditing

if TYPE_CHECKING:
    from keystead.access.administrator import Administrator
    from keystead.base.secret import Secret
    from keystead.exchange.peers import PeerChannel
    from keystead.instance.backup import Made, OnProgress
    from keystead.instance.backup_file import Unlock
    from keystead.instance.home import Settings
    from keystead.instance.opening import Instance
    from keystead.instance.restoring import Restored
    from keystead.instance.upgrading import Upgraded
    from keystead.keys.renewal import Renewed


@dataclass(frozen=True, slots=True)
class Wiring:
    """The ways into an instance."""

    init: Callable[[Path, str, int, str, str], tuple[Settings, str]]
    open: Callable[[Path], Instance]
    open_unchecked: Callable[[Path], Instance]
    recover: Callable[[Path, str, str], Instance]
    rotate_root: Callable[[Path, str, Callable[[str], None], bool], Renewed]
    back_up: Callable[[Instance, Path, Secret | None, str, OnProgress], Made]
    restore: Callable[[Path, Path, Unlock, str, OnProgress, str], Restored]
    upgrade: Callable[[Path, str, OnProgress], Upgraded]
    serve: Callable[[Path, Callable[[Instance, Administrator | None], None]], None]
    work: Callable[[Path, Callable[[Instance], None]], None]
    channel: Callable[[Instance], PeerChannel]
    change_key_file: Callable[[str, Path, int], dict[str, Any]]


HomeArgument = Annotated[
    Path, typer.Argument(help="The instance's home folder.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RateOption = Annotated[
    int | None, typer.Option("--rate", min=1, help="At most so many rows a second.")
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the job has ended.")]


def wiring(ctx: typer.Context) -> Wiring:
    """The wiring of this call."""
    composed: Wiring = ctx.obj()
    return composed


def opened(ctx: typer.Context, home: Path) -> Instance:
    """The instance in a home; signed, if it changed, and closed when the command ends."""
    instance = wiring(ctx).open(home)
    ctx.call_on_close(instance.close)
    ctx.call_on_close(
        lambda: auditing.sign_changes(instance.home, instance.database, instance.hierarchy)
    )
    return instance


def opened_unchecked(ctx: typer.Context, home: Path) -> Instance:
    """The instance in a home, though it may not agree with its signed heads; closed at the end."""
    instance = wiring(ctx).open_unchecked(home)
    ctx.call_on_close(instance.close)
    return instance


def actor() -> str:
    """Who is written into the audit log: the operating system's user."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"os:{name}"
