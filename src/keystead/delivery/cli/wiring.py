"""What the commands are given by the program that composes them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from keystead.exchange.identity import Identity
from keystead.exchange.peers import PeerChannel
from keystead.instance.home import Settings
from keystead.instance.opening import Instance


@dataclass(frozen=True, slots=True)
class Wiring:
    """The ways into an instance."""

    init: Callable[[Path, str, int, str, str], tuple[Settings, str]]
    open: Callable[[Path], Instance]
    recover: Callable[[Path, str, str], Instance]
    serve: Callable[[Path, Callable[[Instance], None]], None]
    channel: Callable[[Instance], PeerChannel]
    fetch_identity: Callable[[str], Identity]


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
    found = ctx.find_object(Wiring)
    if found is None:
        raise RuntimeError("the program composed no wiring")
    return found


def opened(ctx: typer.Context, home: Path) -> Instance:
    """The instance in a home, closed when the command ends."""
    instance = wiring(ctx).open(home)
    ctx.call_on_close(instance.database.close)
    return instance


def actor() -> str:
    """Who is written into the audit log: the operating system's user."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"os:{name}"
